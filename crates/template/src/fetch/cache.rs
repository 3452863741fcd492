//! The cache directory: one file for each URL.

use crate::error::FetchError;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Digits of the hash at the head of a name.
const HASH_DIGITS: usize = 64;

/// The file for `url`: the end of its path for people, a hash of the whole for uniqueness.
fn file(directory: &Path, url: &str) -> PathBuf {
    use sha2::{Digest, Sha256};
    let hash = data_encoding::HEXLOWER.encode(&Sha256::digest(url.as_bytes()));
    let name = url.split(['?', '#']).next().and_then(|url| url.rsplit('/').next());
    let good = |c: &char| c.is_ascii_alphanumeric() || "._-".contains(*c);
    let name: String = name.unwrap_or_default().chars().filter(good).take(40).collect();
    directory.join(format!("{hash}-{name}"))
}

/// The text of `url`: the kept one, else what `load` gets, which is then kept. `str://` holds its text
/// itself, and without a directory nothing is kept.
pub(crate) fn kept<E>(
    directory: Option<&Path>,
    url: &str,
    failed: impl Fn(FetchError) -> E,
    load: impl FnOnce() -> Result<Arc<str>, E>,
) -> Result<Arc<str>, E> {
    let Some(directory) = directory.filter(|_| !url.starts_with("str://")) else { return load() };
    if let Some(text) = read(directory, url).map_err(&failed)? {
        return Ok(text.into());
    }
    let text = load()?;
    write(directory, url, &text).map_err(failed)?;
    Ok(text)
}

/// Removes the documents that were kept in a directory, and nothing else that lies there. A directory
/// that is not there has none.
///
/// # Errors
/// [`FetchError::Cache`]: the directory cannot be read or changed.
pub fn forget_copies(directory: &Path) -> Result<(), FetchError> {
    let fault = |path: &Path, source| FetchError::Cache { path: path.to_owned(), source };
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(|error| fault(directory, error))?,
    };
    for entry in entries {
        let entry = entry.map_err(|error| fault(directory, error))?;
        if !entry.file_name().to_str().is_some_and(is_ours) {
            continue;
        }
        match std::fs::remove_file(entry.path()) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(fault(&entry.path(), error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Whether a file has a name as [`file`] gives them.
fn is_ours(name: &str) -> bool {
    let hash = name.split_once('-').map_or("", |(hash, _)| hash);
    hash.len() == HASH_DIGITS && hash.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The cached text of `url`, if there is one.
fn read(directory: &Path, url: &str) -> Result<Option<String>, FetchError> {
    let path = file(directory, url);
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(FetchError::Cache { path, source }),
    }
}

/// Keeps the text of `url`, whole or not at all.
fn write(directory: &Path, url: &str, text: &str) -> Result<(), FetchError> {
    let path = file(directory, url);
    let store = || {
        std::fs::create_dir_all(directory)?;
        // Written beside and renamed, so that nobody reads half a document.
        // A name of its own each time: other processes and threads may keep the same document.
        let partial = path.with_extension(format!("partial-{:016x}", rand::random::<u64>()));
        let mut file = std::fs::File::create_new(&partial)?;
        let kept = file.write_all(text.as_bytes()).and_then(|()| std::fs::rename(&partial, &path));
        if kept.is_err() {
            let _ = std::fs::remove_file(&partial);
        }
        kept
    };
    store().map_err(|source| FetchError::Cache { path: path.clone(), source })
}

#[cfg(test)]
mod tests {
    use super::{forget_copies, read, write};

    #[test]
    fn only_copies_are_forgotten() {
        let directory = tempfile::tempdir().expect("directory");
        let directory = directory.path();
        let near = format!("{}-notes", "A".repeat(64));
        for name in ["notes", &near] {
            std::fs::write(directory.join(name), "mine").expect("write");
        }
        for url in ["http://h/doc.tpl", "http://h/", "unix:///run/x.sock/a?b"] {
            write(directory, url, "text").expect("write");
        }
        forget_copies(directory).expect("forget");
        assert_eq!(read(directory, "http://h/").expect("read"), None);
        assert_eq!(std::fs::read_dir(directory).expect("list").count(), 2);
        forget_copies(&directory.join("gone")).expect("there is none");
    }

    #[test]
    fn many_may_keep_one_document() {
        let directory = tempfile::tempdir().expect("directory");
        let (directory, url) = (directory.path(), "http://h/doc.tpl");
        std::thread::scope(|scope| {
            for letter in ["a", "b", "c", "d"] {
                scope.spawn(move || {
                    let text = letter.repeat(100_000);
                    for _ in 0..100 {
                        write(directory, url, &text).expect("write");
                        let found = read(directory, url).expect("read").expect("a document");
                        let whole = found.len() == text.len();
                        assert!(whole && found.bytes().all(|byte| byte == found.as_bytes()[0]));
                    }
                });
            }
        });
        assert_eq!(std::fs::read_dir(directory).expect("list").count(), 1, "drafts are left");
    }
}

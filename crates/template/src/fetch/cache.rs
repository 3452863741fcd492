//! The cache directory: one file for each URL.

use crate::error::FetchError;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// The file for `url`: the end of its path for people, a hash of the whole for uniqueness.
fn file(directory: &Path, url: &str) -> PathBuf {
    use sha2::{Digest, Sha256};
    let hash = data_encoding::HEXLOWER.encode(&Sha256::digest(url.as_bytes()));
    let name = url.split(['?', '#']).next().and_then(|url| url.rsplit('/').next());
    let good = |c: &char| c.is_ascii_alphanumeric() || "._-".contains(*c);
    let name: String = name.unwrap_or_default().chars().filter(good).take(40).collect();
    directory.join(format!("{hash}-{name}"))
}

/// The cached text of `url`, if there is one.
pub(crate) fn read(directory: &Path, url: &str) -> Result<Option<String>, FetchError> {
    let path = file(directory, url);
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(FetchError::Cache { path, source }),
    }
}

/// Keeps the text of `url`, whole or not at all.
pub(crate) fn write(directory: &Path, url: &str, text: &str) -> Result<(), FetchError> {
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
    use super::{read, write};

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

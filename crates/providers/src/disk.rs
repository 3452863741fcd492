//! Files that are there whole or not at all.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::io::Errno;

/// First letters of the names of files that are being written. Lists leave such files out.
pub(crate) const TEMP_PREFIX: &str = ".regrow-tmp-";

/// How sure a write must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sync {
    /// A reader sees the old or the new contents; after a power cut either, or nothing.
    Visible,
    /// The contents are on disk before the name is: after a power cut the file is whole or absent.
    Whole,
    /// On disk when the call returns, the name included.
    Durable,
}

/// What could not be done, and with which file.
#[derive(Debug, thiserror::Error)]
#[error("{doing} {path}: {source}")]
pub struct DiskError {
    pub(crate) doing: &'static str,
    pub(crate) path: String,
    #[source]
    pub(crate) source: io::Error,
}

impl DiskError {
    pub(crate) fn new(doing: &'static str, path: &Path, source: io::Error) -> Self {
        Self { doing, path: path.display().to_string(), source }
    }
}

/// Writes a file beside its place and renames it there, so that no reader meets half of it.
pub(crate) fn write(path: &Path, bytes: &[u8], sync: Sync) -> Result<(), DiskError> {
    let temp = temp_beside(path);
    let written = write_temp(&temp, bytes, sync).and_then(|()| {
        fs::rename(&temp, path).map_err(|e| DiskError::new("move a new file to", path, e))
    });
    if let Err(fault) = written {
        let _ = fs::remove_file(&temp); // best effort: the name marks it as left over
        return Err(fault);
    }
    match (sync, path.parent()) {
        (Sync::Durable, Some(dir)) => sync_dir(dir),
        _ => Ok(()),
    }
}

/// As [`write`], but only where there is a file already: one that was removed in the meantime is not
/// brought back.
pub(crate) fn replace(path: &Path, bytes: &[u8], sync: Sync) -> Result<(), DiskError> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    let temp = temp_beside(path);
    let replaced = write_temp(&temp, bytes, sync).and_then(|()| {
        let swapped = match renameat_with(CWD, &temp, CWD, path, RenameFlags::EXCHANGE) {
            // Not every file system can do that; then the two steps have to do.
            Err(Errno::INVAL | Errno::NOSYS) => {
                fs::metadata(path).and_then(|_| fs::rename(&temp, path))
            }
            swapped => swapped.map_err(io::Error::from),
        };
        swapped.map_err(|e| DiskError::new("replace file", path, e))
    });
    let _ = fs::remove_file(&temp); // the old contents, or what could not be written
    replaced
}

/// Makes the names in a directory durable.
pub(crate) fn sync_dir(dir: &Path) -> Result<(), DiskError> {
    File::open(dir)
        .and_then(|opened| opened.sync_all())
        .map_err(|e| DiskError::new("sync directory", dir, e))
}

/// Makes a directory with its parents.
pub(crate) fn make_dir(dir: &Path) -> Result<(), DiskError> {
    fs::create_dir_all(dir).map_err(|e| DiskError::new("create directory", dir, e))
}

fn write_temp(temp: &Path, bytes: &[u8], sync: Sync) -> Result<(), DiskError> {
    let fault = |e| DiskError::new("write file", temp, e);
    let mut file = File::create_new(temp).map_err(fault)?;
    file.write_all(bytes).map_err(fault)?;
    if sync != Sync::Visible {
        file.sync_all().map_err(fault)?;
    }
    Ok(())
}

fn temp_beside(path: &Path) -> PathBuf {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let number = COUNTER.fetch_add(1, Ordering::Relaxed);
    let random: u32 = rand::random();
    path.with_file_name(format!("{TEMP_PREFIX}{}-{number}-{random:08x}", std::process::id()))
}

#[cfg(test)]
mod tests {
    use super::{Sync, replace, write};

    #[test]
    fn a_failed_write_leaves_nothing_behind() {
        let dir = tempfile::tempdir().expect("directory");
        let target = dir.path().join("taken");
        std::fs::create_dir_all(target.join("full")).expect("directory");
        let fault = write(&target, b"x", Sync::Durable).expect_err("a directory is in the way");
        assert!(fault.to_string().contains("taken"), "{fault}");
        assert_eq!(std::fs::read_dir(dir.path()).expect("list").count(), 1);
        write(&dir.path().join("free"), b"x", Sync::Durable).expect("write");
        assert_eq!(std::fs::read_dir(dir.path()).expect("list").count(), 2);
    }

    #[test]
    fn replacing_brings_nothing_back() {
        let dir = tempfile::tempdir().expect("directory");
        let path = dir.path().join("file");
        assert!(replace(&path, b"new", Sync::Whole).is_err());
        std::fs::write(&path, "old").expect("write");
        replace(&path, b"new", Sync::Whole).expect("replace");
        assert_eq!(std::fs::read(&path).expect("read"), b"new");
        assert_eq!(std::fs::read_dir(dir.path()).expect("list").count(), 1);
    }
}

//! Files that are there whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Mode of a file that was not there before: specs may hold secrets.
const NEW_FILE_MODE: u32 = 0o600;

/// What could not be done, and with which file.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{doing} {path}: {source}")]
pub struct DiskError {
    pub(crate) doing: &'static str,
    pub(crate) path: String,
    #[source]
    pub(crate) source: Arc<io::Error>,
}

impl DiskError {
    /// What was being done with which file, such as "write", and what the system said.
    pub fn new(doing: &'static str, path: &Path, source: io::Error) -> Self {
        Self { doing, path: path.display().to_string(), source: Arc::new(source) }
    }
}

/// Reads a file that may not be there; one that is larger than `most` bytes is an error.
pub(crate) fn read_bounded(path: &Path, most: u64) -> Result<Option<Vec<u8>>, DiskError> {
    let fault = |e| DiskError::new("read", path, e);
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(fault(e)),
    };
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes).map_err(fault)?;
    if bytes.len() as u64 > most {
        return Err(fault(io::Error::other(format!("it is larger than {most} bytes"))));
    }
    Ok(Some(bytes))
}

/// Replaces a file: written beside its place, on disk before it gets the name, and the name on disk
/// before this returns. Callers see to it that only one writes to `path` at a time: the temporary
/// file has a fixed name, so that one left by a crash is used again instead of piling up.
pub(crate) fn write_atomic(path: &Path, bytes: &[u8]) -> Result<(), DiskError> {
    let temp = write_temp(path, bytes)?;
    put_in_place(&temp, path)?;
    sync_dir_of(path)
}

/// First half of [`write_atomic`]: the new contents are on disk under a temporary name.
pub(super) fn write_temp(path: &Path, bytes: &[u8]) -> Result<PathBuf, DiskError> {
    let temp = temp_of(path);
    let fault = |e| DiskError::new("write", &temp, e);
    match fs::remove_file(&temp) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(fault(e)),
        _ => {}
    }
    let mode = fs::metadata(path).map_or(NEW_FILE_MODE, |found| found.permissions().mode() & 0o777);
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&temp)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()));
    if let Err(e) = written {
        let _ = fs::remove_file(&temp); // best effort: the next write removes it as well
        return Err(fault(e));
    }
    Ok(temp)
}

/// Second part of [`write_atomic`]: from here on everybody sees the new contents.
pub(super) fn put_in_place(temp: &Path, path: &Path) -> Result<(), DiskError> {
    fs::rename(temp, path).map_err(|e| DiskError::new("move a new file to", path, e))
}

/// Last part of [`write_atomic`]: a crash of the system does not undo it any more.
pub(super) fn sync_dir_of(path: &Path) -> Result<(), DiskError> {
    let Some(dir) = path.parent() else { return Ok(()) };
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    File::open(dir)
        .and_then(|opened| opened.sync_all())
        .map_err(|e| DiskError::new("sync directory", dir, e))
}

/// `dir/name` → `dir/.name.tmp`.
pub(super) fn temp_of(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.tmp"))
}

//! The file of registrations: one record, replaced as a whole.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use regrow_codec::record::{self, Record, RecordError};

use super::Local;

const NAME: &str = "registrations.rec";

impl Record for Local {
    const KIND: u16 = 16;
    const VERSION: u16 = 2;

    /// Version 1 did not say which registrations the catalog had not taken.
    fn migrate(_: u16, payload: &[u8]) -> Result<Self, RecordError> {
        serde_json::from_slice(payload).map_err(|error| RecordError::Payload(error.to_string()))
    }
}

/// Why the file of registrations cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The system said no.
    #[error("{doing} {path}: {source}; check the folder and its owner", path = path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// What is in it is not what was written.
    #[error("registrations in {path}: {source}", path = path.display())]
    Record {
        /// Which file.
        path: PathBuf,
        /// What does not fit.
        source: RecordError,
    },
}

/// Reads the registrations in a folder; none where there is no file yet.
pub(super) async fn load(folder: &Path) -> Result<Local, FileError> {
    let path = folder.join(NAME);
    match tokio::fs::read(&path).await {
        Ok(bytes) => record::decode(&bytes)
            .map(|(local, _)| local)
            .map_err(|source| FileError::Record { path, source }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Local::default()),
        Err(source) => Err(FileError::Io { doing: "read", path, source }),
    }
}

/// Writes the registrations; when it returns they are on disk, and before that the old ones are.
pub(super) async fn save(folder: &Path, local: &Local) -> Result<(), FileError> {
    let path = folder.join(NAME);
    let bytes =
        record::encode(local).map_err(|source| FileError::Record { path: path.clone(), source })?;
    let written = tokio::task::spawn_blocking(move || replace(&path, &bytes)).await;
    written.unwrap_or_else(|failed| {
        let source = std::io::Error::other(failed);
        Err(FileError::Io { doing: "write", path: folder.join(NAME), source })
    })
}

fn replace(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let step =
        |doing: &'static str| move |source| FileError::Io { doing, path: path.to_owned(), source };
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(step("make the folder of"))?;
    let new = path.with_extension("new");
    let mut file = File::create(&new).map_err(step("write beside"))?;
    file.write_all(bytes).map_err(step("write beside"))?;
    file.sync_all().map_err(step("flush beside"))?;
    fs::rename(&new, path).map_err(step("replace"))?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(step("flush the folder of"))
}

//! One journal: a folder, its writer, its streams.

use std::path::Path;
use std::sync::Arc;

use crate::disk::Disk;
use crate::{Halt, OpenError, Options, Report, Stream, StreamId};

/// A durable log that many streams share. Dropping it flushes what is queued and stops the writer.
#[derive(Debug)]
pub struct Journal {}

/// Whether a journal takes records.
#[derive(Clone, Debug)]
pub enum Status {
    /// It does.
    Open,
    /// It takes no entries until space returns.
    Full,
    /// The disk failed; it takes nothing until the process has been restarted.
    Halted(Arc<Halt>),
    /// It was closed.
    Closed,
}

impl Journal {
    /// Opens the journal in the folder `dir`, which is made if missing, locked against other
    /// processes, and readable for its owner only.
    pub fn open(_dir: &Path, _options: Options) -> Result<(Journal, Report), OpenError> {
        Err(OpenError::Options(String::new()))
    }

    /// Opens the journal on a given disk.
    pub fn open_on(
        _disk: Arc<dyn Disk>,
        _options: Options,
    ) -> Result<(Journal, Report), OpenError> {
        Err(OpenError::Options(String::new()))
    }

    /// The stream with this id; it is made by its first record.
    #[must_use]
    pub fn stream(&self, id: StreamId) -> Stream {
        Stream { id }
    }

    /// Ids of all streams that have a record, in order.
    #[must_use]
    pub fn streams(&self) -> Vec<StreamId> {
        Vec::new()
    }

    /// Whether the journal takes records.
    #[must_use]
    pub fn status(&self) -> Status {
        Status::Closed
    }
}

//! One journal: a folder, its writer, its streams.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use crate::disk::real::RealDisk;
use crate::disk::{BLOCK, Disk};
use crate::recover::{self, Opened};
use crate::shared::Shared;
use crate::space::Space;
use crate::state::{End, State};
use crate::{Halt, Mode, OpenError, Options, Report, SEGMENT_MAX, SEGMENT_MIN, Stream, StreamId};

/// A durable log that many streams share. Dropping it writes what is queued and stops the writer;
/// streams that are left over then refuse changes.
pub struct Journal {
    shared: Arc<Shared>,
    writer: Option<JoinHandle<()>>,
}

/// Whether a journal takes records.
#[derive(Clone, Debug)]
pub enum Status {
    /// It does.
    Open,
    /// There was no space for the next segment: it takes no entries once half of the present one
    /// is used, until space returns.
    Full,
    /// The disk failed; it takes nothing until the process has been restarted.
    Halted(Arc<Halt>),
    /// It was closed.
    Closed,
}

impl Journal {
    /// Opens the journal in the folder `dir`, which is made if missing, locked against other
    /// processes, and readable for its owner only.
    pub fn open(dir: &Path, options: Options) -> Result<(Journal, Report), OpenError> {
        let disk = RealDisk::open(dir).map_err(|cause| match cause.kind() {
            io::ErrorKind::WouldBlock => OpenError::Locked(dir.display().to_string()),
            _ => OpenError::Folder { dir: dir.to_owned(), cause },
        })?;
        Journal::open_on(Arc::new(disk), options)
    }

    /// Opens the journal on a given disk.
    pub fn open_on(disk: Arc<dyn Disk>, options: Options) -> Result<(Journal, Report), OpenError> {
        let bytes = options.segment_bytes;
        if !(SEGMENT_MIN..=SEGMENT_MAX).contains(&bytes) || !bytes.is_multiple_of(BLOCK as u32) {
            return Err(OpenError::Options(format!(
                "segment size {bytes} is not a multiple of {BLOCK} from {SEGMENT_MIN} to {SEGMENT_MAX}"
            )));
        }
        let Opened { streams, writer, report, options } = recover::open(&disk, options)?;
        let state = State::new(streams, Space::new(options.segment_bytes), options.cache_bytes);
        let shared = Arc::new(Shared::new(disk, options.mode, state, writer));
        let writer = match options.mode {
            Mode::Inline => {
                shared.drive();
                None
            }
            Mode::Thread => {
                let shared = Arc::clone(&shared);
                let thread = thread::Builder::new().name("journal".to_owned());
                Some(thread.spawn(move || shared.run()).map_err(OpenError::Thread)?)
            }
        };
        Ok((Journal { shared, writer }, report))
    }

    /// The stream with this id; it is made by its first record.
    #[must_use]
    pub fn stream(&self, id: StreamId) -> Stream {
        Stream { id, shared: Arc::clone(&self.shared) }
    }

    /// Ids of all streams that have a record, in order.
    #[must_use]
    pub fn streams(&self) -> Vec<StreamId> {
        self.shared.state().streams.iter().map(|(id, _)| id).collect()
    }

    /// Whether the journal takes records.
    #[must_use]
    pub fn status(&self) -> Status {
        let state = self.shared.state();
        match &state.end {
            Some(End::Halted(halt)) => Status::Halted(Arc::clone(halt)),
            Some(End::Closed) => Status::Closed,
            None if state.full => Status::Full,
            None => Status::Open,
        }
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal").field("status", &self.status()).finish_non_exhaustive()
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.shared.close();
        // A `done` that owns the last handle runs on the writer thread, which cannot await itself.
        let Some(writer) = self.writer.take() else { return };
        if writer.thread().id() != thread::current().id() && writer.join().is_err() {
            tracing::error!("the journal's writer thread panicked");
        }
    }
}

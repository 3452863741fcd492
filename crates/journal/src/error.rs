//! What can go wrong, as the owner of a journal sees it.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::StreamId;

/// Why an operation on an open journal was not done.
///
/// Cheap to clone: one failed flush is told to everybody who waits.
#[derive(Clone, Debug, thiserror::Error)]
pub enum JournalError {
    /// The disk failed under a write or flush. Nothing more is written until the process has been
    /// restarted, because what a failed flush left behind is unknown.
    #[error("journal halted: {0}; replace or repair the disk, then restart this node")]
    Halted(Arc<Halt>),
    /// There is no space for the next segment. Nothing is lost; saves, truncates and purges go on
    /// while the reserve lasts, and appends are taken again when space returns.
    #[error(
        "journal full: no space left for the next segment of {segment_bytes} bytes; free space on its file system"
    )]
    Full {
        /// Size of the segment that could not be made.
        segment_bytes: u32,
    },
    /// The entry does not follow the last one of its stream.
    #[error("append to {stream} out of order: got index {got}, expected {expected}")]
    Order {
        /// The stream.
        stream: StreamId,
        /// The index that the stream takes next.
        expected: u64,
        /// The index that was given.
        got: u64,
    },
    /// The index lies outside of what the stream holds: before what was purged, or at the end of
    /// the range of indexes.
    #[error("index {index} of {stream} is outside of what the stream holds: {first}..{next}")]
    Range {
        /// The stream.
        stream: StreamId,
        /// The index that was asked for.
        index: u64,
        /// The first index that is not purged.
        first: u64,
        /// The index that the next entry will have.
        next: u64,
    },
    /// The record, or all slots together, are over the limit of a quarter of a segment.
    #[error("record of {bytes} bytes in {stream} is over the limit of {limit} bytes")]
    TooLarge {
        /// The stream.
        stream: StreamId,
        /// Size that was asked for.
        bytes: u64,
        /// Size that is possible.
        limit: u64,
    },
    /// An entry that is on disk was found damaged while it was read.
    #[error("{0}")]
    Damaged(Arc<Damage>),
    /// The file system could not read.
    #[error("failed to read segment {segment}: {cause}")]
    Read {
        /// The segment.
        segment: u32,
        /// What the operating system said.
        cause: Arc<io::Error>,
    },
    /// The journal was closed before.
    #[error("journal is closed")]
    Closed,
}

/// The first failure of the disk, kept for ever.
#[derive(Debug)]
pub struct Halt {
    /// What was being done: `write`, `flush`, `prepare segment`, ….
    pub operation: &'static str,
    /// The file.
    pub file: String,
    /// Where in the file, in bytes.
    pub offset: u64,
    /// What the operating system said.
    pub cause: io::Error,
}

impl fmt::Display for Halt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Halt { operation, file, offset, cause } = self;
        write!(f, "failed to {operation} {file} at byte {offset}: {cause}")
    }
}

/// Acknowledged records that cannot be read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Number of the segment.
    pub segment: u32,
    /// Where in its file, in bytes.
    pub offset: u64,
    /// The stream, when it is known.
    pub stream: Option<StreamId>,
    /// The entry's index, when it is known.
    pub index: Option<u64>,
    /// What was found.
    pub what: &'static str,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "journal segment {} is damaged at byte {}", self.segment, self.offset)?;
        if let Some(stream) = self.stream {
            write!(f, " ({stream}")?;
            if let Some(index) = self.index {
                write!(f, ", index {index}")?;
            }
            write!(f, ")")?;
        }
        write!(f, ": {}", self.what)
    }
}

/// Why a journal could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// An option is outside of its limits.
    #[error("failed to open journal: {0}")]
    Options(String),
    /// The folder cannot be used.
    #[error("failed to open journal folder {}", dir.display())]
    Folder {
        /// The folder.
        dir: PathBuf,
        /// What the operating system said.
        #[source]
        cause: io::Error,
    },
    /// Another process has the folder.
    #[error("failed to open journal in {0}: another process uses it; stop that process first")]
    Locked(String),
    /// A file was written by a newer version of this program.
    #[error(
        "failed to open journal: {file} has format version {found}, this program knows up to \
         {known}; start the newer program again"
    )]
    Version {
        /// The file.
        file: String,
        /// Version in the file.
        found: u32,
        /// Newest version that can be read.
        known: u32,
    },
    /// A segment belongs to another journal.
    #[error(
        "failed to open journal: {file} belongs to another journal; move it back to where it came from"
    )]
    Foreign {
        /// The file.
        file: String,
    },
    /// Acknowledged records are damaged: what is left must not pass for all that was written.
    #[error(
        "failed to open journal: {0}; records that were acknowledged are lost, and every file was \
         left as it is: keep them as evidence, and begin with a copy or with an empty folder"
    )]
    Damaged(Damage),
    /// The disk failed.
    #[error("failed to open journal: {0}")]
    Disk(Halt),
    /// The writer thread could not be started.
    #[error("failed to start the journal's writer thread")]
    Thread(#[source] io::Error),
}

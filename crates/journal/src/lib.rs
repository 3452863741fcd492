//! The durable log below consensus: records of several streams in one sequence of preallocated
//! segment files, flushed in groups by one writer thread.
//!
//! It must never acknowledge a record that a power cut could lose, never go on after a failed
//! flush, and never mistake damage in the middle for the torn end of an interrupted write.
//!
//! Start reading at `shared.rs` (callers, queue, writer: who waits for whom), then `sector.rs`,
//! `group.rs` and `record.rs` (the format, from the disk upwards), then `replay.rs` (what is read
//! back, and what counts as damage). `writer.rs` writes, `streams.rs` is what there is.
//!
//! ```
//! use std::sync::{Arc, mpsc};
//!
//! use regrow_journal::disk::memory::MemoryDisk;
//! use regrow_journal::{Journal, Options, StreamId};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let options = Options { segment_bytes: 1024 * 1024, ..Options::default() };
//! let (journal, _report) = Journal::open_on(Arc::new(MemoryDisk::new()), options)?;
//! let stream = journal.stream(StreamId(1));
//! let (tell, told) = mpsc::channel();
//! stream.append(vec![(0, "first".into()), (1, "second".into())], move |result| {
//!     tell.send(result).ok();
//! });
//! assert_eq!(stream.last(), Some(1));
//! told.recv()??;
//! # Ok(())
//! # }
//! ```
//!
//! # What cannot be noticed
//!
//! A disk that acknowledges the very last group and then forgets it without a trace looks like a
//! disk that was never given it. Any later group gives such a loss away, and so does the place where
//! a misdirected write went, if it lies in a file of the journal. Removing the files of all last
//! segments together looks the same.

mod blocks;
pub mod disk;
mod error;
mod fetch;
mod group;
mod journal;
mod options;
mod record;
mod recover;
mod replay;
mod report;
mod scan;
mod sector;
mod segment;
mod shared;
mod space;
mod state;
mod stream;
mod streams;
mod writer;

pub use error::{Damage, Halt, JournalError, OpenError};
pub use journal::{Journal, Status};
pub use options::{Mode, Options, SEGMENT_MAX, SEGMENT_MIN, Sync};
pub use report::{Report, Torn};
pub use stream::{Done, Slot, Stream, StreamId};

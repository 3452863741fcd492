//! The durable log below consensus: records of several streams in one sequence of preallocated
//! segment files, flushed in groups by one writer thread.
//!
//! It must never acknowledge a record that a power cut could lose, never go on after a failed
//! flush, and never mistake damage in the middle for the torn end of an interrupted write.

mod blocks;
pub mod disk;
mod error;
mod fetch;
mod group;
mod journal;
mod options;
mod rebuild;
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
pub use options::{Mode, OnDamage, Options, SEGMENT_MAX, SEGMENT_MIN, Sync};
pub use report::{Report, Torn};
pub use stream::{Done, Slot, Stream, StreamId};

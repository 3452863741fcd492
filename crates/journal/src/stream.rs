//! The handle on one stream: what a consensus group does with its log.

use std::fmt;
use std::ops::Range;

use bytes::Bytes;

use crate::JournalError;

/// Names one stream of a journal; one consensus group has one. `u32::MAX` is reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub u32);

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stream {}", self.0)
    }
}

/// Names one small value of a stream that is overwritten as a whole, such as the vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u8);

/// Is called once, when the operation is durable or has failed. It runs on the writer thread (or on
/// the caller's when the operation is refused at once, and always in
/// [`Mode::Inline`](crate::Mode::Inline)), with no lock held; it must not wait.
pub type Done = Box<dyn FnOnce(Result<(), JournalError>) + Send>;

/// One stream of a journal. Clones are the same stream.
///
/// Operations take effect in memory in the order of the calls and become durable in that order; an
/// operation that is reported as done is durable, and so are all before it. An entry that was
/// queued is readable at once. One caller at a time should change a stream. When more than an
/// eighth of a segment is queued, a call waits for the disk.
#[derive(Clone, Debug)]
pub struct Stream {
    pub(crate) id: StreamId,
}

impl Stream {
    /// The id.
    #[must_use]
    pub fn id(&self) -> StreamId {
        self.id
    }

    /// Appends entries. Their indexes must follow one another and the last entry. A stream that
    /// never had a record may begin at any index: what is before counts as purged.
    ///
    /// Fails with `Order`, `TooLarge`, `Full`, `Halted` or `Closed`. After `Order` and `TooLarge`
    /// nothing was appended; after `Full`, a prefix of the entries may have been.
    pub fn append(
        &self,
        _entries: Vec<(u64, Bytes)>,
        done: impl FnOnce(Result<(), JournalError>) + Send + 'static,
    ) {
        done(Err(JournalError::Closed));
    }

    /// Removes all entries after `last_to_keep`; with `None` all entries.
    ///
    /// Fails with `Range` when `last_to_keep` lies before the last purged entry.
    pub fn truncate_after(
        &self,
        _last_to_keep: Option<u64>,
        done: impl FnOnce(Result<(), JournalError>) + Send + 'static,
    ) {
        done(Err(JournalError::Closed));
    }

    /// Removes all entries up to and including `upto`, which may lie behind the last entry: the next
    /// append then begins at `upto + 1`. Does nothing when that much was purged already.
    pub fn purge(&self, _upto: u64, done: impl FnOnce(Result<(), JournalError>) + Send + 'static) {
        done(Err(JournalError::Closed));
    }

    /// Sets a slot. It is readable at once. All slots of a journal together may have a quarter of a
    /// segment.
    pub fn save(
        &self,
        _slot: Slot,
        _bytes: Bytes,
        done: impl FnOnce(Result<(), JournalError>) + Send + 'static,
    ) {
        done(Err(JournalError::Closed));
    }

    /// The newest value of a slot.
    #[must_use]
    pub fn load(&self, _slot: Slot) -> Option<Bytes> {
        None
    }

    /// Entries of `range` in order, from its start, which must not be purged, to its end, to the
    /// last entry, or until `max_bytes` are reached, whichever comes first. At least one entry is
    /// returned if there is one, whatever its size.
    ///
    /// Fails with `Range` when the start is purged, `Damaged` or `Read` when the file fails.
    pub fn read(
        &self,
        _range: Range<u64>,
        _max_bytes: usize,
    ) -> Result<Vec<(u64, Bytes)>, JournalError> {
        Err(JournalError::Closed)
    }

    /// Index of the first entry; `None` when there are no entries.
    #[must_use]
    pub fn first(&self) -> Option<u64> {
        None
    }

    /// Index of the last entry; `None` when there are no entries (see [`Stream::purged`]).
    #[must_use]
    pub fn last(&self) -> Option<u64> {
        None
    }

    /// Last index that was purged; remembered when the stream is empty.
    #[must_use]
    pub fn purged(&self) -> Option<u64> {
        None
    }

    /// The first index that this stream lost by damage, until [`Stream::heal`]: entries from there
    /// on and newer values of slots may have been acknowledged and are gone. Survives reopening.
    #[must_use]
    pub fn damaged(&self) -> Option<u64> {
        None
    }

    /// Takes the mark of damage away, after peers have refilled the stream.
    pub fn heal(&self, done: impl FnOnce(Result<(), JournalError>) + Send + 'static) {
        done(Err(JournalError::Closed));
    }
}

//! The handle on one stream: what a consensus group does with its log.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::JournalError;
use crate::record::{Change, HEAD};
use crate::shared::Shared;
use crate::streams::StreamState;

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
/// [`Mode::Inline`](crate::Mode::Inline)), with no lock held. It must neither wait nor change a stream: the
/// writer would wait for itself.
pub type Done = Box<dyn FnOnce(Result<(), JournalError>) + Send>;

/// One stream of a journal. Clones are the same stream.
///
/// Operations take effect in memory in the order of the calls and become durable in that order; an
/// operation that is reported as done is durable, and so are all before it. An entry that was
/// queued is readable at once. One caller at a time should change a stream. When a quarter of a
/// segment is queued, a call waits for the disk.
#[derive(Clone)]
pub struct Stream {
    pub(crate) id: StreamId,
    pub(crate) shared: Arc<Shared>,
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Stream {
    /// The id.
    #[must_use]
    pub fn id(&self) -> StreamId {
        self.id
    }

    /// Appends entries. Their indexes must follow one another and the last entry. A stream without
    /// entries that was never purged may begin at any index: what is before counts as purged. The
    /// bytes are shared, not copied: a part of a larger buffer keeps all of that in memory.
    ///
    /// Fails with `Order`, `Range` (the last possible index), `TooLarge`, `Full`, `Halted` or
    /// `Closed`. After `Order`, `Range` and `TooLarge` nothing was appended; after the others a
    /// prefix of the entries may have been.
    pub fn append(
        &self,
        entries: Vec<(u64, Bytes)>,
        done: impl FnOnce(Result<(), JournalError>) + Send + 'static,
    ) {
        let first = entries.first().map_or(0, |(index, _)| *index);
        let broken = entries.iter().zip(first..).find(|((got, _), expected)| got != expected);
        if let Some(((got, _), expected)) = broken {
            return done(Err(JournalError::Order { stream: self.id, expected, got: *got }));
        }
        let jump = entries.first().and_then(|(index, _)| self.jump(*index));
        let entries = entries.into_iter().map(|(index, bytes)| Change::Entry { index, bytes });
        self.submit(jump.into_iter().chain(entries).collect(), done);
    }

    /// The purge with which a stream begins at an index that is not 0.
    fn jump(&self, first: u64) -> Option<Change> {
        let state = self.shared.state();
        let virgin = state.streams.get(self.id).is_none_or(StreamState::is_virgin);
        let upto = first.checked_sub(1).filter(|_| virgin)?;
        Some(Change::Purge { upto })
    }

    /// Removes all entries after `last_to_keep`; with `None` all entries.
    ///
    /// Fails with `Range` when an entry to remove was purged, that is when `last_to_keep` lies
    /// before [`Stream::purged`].
    pub fn truncate_after(
        &self,
        last_to_keep: Option<u64>,
        done: impl FnOnce(Result<(), JournalError>) + Send + 'static,
    ) {
        let from = last_to_keep.map_or_else(
            || self.with(|state| Some(state.first())).unwrap_or(0),
            |last| last.saturating_add(1),
        );
        self.submit(vec![Change::Truncate { from }], done);
    }

    /// Removes all entries up to and including `upto`, which may lie behind the last entry: the next
    /// append then begins at `upto + 1`. Does nothing when that much was purged already.
    ///
    /// Fails with `Range` for `u64::MAX`, else as any change.
    pub fn purge(&self, upto: u64, done: impl FnOnce(Result<(), JournalError>) + Send + 'static) {
        self.submit(vec![Change::Purge { upto }], done);
    }

    /// Sets a slot. It is readable at once. All slots of a journal together may have a quarter of a
    /// segment.
    ///
    /// Fails with `TooLarge`, else as any change.
    pub fn save(
        &self,
        slot: Slot,
        bytes: Bytes,
        done: impl FnOnce(Result<(), JournalError>) + Send + 'static,
    ) {
        self.submit(vec![Change::Slot { slot: slot.0, bytes }], done);
    }

    /// The newest value of a slot.
    #[must_use]
    pub fn load(&self, slot: Slot) -> Option<Bytes> {
        self.with(|state| state.kept.slots.get(&slot.0).cloned())
    }

    /// Entries of `range` in order, from its start, which must not be purged, to its end, to the
    /// last entry, or until `max_bytes` are reached, whichever comes first. At least one entry is
    /// returned if there is one, whatever its size.
    ///
    /// Fails with `Range` when the start is purged, `Damaged` or `Read` when the file fails.
    pub fn read(
        &self,
        range: Range<u64>,
        max_bytes: usize,
    ) -> Result<Vec<(u64, Bytes)>, JournalError> {
        self.shared.read(self.id, range, max_bytes)
    }

    /// Bytes of the largest entry, or slot, that a stream takes: a good quarter of a segment.
    #[must_use]
    pub fn entry_limit(&self) -> usize {
        self.shared.state().space.record_limit() - HEAD
    }

    /// Index of the first entry; `None` when there are no entries.
    #[must_use]
    pub fn first(&self) -> Option<u64> {
        self.with(|state| (!state.is_empty()).then(|| state.first()))
    }

    /// Index of the last entry; `None` when there are no entries (see [`Stream::purged`]).
    #[must_use]
    pub fn last(&self) -> Option<u64> {
        self.with(|state| (!state.is_empty()).then(|| state.next() - 1))
    }

    /// Last index that was purged; remembered when the stream is empty.
    #[must_use]
    pub fn purged(&self) -> Option<u64> {
        self.with(|state| state.kept.floor.checked_sub(1))
    }

    fn submit(
        &self,
        changes: Vec<Change>,
        done: impl FnOnce(Result<(), JournalError>) + Send + 'static,
    ) {
        self.shared.submit(self.id, changes, Box::new(done));
    }

    fn with<T>(&self, look: impl FnOnce(&StreamState) -> Option<T>) -> Option<T> {
        self.shared.state().streams.get(self.id).and_then(look)
    }
}

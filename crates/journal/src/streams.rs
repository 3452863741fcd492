//! What the streams hold, as plain data: which entries there are, where they lie, the slots.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use crate::group::Location;
use crate::record::{self, Change};
use crate::{JournalError, StreamId};

/// The part of a stream that every new segment repeats, so that older segments may go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Kept {
    /// The first index that is not purged.
    pub(crate) floor: u64,
    pub(crate) slots: BTreeMap<u8, Bytes>,
}

impl Kept {
    /// Does what `change` does to this part.
    pub(crate) fn apply(&mut self, change: &Change) {
        match change {
            Change::Purge { upto } => self.floor = self.floor.max(upto + 1),
            Change::Slot { slot, bytes } => {
                self.slots.insert(*slot, bytes.clone());
            }
            Change::Entry { .. } | Change::Truncate { .. } => {}
        }
    }
}

/// The repeated part of all streams.
#[derive(Clone, Debug, Default)]
pub(crate) struct Checkpoint(BTreeMap<StreamId, Kept>);

impl Checkpoint {
    pub(crate) fn apply(&mut self, stream: StreamId, change: &Change) {
        self.0.entry(stream).or_default().apply(change);
    }

    /// The changes that lead from nothing to this state.
    pub(crate) fn changes(&self) -> Vec<(StreamId, Change)> {
        let mut changes = Vec::new();
        for (id, kept) in &self.0 {
            if let Some(upto) = kept.floor.checked_sub(1) {
                changes.push((*id, Change::Purge { upto }));
            }
            let slots = kept.slots.iter();
            changes
                .extend(slots.map(|(slot, bytes)| {
                    (*id, Change::Slot { slot: *slot, bytes: bytes.clone() })
                }));
        }
        changes
    }
}

/// An entry that is in memory.
#[derive(Clone, Debug)]
struct Recent {
    serial: u64,
    bytes: Bytes,
}

/// Where an entry can be read.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    Memory(Bytes),
    Disk(Location),
}

/// One stream.
#[derive(Clone, Debug, Default)]
pub(crate) struct StreamState {
    pub(crate) kept: Kept,
    /// Index of the first of `locations`, or of the next entry. Equal to the floor, except while a
    /// journal is being read whose oldest segments are gone.
    first: u64,
    locations: VecDeque<Location>,
    /// The last entries, all that are queued among them.
    recent: VecDeque<Recent>,
}

impl StreamState {
    pub(crate) fn first(&self) -> u64 {
        self.first
    }

    pub(crate) fn next(&self) -> u64 {
        self.first + self.locations.len() as u64
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.locations.is_empty()
    }

    /// Whether the stream may begin anywhere: it has no entries and never was purged.
    pub(crate) fn is_virgin(&self) -> bool {
        self.is_empty() && self.kept.floor == 0
    }

    /// The segment of the first entry, if that is on disk.
    pub(crate) fn oldest_segment(&self) -> Option<u32> {
        self.locations.front().map(|at| at.segment).filter(|segment| *segment != 0)
    }

    /// Adds a queued entry that follows the last.
    pub(crate) fn push_recent(&mut self, serial: u64, bytes: Bytes) {
        self.locations.push_back(Location::QUEUED);
        self.recent.push_back(Recent { serial, bytes });
    }

    /// Adds an entry found on disk.
    pub(crate) fn push_found(&mut self, index: u64, at: Location) {
        if self.is_empty() {
            self.first = index;
        }
        self.locations.push_back(at);
    }

    /// Removes entries, sets slots; returns the bytes that memory no longer holds.
    pub(crate) fn apply(&mut self, change: &Change) -> usize {
        self.kept.apply(change);
        match *change {
            Change::Truncate { from } => self.cut(from),
            Change::Purge { upto } => self.drop_before(upto + 1),
            Change::Entry { .. } | Change::Slot { .. } => 0,
        }
    }

    /// Where entry `index` lies.
    pub(crate) fn location(&self, index: u64) -> Location {
        self.source(index).1
    }

    fn cut(&mut self, from: u64) -> usize {
        let keep = usize::try_from(from.saturating_sub(self.first)).unwrap_or(usize::MAX);
        self.first = self.first.min(from);
        let removed = self.locations.len().saturating_sub(keep);
        self.locations.truncate(keep);
        let left = self.recent.len().saturating_sub(removed);
        self.recent.drain(left..).map(|entry| entry.bytes.len()).sum()
    }

    fn drop_before(&mut self, floor: u64) -> usize {
        let count = usize::try_from(floor.saturating_sub(self.first)).unwrap_or(usize::MAX);
        self.locations.drain(..count.min(self.locations.len()));
        self.first = self.first.max(floor);
        let surplus = self.recent.len().saturating_sub(self.locations.len());
        self.recent.drain(..surplus).map(|entry| entry.bytes.len()).sum()
    }

    /// Notes where the queued entry with this serial now lies on disk.
    pub(crate) fn landed(&mut self, index: u64, serial: u64, at: Location) {
        let Some(recent) = index.checked_sub(self.first_recent()) else { return };
        let recent = usize::try_from(recent).unwrap_or(usize::MAX);
        // Another serial: the entry was removed and its index given again.
        if self.recent.get(recent).is_some_and(|entry| entry.serial == serial) {
            let place = self.locations.len() - self.recent.len() + recent;
            self.locations[place] = at;
        }
    }

    fn first_recent(&self) -> u64 {
        self.next() - self.recent.len() as u64
    }

    /// Takes entry `index` out of memory if it is the oldest there. Returns its bytes, or `None`
    /// when it must stay because it is not on disk yet.
    pub(crate) fn evict(&mut self, index: u64) -> Option<usize> {
        if self.recent.is_empty() || self.first_recent() != index {
            return Some(0);
        }
        if self.location(index).segment == 0 {
            return None;
        }
        self.recent.pop_front().map(|entry| entry.bytes.len())
    }

    /// Whether entry `index` is in memory.
    pub(crate) fn remembers(&self, index: u64) -> bool {
        (self.first_recent()..self.next()).contains(&index)
    }

    fn source(&self, index: u64) -> (usize, Location) {
        let place = usize::try_from(index - self.first).unwrap_or(usize::MAX);
        (place, self.locations[place])
    }

    /// Where to read entry `index`, and its size; the stream holds it.
    pub(crate) fn find(&self, index: u64) -> (Source, usize) {
        let (place, at) = self.source(index);
        let on_disk = self.locations.len() - self.recent.len();
        match place.checked_sub(on_disk).and_then(|recent| self.recent.get(recent)) {
            Some(entry) => (Source::Memory(entry.bytes.clone()), entry.bytes.len()),
            None => (Source::Disk(at), (at.size as usize).saturating_sub(record::HEAD)),
        }
    }

    /// Whether `change` may be made to `stream`, which is this one.
    pub(crate) fn check(&self, stream: StreamId, change: &Change) -> Result<(), JournalError> {
        let (first, next) = (self.first, self.next());
        let outside = |index| Err(JournalError::Range { stream, index, first, next });
        match *change {
            Change::Entry { index, .. } | Change::Purge { upto: index } if index == u64::MAX => {
                outside(index)
            }
            Change::Entry { index, .. } if index != next && !self.is_virgin() => {
                Err(JournalError::Order { stream, expected: next, got: index })
            }
            Change::Truncate { from } if from < first => outside(from),
            _ => Ok(()),
        }
    }
}

/// All streams.
#[derive(Clone, Debug, Default)]
pub(crate) struct Streams(BTreeMap<StreamId, StreamState>);

impl Streams {
    pub(crate) fn get(&self, id: StreamId) -> Option<&StreamState> {
        self.0.get(&id)
    }

    /// The stream; it is made if it is new.
    pub(crate) fn get_mut(&mut self, id: StreamId) -> &mut StreamState {
        self.0.entry(id).or_default()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (StreamId, &StreamState)> {
        self.0.iter().map(|(id, state)| (*id, state))
    }

    /// The oldest segment that holds a live entry.
    pub(crate) fn oldest_segment(&self) -> Option<u32> {
        self.0.values().filter_map(StreamState::oldest_segment).min()
    }

    /// The repeated part of all streams.
    pub(crate) fn checkpoint(&self) -> Checkpoint {
        Checkpoint(self.0.iter().map(|(id, state)| (*id, state.kept.clone())).collect())
    }

    /// A stream that lacks entries in front, and the first index that it lacks.
    pub(crate) fn gap(&self) -> Option<(StreamId, u64)> {
        let gap = self.0.iter().find(|(_, state)| state.first != state.kept.floor);
        gap.map(|(id, state)| (*id, state.kept.floor))
    }
}

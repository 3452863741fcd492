//! What callers see at once: streams, queue, cache, whether the journal takes records.
//!
//! Plain data under one lock; never waits and never touches a file.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::error::Halt;
use crate::group::Location;
use crate::record::Change;
use crate::segment::Segment;
use crate::space::Space;
use crate::stream::Done;
use crate::streams::Streams;
use crate::{JournalError, StreamId};

/// A change that waits to be written, or only somebody who waits for all before.
pub(crate) struct Op {
    pub(crate) stream: StreamId,
    pub(crate) change: Option<Change>,
    pub(crate) serial: u64,
    pub(crate) done: Option<Done>,
}

impl Op {
    /// Bytes of its record.
    pub(crate) fn size(&self) -> usize {
        self.change.as_ref().map_or(0, Change::size)
    }
}

/// Why nothing is taken any more.
#[derive(Clone)]
pub(crate) enum End {
    Halted(Arc<Halt>),
    Closed,
}

impl End {
    pub(crate) fn error(&self) -> JournalError {
        match self {
            End::Halted(halt) => JournalError::Halted(Arc::clone(halt)),
            End::Closed => JournalError::Closed,
        }
    }
}

/// Whether a change is taken.
pub(crate) enum Admission {
    Now,
    /// When the writer has come further.
    Later,
}

pub(crate) struct State {
    pub(crate) streams: Streams,
    pub(crate) space: Space,
    pub(crate) end: Option<End>,
    /// There was no space for the next segment.
    pub(crate) full: bool,
    /// Sectors that can be written for sure; as of when the batch in flight was taken.
    pub(crate) room: u64,
    /// Files to read entries from.
    pub(crate) segments: BTreeMap<u32, Segment>,
    queue: Vec<Op>,
    queued: usize,
    in_flight: usize,
    serial: u64,
    /// Entries in memory, oldest first, with some that are gone among them.
    order: VecDeque<(StreamId, u64)>,
    cached: usize,
    cache_bytes: usize,
}

/// What the writer takes at a time.
pub(crate) struct Batch {
    pub(crate) ops: Vec<Op>,
    /// The oldest segment that still has a live entry once the batch is on disk; the current one
    /// and later ones stay anyway.
    pub(crate) live: u32,
}

impl State {
    pub(crate) fn new(streams: Streams, space: Space, cache_bytes: usize) -> State {
        State {
            streams,
            space,
            end: None,
            full: false,
            room: 0,
            segments: BTreeMap::new(),
            queue: Vec::new(),
            queued: 0,
            in_flight: 0,
            serial: 0,
            order: VecDeque::new(),
            cached: 0,
            cache_bytes,
        }
    }

    /// Whether `change` fits now. Entries leave a quarter of the last segment to other changes.
    pub(crate) fn admit(&self, change: &Change) -> Result<Admission, JournalError> {
        if let Some(end) = &self.end {
            return Err(end.error());
        }
        let space = self.space;
        let queued = self.queued + change.size();
        let need = space.cost(self.in_flight) + space.cost(queued);
        let reserve = match change {
            Change::Entry { .. } => u64::from(space.quarter),
            _ => 0,
        };
        if need + reserve > self.room {
            let full = JournalError::Full { segment_bytes: space.segment_bytes };
            return if self.full { Err(full) } else { Ok(Admission::Later) };
        }
        let short = self.queue.is_empty() || space.cost(queued) <= u64::from(space.quarter);
        Ok(if short { Admission::Now } else { Admission::Later })
    }

    /// What all streams with their slots take from a checkpoint, without the slot that `change`
    /// replaces; 0 when the change adds nothing to it.
    pub(crate) fn kept_without(&self, stream: StreamId, change: &Change) -> usize {
        let replaced = match change {
            Change::Slot { slot, .. } => Some(slot),
            _ if self.streams.get(stream).is_some() => return 0,
            _ => None,
        };
        let sizes = self.streams.iter().map(|(id, state)| {
            let slots = state.kept.slots.iter();
            let others = slots.filter(move |(slot, _)| id != stream || Some(*slot) != replaced);
            Space::kept(others.map(|(_, bytes)| bytes.len()))
        });
        // One for the stream if it is new.
        sizes.sum::<usize>() + Space::kept(std::iter::empty())
    }

    /// Makes the change in memory and queues it.
    pub(crate) fn queue(&mut self, stream: StreamId, change: Option<Change>, done: Option<Done>) {
        self.serial += 1;
        if let Some(change) = &change {
            let state = self.streams.get_mut(stream);
            if let Change::Entry { index, bytes } = change {
                state.push_recent(self.serial, bytes.clone());
                self.order.push_back((stream, *index));
                self.cached += bytes.len();
            } else {
                self.cached -= state.apply(change);
            }
            self.queued += change.size();
        }
        self.queue.push(Op { stream, change, serial: self.serial, done });
    }

    /// Whether something is queued.
    pub(crate) fn is_idle(&self) -> bool {
        self.queue.is_empty()
    }

    /// Hands everything queued to the writer.
    pub(crate) fn take(&mut self) -> Batch {
        self.in_flight = std::mem::take(&mut self.queued);
        let live = self.streams.oldest_segment().unwrap_or(u32::MAX);
        Batch { ops: std::mem::take(&mut self.queue), live }
    }

    /// Notes where the records of `ops` lie now, and forgets what the cache need not hold.
    pub(crate) fn landed(&mut self, ops: &[Op], at: &[Location]) {
        for (op, at) in ops.iter().filter(|op| op.change.is_some()).zip(at) {
            if let Some(Change::Entry { index, .. }) = op.change {
                self.streams.get_mut(op.stream).landed(index, op.serial, *at);
            }
        }
        while self.cached > self.cache_bytes {
            let Some((stream, index)) = self.order.front().copied() else { break };
            let Some(bytes) = self.streams.get_mut(stream).evict(index) else { break };
            self.cached -= bytes;
            self.order.pop_front();
        }
        self.tidy_order();
    }

    /// Drops the front of the order as far as it names entries that memory does not hold: without
    /// it, a journal whose entries are purged early would collect names for ever.
    fn tidy_order(&mut self) {
        while let Some((stream, index)) = self.order.front() {
            if self.streams.get(*stream).is_some_and(|state| state.remembers(*index)) {
                break;
            }
            self.order.pop_front();
        }
    }

    /// Notes that the batch is on disk.
    pub(crate) fn landed_all(&mut self) {
        self.in_flight = 0;
    }

    /// Notes what the writer can take now, of which the batch in flight may take its part.
    pub(crate) fn settled(&mut self, room: u64, full: bool, segments: &BTreeMap<u32, Segment>) {
        self.room = room;
        self.full = full;
        self.segments.clone_from(segments);
    }

    /// Takes nothing any more; returns those who wait in the queue.
    pub(crate) fn finish(&mut self, end: End) -> Vec<Op> {
        self.end.get_or_insert(end);
        std::mem::take(&mut self.queue)
    }
}

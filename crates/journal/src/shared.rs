//! Brings callers and writer together: who waits for whom, who is told what.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use crate::disk::Disk;
use crate::error::Halt;
use crate::fetch::{damaged, fetch};
use crate::group::Location;
use crate::record::Change;
use crate::segment::Segment;
use crate::state::{Admission, Batch, End, Op, State};
use crate::stream::Done;
use crate::streams::Source;
use crate::writer::Writer;
use crate::{JournalError, Mode, StreamId};

/// The name of the evidence file of a halted journal.
pub(crate) const HALTED: &str = "halted";
/// How often a full journal looks whether there is space again.
const RETRY: Duration = Duration::from_secs(1);

/// One open journal.
pub(crate) struct Shared {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) mode: Mode,
    state: Mutex<State>,
    /// Something was queued, or there is more room, or the end.
    changed: Condvar,
    turns: Mutex<Turns>,
}

/// The writer, and what it has taken and not written yet.
pub(crate) struct Turns {
    writer: Writer,
    backlog: std::vec::IntoIter<Op>,
    /// A batch was taken and is to be settled when it is written; its oldest live segment.
    settle: Option<u32>,
    /// A group was written: the next segment gets its turn, so that it is ready in time.
    prepare: bool,
}

/// What one turn of the writer came to.
enum Turn {
    /// These are to be told this.
    Tell(Vec<Done>, Result<(), JournalError>),
    /// Something was done that nobody waits for.
    Went,
    /// There is nothing to do.
    Idle,
}

impl Shared {
    pub(crate) fn new(disk: Arc<dyn Disk>, mode: Mode, mut state: State, writer: Writer) -> Shared {
        state.settled(writer.room(), writer.is_full(), writer.segments());
        let turns = Turns { writer, backlog: Vec::new().into_iter(), settle: None, prepare: false };
        let (state, turns) = (Mutex::new(state), Mutex::new(turns));
        Shared { disk, mode, state, changed: Condvar::new(), turns }
    }

    /// What callers see.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes changes of one stream, in order; `done` is told when the last is durable.
    pub(crate) fn submit(&self, stream: StreamId, changes: Vec<Change>, done: Done) {
        if self.mode == Mode::Inline && self.state().full {
            self.turns().writer.retry();
            self.drive();
        }
        match self.enqueue(stream, changes) {
            Ok(mut state) => state.queue(stream, None, Some(done)),
            Err(error) => done(Err(error)),
        }
        match self.mode {
            Mode::Inline => self.drive(),
            Mode::Thread => self.changed.notify_all(),
        }
    }

    fn enqueue(
        &self,
        stream: StreamId,
        changes: Vec<Change>,
    ) -> Result<MutexGuard<'_, State>, JournalError> {
        let mut state = self.state();
        if let Some(end) = &state.end {
            return Err(end.error());
        }
        for change in &changes {
            let kept = state.kept_without(stream, change);
            state.space.check(stream, change, kept)?;
        }
        for change in changes {
            while let Admission::Later = state.admit(&change)? {
                state = self.wait(state);
            }
            if let Some(current) = state.streams.get(stream) {
                current.check(stream, &change)?;
            }
            state.queue(stream, Some(change), None);
        }
        Ok(state)
    }

    /// Lets the writer come further.
    fn wait<'a>(&'a self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        match self.mode {
            Mode::Thread => {
                self.changed.notify_all();
                self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
            }
            Mode::Inline => {
                drop(state);
                self.drive();
                self.state()
            }
        }
    }

    /// Takes turns until there is nothing to do.
    pub(crate) fn drive(&self) {
        loop {
            match self.turn() {
                Turn::Tell(waiting, result) => tell(waiting, &result),
                Turn::Went => {}
                Turn::Idle => return,
            }
        }
    }

    /// The writer thread: takes turns until the journal is closed and everything is written.
    pub(crate) fn run(&self) {
        let _ended = Ended(self);
        loop {
            self.drive();
            let state = self.state();
            if !state.is_idle() {
                continue;
            }
            if state.end.is_some() {
                return;
            }
            if state.full {
                let woken = self.changed.wait_timeout(state, RETRY);
                drop(woken.unwrap_or_else(PoisonError::into_inner));
                self.turns().writer.retry();
            } else {
                drop(self.changed.wait(state).unwrap_or_else(PoisonError::into_inner));
            }
        }
    }

    fn turns(&self) -> MutexGuard<'_, Turns> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One step of the writer. The order is: the rest of the batch, with a part of the next segment
    /// after each group; what the batch purged; the next batch; when nothing is queued, the rest of
    /// the next segment.
    fn turn(&self) -> Turn {
        let mut turns = self.turns();
        let Turns { writer, backlog, settle, prepare } = &mut *turns;
        if matches!(self.state().end, Some(End::Halted(_))) {
            return Turn::Idle;
        }
        if std::mem::take(prepare) && writer.is_preparing() {
            return self.prepare(writer, None);
        }
        if !backlog.as_slice().is_empty() {
            *prepare = true;
            return self.write(writer, backlog);
        }
        if let Some(live) = settle.take() {
            return self.prepare(writer, Some(live));
        }
        let mut state = self.state();
        if !state.is_idle() {
            let Batch { ops, live } = state.take();
            *backlog = ops.into_iter();
            *settle = Some(live);
            return Turn::Went;
        }
        // A journal that is closing needs no further segment.
        if writer.is_preparing() && state.end.is_none() {
            drop(state);
            return self.prepare(writer, None);
        }
        Turn::Idle
    }

    /// Writes the next group of the batch.
    fn write(&self, writer: &mut Writer, backlog: &mut std::vec::IntoIter<Op>) -> Turn {
        let limit = self.state().space.group_bytes();
        let (mut bytes, mut count) = (0, 0);
        for op in backlog.as_slice() {
            bytes += op.size();
            if count > 0 && bytes > limit {
                break;
            }
            count += 1;
        }
        let ops: Vec<Op> = backlog.take(count).collect();
        let changes: Vec<_> =
            ops.iter().filter_map(|op| Some((op.stream, op.change.as_ref()?))).collect();
        let written = if changes.is_empty() { Ok(Vec::new()) } else { writer.write(&changes) };
        match written {
            Ok(at) => {
                let mut state = self.state();
                state.segments.clone_from(writer.segments());
                state.landed(&ops, &at);
                drop(state);
                Turn::Tell(ops.into_iter().filter_map(|op| op.done).collect(), Ok(()))
            }
            Err(halt) => self.halt(halt, ops.into_iter().chain(backlog)),
        }
    }

    /// Takes dead segments out (`live` is the oldest one that is not) and goes on with the next.
    fn prepare(&self, writer: &mut Writer, live: Option<u32>) -> Turn {
        let retired = live.map_or(Ok(()), |live| writer.retire(live));
        let prepared = retired.and_then(|()| match writer.is_preparing() {
            true => writer.prepare(),
            false => Ok(()),
        });
        if let Err(halt) = prepared {
            return self.halt(halt, std::iter::empty());
        }
        let mut state = self.state();
        state.settled(writer.room(), writer.is_full(), writer.segments());
        if live.is_some() {
            state.landed_all();
        }
        drop(state);
        self.changed.notify_all();
        Turn::Went
    }

    /// Ends all writing, and tries to keep evidence.
    fn halt(&self, halt: Halt, unwritten: impl Iterator<Item = Op>) -> Turn {
        tracing::error!(%halt, "journal halted");
        let text =
            format!("{}: {halt} (os error {:?})\n", self.disk.now(), halt.cause.raw_os_error());
        if let Err(error) = self.disk.note(HALTED, &text) {
            tracing::error!(%error, "failed to keep evidence of the halt");
        }
        let end = End::Halted(Arc::new(halt));
        let queued = self.state().finish(end.clone());
        self.changed.notify_all();
        let waiting = unwritten.chain(queued).filter_map(|op| op.done).collect();
        Turn::Tell(waiting, Err(end.error()))
    }

    /// Takes nothing any more; what is queued is still written.
    pub(crate) fn close(&self) {
        self.state().end.get_or_insert(End::Closed);
        self.changed.notify_all();
    }

    /// Entries of a stream; see [`crate::Stream::read`].
    pub(crate) fn read(
        &self,
        stream: StreamId,
        range: std::ops::Range<u64>,
        max_bytes: usize,
    ) -> Result<Vec<(u64, Bytes)>, JournalError> {
        let mut found = Vec::new();
        {
            let state = self.state();
            let Some(entries) = state.streams.get(stream) else { return Ok(Vec::new()) };
            let (first, next) = (entries.first(), entries.next());
            if range.start < first {
                return Err(JournalError::Range { stream, index: range.start, first, next });
            }
            let mut bytes = 0_usize;
            for index in range.start..range.end.min(next) {
                let (source, size) = entries.find(index);
                bytes = bytes.saturating_add(size);
                if !found.is_empty() && bytes > max_bytes {
                    break;
                }
                let source = match source {
                    Source::Memory(bytes) => Ok(bytes),
                    Source::Disk(at) => Err((at, state.segments.get(&at.segment).cloned())),
                };
                found.push((index, source));
            }
        }
        let fetch = |(index, source)| match source {
            Ok(bytes) => Ok((index, bytes)),
            Err((at, segment)) => Ok((index, self.fetch(stream, index, at, segment)?)),
        };
        found.into_iter().map(fetch).collect()
    }

    /// Reads an entry from its file. It may have been purged meanwhile, and the file reused.
    fn fetch(
        &self,
        stream: StreamId,
        index: u64,
        at: Location,
        segment: Option<Segment>,
    ) -> Result<Bytes, JournalError> {
        let missing = || damaged(stream, index, at, "its segment is missing");
        segment.ok_or_else(missing).and_then(|file| fetch(stream, index, at, &file)).map_err(
            |error| {
                let state = self.state();
                match state.streams.get(stream).map(|entries| (entries.first(), entries.next())) {
                    Some((first, next)) if index < first => {
                        JournalError::Range { stream, index, first, next }
                    }
                    _ => error,
                }
            },
        )
    }
}

/// Closes the journal should a `done` have panicked on the writer thread, so that nobody waits for
/// a writer that is gone.
struct Ended<'a>(&'a Shared);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        let queued = self.0.state().finish(End::Closed);
        self.0.changed.notify_all();
        let taken = std::mem::take(&mut self.0.turns().backlog);
        let waiting = taken.chain(queued).filter_map(|op| op.done).collect();
        tell(waiting, &Err(JournalError::Closed));
    }
}

fn tell(waiting: Vec<Done>, result: &Result<(), JournalError>) {
    for done in waiting {
        done(result.clone());
    }
}

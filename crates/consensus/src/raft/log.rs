//! A group's log: one stream of the journal.

use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use openraft::storage::{IOFlushed, RaftLogStorage};
use openraft::{LogState, RaftLogReader};
use regrow_journal::{JournalError, Slot, Stream};
use tokio::sync::oneshot;

use crate::raft::record::{
    Position, VoteRecord, decode, decode_entry, encode, encode_entry, log_id, position,
};
use crate::raft::{Entry, LogId, Types, Vote};

/// The vote: survives everything, or a node could vote twice in a term.
const VOTE: Slot = Slot(1);
/// The last purged position, with its term, which the stream does not know.
const PURGED: Slot = Slot(2);
/// Most bytes of entries in one message to a follower, unless one entry is larger. Heartbeats share the
/// connection, and a message must not hold them up on a slow link.
const MESSAGE_BYTES: usize = 256 << 10;
/// How often a member whose journal is full looks whether there is space again.
const FULL_AGAIN: Duration = Duration::from_millis(200);
/// Most bytes of entries taken from the journal at once.
const READ_BYTES: usize = 4 << 20;

/// The log of one group. Clones are the same log.
#[derive(Clone)]
pub(crate) struct Log {
    stream: Stream,
    grown: Arc<AtomicU64>,
}

fn failed(error: JournalError) -> io::Error {
    io::Error::other(error)
}

fn interval(range: &impl RangeBounds<u64>) -> std::ops::Range<u64> {
    let start = match range.start_bound() {
        Bound::Included(first) => *first,
        Bound::Excluded(before) => before.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(last) => last.saturating_add(1),
        Bound::Excluded(behind) => *behind,
        Bound::Unbounded => u64::MAX,
    };
    start..end
}

impl Log {
    /// The log that is kept in `stream`.
    pub(crate) fn new(stream: Stream) -> Self {
        Self { stream, grown: Arc::default() }
    }

    /// Bytes of entries that were appended since the start or since it was [measured
    /// again](Self::measure_again).
    pub(crate) fn grown(&self) -> u64 {
        self.grown.load(Ordering::Relaxed)
    }

    /// Counts from zero again.
    pub(crate) fn measure_again(&self) {
        self.grown.store(0, Ordering::Relaxed);
    }

    /// The last position that was purged, or was going to be.
    pub(crate) fn purged(&self) -> io::Result<Option<Position>> {
        self.stream.load(PURGED).map(|bytes| decode("purged position", &bytes)).transpose()
    }

    fn entries(&self, range: std::ops::Range<u64>, most: usize) -> io::Result<Vec<Entry>> {
        // Asking for what is gone, or not there yet, is no fault here.
        let Some(first) = self.stream.first() else { return Ok(Vec::new()) };
        let range = range.start.max(first)..range.end;
        if range.is_empty() {
            return Ok(Vec::new());
        }
        let found = self.stream.read(range, most).map_err(failed)?;
        found.iter().map(|(index, bytes)| decode_entry(*index, bytes)).collect()
    }

    async fn durable(
        &self,
        change: impl FnOnce(&Stream, Box<dyn FnOnce(Result<(), JournalError>) + Send>),
    ) -> io::Result<()> {
        let (told, hears) = oneshot::channel();
        // A receiver that is gone does not need to hear.
        change(&self.stream, Box::new(move |result| drop(told.send(result))));
        match hears.await {
            Ok(result) => result.map_err(failed),
            Err(_) => Err(failed(JournalError::Closed)),
        }
    }

    async fn save(&self, slot: Slot, bytes: Bytes) -> io::Result<()> {
        self.durable(|stream, done| stream.save(slot, bytes, done)).await
    }
}

/// Who is to be told of a flush, until he is.
type Waiting = Arc<Mutex<Option<IOFlushed<Types>>>>;

impl Log {
    /// Appends; true when the journal is full and refused some of it, which it says at once. Who waits
    /// for the flush waits on then: to fail here would stop the member for good.
    fn is_refused_as_full(&self, entries: &[(u64, Bytes)], waiting: &Waiting) -> bool {
        let (full, told) = (Arc::new(AtomicBool::new(false)), waiting.clone());
        let noted = full.clone();
        self.stream.append(entries.to_vec(), move |result| {
            if matches!(result, Err(JournalError::Full { .. })) {
                noted.store(true, Ordering::Release);
            } else if let Some(told) = told.lock().unwrap_or_else(PoisonError::into_inner).take() {
                told.io_completed(result.map_err(failed));
            }
        });
        full.load(Ordering::Acquire)
    }
}

impl RaftLogReader<Types> for Log {
    async fn try_get_log_entries<R>(&mut self, range: R) -> io::Result<Vec<Entry>>
    where
        R: RangeBounds<u64> + Clone + Debug + Send,
    {
        let mut wanted = interval(&range);
        let mut found = Vec::new();
        loop {
            let more = self.entries(wanted.clone(), READ_BYTES)?;
            let Some(last) = more.last() else { return Ok(found) };
            wanted.start = last.log_id.index + 1;
            found.extend(more);
        }
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        self.entries(start..end, MESSAGE_BYTES)
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        let Some(bytes) = self.stream.load(VOTE) else { return Ok(None) };
        Ok(Some(decode::<VoteRecord>("vote", &bytes)?.into()))
    }
}

impl RaftLogStorage<Types> for Log {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<Types>> {
        let purged = self.purged()?.map(log_id);
        // A crash between saving the position and purging: the log must not begin before what was
        // purged, nor end before it, or the next entry would not fit.
        if let Some(upto) =
            purged.map(|id| id.index).filter(|upto| self.stream.purged() < Some(*upto))
        {
            self.durable(|stream, done| stream.purge(upto, done)).await?;
        }
        let last = match self.stream.last() {
            Some(last) => self.entries(last..last + 1, 1)?.first().map(|entry| entry.log_id),
            None => None,
        };
        let last_log_id = last.max(purged);
        Ok(LogState { last_purged_log_id: purged, last_log_id })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        self.save(VOTE, encode(&VoteRecord::from(vote))?).await
    }

    async fn append<I>(&mut self, entries: I, flushed: IOFlushed<Types>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + Send,
        I::IntoIter: Send,
    {
        let entries: io::Result<Vec<_>> = entries
            .into_iter()
            .map(|entry| Ok((entry.log_id.index, encode_entry(&entry)?)))
            .collect();
        let mut entries = entries?;
        let bytes: usize = entries.iter().map(|(_, bytes)| bytes.len()).sum();
        self.grown.fetch_add(bytes as u64, Ordering::Relaxed);
        let waiting = Arc::new(Mutex::new(Some(flushed)));
        let mut told = false;
        while self.is_refused_as_full(&entries, &waiting) {
            if !told {
                tracing::error!("no space for the log: this member waits; free space on its disk");
                told = true;
            }
            tokio::time::sleep(FULL_AGAIN).await;
            let last = self.stream.last();
            entries.retain(|(index, _)| last.is_none_or(|last| *index > last));
        }
        Ok(())
    }

    async fn truncate_after(&mut self, last_to_keep: Option<LogId>) -> io::Result<()> {
        let last = last_to_keep.map(|id| id.index);
        self.durable(|stream, done| stream.truncate_after(last, done)).await
    }

    async fn purge(&mut self, upto: LogId) -> io::Result<()> {
        self.save(PURGED, encode(&position(&upto))?).await?;
        self.durable(|stream, done| stream.purge(upto.index, done)).await
    }
}

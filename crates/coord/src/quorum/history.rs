//! The newest changes, kept in memory for watchers.
//!
//! Watchers pull: each has only its place, so a slow one costs nothing and is told when what it has
//! not read is gone.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use futures::{Stream, stream};
use regrow_ids::Revision;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::error::WatchError;
use crate::key::Span;
use crate::watch::{Batch, Change};

/// How much is kept for watchers. Whichever is reached first ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Most revisions. At least one is kept.
    pub revisions: usize,
    /// Most bytes of keys and values.
    pub bytes: usize,
}

impl Default for Bounds {
    /// Minutes of a busy cluster, within a share of an agent's memory that is bearable.
    fn default() -> Self {
        Self { revisions: 10_000, bytes: 8 << 20 }
    }
}

/// A watcher that finds nothing of its own tells how far it has come at most this often.
const PROGRESS_EVERY: Duration = Duration::from_secs(5);

/// Revisions that a watcher looks at while it holds the lock.
const LOOK_AT_ONCE: usize = 256;

/// The newest changes.
pub struct History {
    bounds: Bounds,
    ring: Mutex<Ring>,
    last: watch::Sender<Revision>,
}

#[derive(Default)]
struct Ring {
    /// Batches of consecutive revisions.
    batches: VecDeque<Arc<Batch>>,
    bytes: usize,
    /// The newest revision, in `batches` or before the first of them.
    last: u64,
}

impl Ring {
    /// The oldest revision from which a watcher can begin.
    fn oldest(&self) -> u64 {
        self.last + 1 - self.batches.len() as u64
    }

    fn restart(&mut self, last: u64) {
        *self = Self { last, ..Self::default() };
    }
}

fn bytes_of(batch: &Batch) -> usize {
    let bytes = |change: &Change| match change {
        Change::Put(entry) => entry.key.as_str().len() + entry.value.len(),
        Change::Delete(key) => key.as_str().len(),
    };
    batch.changes.iter().map(bytes).sum()
}

/// What a watcher finds at its place.
enum Look {
    /// What it waits for is not there yet, or not in what was looked at; its place moved.
    Nothing,
    Found(Batch),
    Gone {
        oldest: u64,
    },
}

impl History {
    pub(crate) fn new(bounds: Bounds) -> Self {
        let last = watch::Sender::new(Revision::new(0));
        Self { bounds, ring: Mutex::default(), last }
    }

    fn change(&self, change: impl FnOnce(&mut Ring)) {
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut ring);
        self.last.send_replace(Revision::new(ring.last));
    }

    /// Adds what was committed. Batches that are known already are left out; after a gap, watchers
    /// behind it are told.
    pub(crate) fn add(&self, batches: Vec<Batch>) {
        if batches.is_empty() {
            return;
        }
        self.change(|ring| {
            for batch in batches {
                let revision = batch.revision.get();
                if revision <= ring.last {
                    continue;
                }
                if revision != ring.last + 1 {
                    ring.restart(revision - 1);
                }
                ring.last = revision;
                ring.bytes += bytes_of(&batch);
                ring.batches.push_back(Arc::new(batch));
            }
            while ring.batches.len() > self.bounds.revisions.max(1)
                || (ring.bytes > self.bounds.bytes && ring.batches.len() > 1)
            {
                ring.bytes -= ring.batches.pop_front().map_or(0, |batch| bytes_of(&batch));
            }
        });
    }

    /// Begins anew behind a revision that nothing is known of.
    pub(crate) fn restart(&self, last: Revision) {
        self.change(|ring| ring.restart(last.get()));
    }

    /// Drops everything, and the next revision with it: a change was not understood.
    pub(crate) fn forget(&self) {
        self.change(|ring| ring.restart(ring.last + 1));
    }

    /// Looks for changes of a span from revision `next` on, and moves `next` behind them.
    fn look(&self, span: &Span, next: &mut u64) -> Look {
        let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let oldest = ring.oldest();
        if *next < oldest {
            return Look::Gone { oldest };
        }
        let skip = usize::try_from(*next - oldest).unwrap_or(usize::MAX);
        for batch in ring.batches.iter().skip(skip).take(LOOK_AT_ONCE) {
            *next = batch.revision.get() + 1;
            let own = |change: &&Change| span.contains(change.key());
            let changes: Vec<_> = batch.changes.iter().filter(own).cloned().collect();
            if !changes.is_empty() {
                return Look::Found(Batch { revision: batch.revision, changes });
            }
        }
        Look::Nothing
    }

    /// The changes of a span from a revision on.
    pub(crate) fn watch(
        self: &Arc<Self>,
        span: Span,
        from: Revision,
    ) -> impl Stream<Item = Result<Batch, WatchError>> + Send + use<> {
        let place = Place {
            history: Arc::downgrade(self),
            last: self.last.subscribe(),
            span,
            next: from.get().max(1),
            told: from.get().max(1),
            told_at: Instant::now(),
        };
        stream::unfold(Some(place), async |place| {
            let mut place = place?;
            match place.next().await {
                Ok(batch) => Some((Ok(batch), Some(place))),
                Err(error) => Some((Err(error), None)),
            }
        })
    }
}

/// Where a watcher is.
struct Place {
    history: Weak<History>,
    last: watch::Receiver<Revision>,
    span: Span,
    /// The next revision to look at.
    next: u64,
    /// Everything before this revision was delivered, and the reader was told so then.
    told: u64,
    told_at: Instant,
}

impl Place {
    async fn next(&mut self) -> Result<Batch, WatchError> {
        let gone = || WatchError::Lost { reason: "the replica has stopped".into() };
        loop {
            self.last.mark_unchanged();
            let before = self.next;
            let look = self.history.upgrade().ok_or_else(gone)?.look(&self.span, &mut self.next);
            match look {
                Look::Found(batch) => return Ok(self.tell(batch)),
                Look::Gone { oldest } => {
                    return Err(WatchError::Compacted { oldest: Revision::new(oldest) });
                }
                Look::Nothing if self.next > before => tokio::task::yield_now().await,
                Look::Nothing => {
                    if let Some(progress) = self.progress() {
                        return Ok(progress);
                    }
                    self.last.changed().await.map_err(|_| gone())?;
                }
            }
        }
    }

    /// What tells that nothing happened up to a place which the reader does not know of.
    fn progress(&mut self) -> Option<Batch> {
        let due = self.next > self.told && self.told_at.elapsed() >= PROGRESS_EVERY;
        let batch = Batch { revision: Revision::new(self.next - 1), changes: Vec::new() };
        due.then(|| self.tell(batch))
    }

    fn tell(&mut self, batch: Batch) -> Batch {
        self.told = self.next;
        self.told_at = Instant::now();
        batch
    }
}

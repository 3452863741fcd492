//! Watches: the changes of a span, in order.

use futures::StreamExt;
use futures::stream::BoxStream;
use regrow_ids::Revision;

use crate::entry::Entry;
use crate::error::WatchError;
use crate::key::Key;

/// One changed key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It was made or replaced.
    Put(Entry),
    /// It was removed.
    Delete(Key),
}

impl Change {
    /// The key.
    pub const fn key(&self) -> &Key {
        match self {
            Self::Put(entry) => &entry.key,
            Self::Delete(key) => key,
        }
    }
}

/// The changes of one revision; without changes it tells only how far the watch has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Everything of the span up to this revision has been delivered with this batch.
    pub revision: Revision,
    /// What changed, in no promised order. Each key once.
    pub changes: Vec<Change>,
}

/// A running watch. Ends when dropped.
///
/// Nothing is sent ahead of the reader without bound: one that is too slow is told
/// [`WatchError::Compacted`] when the backend no longer keeps what it has not read.
pub struct Watch {
    batches: BoxStream<'static, Result<Batch, WatchError>>,
}

impl Watch {
    pub(crate) fn new(batches: BoxStream<'static, Result<Batch, WatchError>>) -> Self {
        Self { batches }
    }

    /// The next batch; waits for it. May be dropped and called again without a loss.
    ///
    /// # Errors
    /// The watch ended; every later call says so too.
    pub async fn next(&mut self) -> Result<Batch, WatchError> {
        let over = || Err(WatchError::Lost { reason: "this watch has ended".into() });
        self.batches.next().await.unwrap_or_else(over)
    }
}

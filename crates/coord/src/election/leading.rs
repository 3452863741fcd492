//! Leadership that was won: how long it lasts, and how it is given back.

use std::sync::Arc;

use bytes::Bytes;
use regrow_consensus::Consistency;
use regrow_ids::{Fence, Revision};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::coordinator::Coordinator;
use crate::entry::Entry;
use crate::error::CoordError;
use crate::keeper::HeldLease;
use crate::key::{Key, Span};
use crate::retry::Retry;
use crate::txn::{Compare, Txn};
use crate::watch::Change;

/// This process leads. Dropping it gives the leadership back soon; [`resign`](Self::resign) says
/// when that is done.
pub struct Leading {
    coordinator: Arc<dyn Coordinator>,
    key: Key,
    created: Revision,
    held: HeldLease,
    /// Somebody removed the key.
    removed: watch::Receiver<bool>,
    _watching: DropGuard,
}

impl Leading {
    pub(super) fn new(coordinator: Arc<dyn Coordinator>, own: Entry, held: HeldLease) -> Self {
        let (sender, removed) = watch::channel(false);
        let stop = CancellationToken::new();
        let watching = watch_own(coordinator.clone(), own.key.clone(), own.created, sender);
        tokio::spawn(stop.clone().run_until_cancelled_owned(watching));
        let (key, created) = (own.key, own.created);
        Self { coordinator, key, created, held, removed, _watching: stop.drop_guard() }
    }

    /// Larger than that of every leader before, under this name.
    pub const fn fence(&self) -> Fence {
        Fence::new(self.created.get())
    }

    /// Holds in a transaction as long as this leadership does. What is written by transactions that
    /// compare it is written by one leader at a time, whatever clocks say.
    pub fn guard(&self) -> Compare {
        Compare::Created(self.key.clone(), self.created)
    }

    /// True while nobody else can lead, by this process's own clock; see [`HeldLease`].
    pub fn holds(&self) -> bool {
        !*self.removed.borrow() && self.held.holds()
    }

    /// The moment until which it holds unless its lease is renewed, see [`HeldLease::until`]; `None`
    /// when it is lost.
    pub fn until(&self) -> Option<Instant> {
        if *self.removed.borrow() { None } else { self.held.until() }
    }

    /// Returns when the leadership is lost, or may be: before another can have it where the lease
    /// runs out, soon after where somebody removed the key.
    pub async fn lost(&self) {
        let mut removed = self.removed.clone();
        tokio::select! {
            () = self.held.lost() => {}
            // An error means that nobody watches any more, which a lease survives.
            () = async {
                if removed.wait_for(|removed| *removed).await.is_err() {
                    std::future::pending::<()>().await;
                }
            } => {}
        }
    }

    /// Changes what the leader says of itself.
    ///
    /// # Errors
    /// It was not executed, or nobody knows. [`CoordError::Refused`] when this leadership is over.
    pub async fn proclaim(&self, value: impl Into<Bytes> + Send) -> Result<(), CoordError> {
        let txn = Txn::new().when(self.guard());
        let txn = txn.put_leased(self.key.clone(), value, self.held.id());
        if self.coordinator.transact(&txn).await?.succeeded {
            return Ok(());
        }
        let reason = "this leadership is over".into();
        Err(CoordError::Refused { doing: "change what the leader says", reason })
    }

    /// Gives the leadership back: when this returns, the next one can have it.
    ///
    /// # Errors
    /// The backend does not answer; then it ends with its lease, which is no longer renewed.
    pub async fn resign(self) -> Result<(), CoordError> {
        let Self { coordinator, held, .. } = self;
        let lease = held.id();
        // Stops renewing first, so that nothing brings it back.
        drop(held);
        coordinator.revoke(lease).await
    }
}

/// Ends when the own key is gone.
async fn watch_own(
    coordinator: Arc<dyn Coordinator>,
    key: Key,
    created: Revision,
    removed: watch::Sender<bool>,
) {
    let span = Span::One(key.clone());
    let mut retry = Retry::default();
    loop {
        match coordinator.get(&key, Consistency::Linearizable).await {
            Ok(got) if got.entry.as_ref().is_none_or(|entry| entry.created != created) => break,
            Ok(got) => {
                if deleted(&*coordinator, &span, got.revision.next()).await {
                    break;
                }
            }
            Err(error) => tracing::debug!(%error, "look for the own key again soon"),
        }
        retry.wait().await;
    }
    removed.send_replace(true);
}

/// Waits for a deletion; false when the watch ends without one.
async fn deleted(coordinator: &dyn Coordinator, span: &Span, from: Revision) -> bool {
    let Ok(mut watch) = coordinator.watch(span, from).await else { return false };
    while let Ok(batch) = watch.next().await {
        if batch.changes.iter().any(|change| matches!(change, Change::Delete(_))) {
            return true;
        }
    }
    false
}

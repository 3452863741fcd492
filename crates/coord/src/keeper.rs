//! A lease that is kept alive, and known to hold by its holder's own clock.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::coordinator::Coordinator;
use crate::error::CoordError;
use crate::lease::{Lease, LeaseId};

/// Renewals in the time of a lease: two may fail before it is lost.
const RENEWALS: u32 = 3;

/// The part of a lease's time that the holder does not use, so that it stops before another can
/// begin though their clocks run at rates that differ by as much.
const MARGIN: u32 = 10;

/// A lease kept alive in the background until this value is dropped, which revokes it.
///
/// The holder counts from the moment at which it *asked* for the last renewal that succeeded, by its
/// own monotonic clock, and gives up a tenth of the time before the backend can end the lease. A
/// process that was stopped, or whose messages were delayed, so knows by itself that it may have
/// lost. A clock that stands still while the machine sleeps is not seen by this: what must be safe
/// then too compares the fence.
pub struct HeldLease {
    id: LeaseId,
    standing: watch::Receiver<Standing>,
    /// Stops the keeper, which then revokes the lease.
    _keeping: DropGuard,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Standing {
    /// Holds until then, unless renewed.
    until: Instant,
    /// Ended for good.
    ended: bool,
}

fn safe(ttl: Duration) -> Duration {
    ttl - ttl / MARGIN
}

impl HeldLease {
    /// Grants a lease and keeps it.
    ///
    /// # Errors
    /// It was not granted.
    pub async fn grant(
        coordinator: Arc<dyn Coordinator>,
        ttl: Duration,
    ) -> Result<Self, CoordError> {
        let asked = Instant::now();
        let lease = coordinator.grant(ttl).await?;
        Ok(Self::keep(coordinator, lease, asked))
    }

    /// Goes on keeping a lease whose keeper died with its process.
    ///
    /// # Errors
    /// [`CoordError::UnknownLease`] when it ended; or it was not renewed.
    pub async fn adopt(
        coordinator: Arc<dyn Coordinator>,
        lease: LeaseId,
    ) -> Result<Self, CoordError> {
        let asked = Instant::now();
        let lease = coordinator.keep_alive(lease).await?;
        Ok(Self::keep(coordinator, lease, asked))
    }

    fn keep(coordinator: Arc<dyn Coordinator>, lease: Lease, asked: Instant) -> Self {
        let until = asked + safe(lease.ttl);
        let (sender, standing) = watch::channel(Standing { until, ended: false });
        let stop = CancellationToken::new();
        let keeper = Keeper { coordinator, lease, standing: sender, asked };
        tokio::spawn(keeper.run(stop.clone()));
        Self { id: lease.id, standing, _keeping: stop.drop_guard() }
    }

    /// Its name.
    pub const fn id(&self) -> LeaseId {
        self.id
    }

    /// True while nobody else can believe that it ended. Asks the clock, so it is right also where
    /// this process was stopped a moment ago.
    pub fn holds(&self) -> bool {
        let standing = *self.standing.borrow();
        !standing.ended && Instant::now() < standing.until
    }

    /// The moment until which it holds unless it is renewed; each renewal moves it. `None` when it
    /// ended. Nobody else can believe that it ended before a tenth of its time has passed after that.
    pub fn until(&self) -> Option<Instant> {
        let standing = *self.standing.borrow();
        (!standing.ended).then_some(standing.until)
    }

    /// Returns when it is lost: its time may be over, or it was revoked.
    pub async fn lost(&self) {
        let mut changes = self.standing.clone();
        loop {
            let Standing { until, ended } = *changes.borrow_and_update();
            if ended || Instant::now() >= until {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep_until(until) => {}
                changed = changes.changed() => if changed.is_err() {
                    // The keeper went away with its runtime.
                    return;
                },
            }
        }
    }
}

struct Keeper {
    coordinator: Arc<dyn Coordinator>,
    lease: Lease,
    standing: watch::Sender<Standing>,
    /// When the last renewal that succeeded was asked for.
    asked: Instant,
}

impl Keeper {
    async fn run(mut self, stop: CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.keep() => {}
        }
        self.standing.send_modify(|standing| standing.ended = true);
        // Others need not wait for its time to pass. Where this fails, they do.
        if let Err(error) = self.coordinator.revoke(self.lease.id).await {
            tracing::debug!(%error, "a lease that is given up ends by itself");
        }
    }

    /// Renews until it is lost.
    async fn keep(&mut self) {
        let mut due = self.asked + self.lease.ttl / RENEWALS;
        loop {
            let until = self.standing.borrow().until;
            tokio::time::sleep_until(due.min(until)).await;
            let asked = Instant::now();
            if asked >= until {
                return;
            }
            let renewal = self.coordinator.keep_alive(self.lease.id);
            // One that hangs must not take the time of those after it.
            let patience = until.min(asked + self.lease.ttl / RENEWALS);
            match tokio::time::timeout_at(patience, renewal).await {
                Ok(Ok(lease)) => {
                    self.asked = asked;
                    due = asked + lease.ttl / RENEWALS;
                    let until = asked + safe(lease.ttl);
                    self.standing.send_modify(|standing| standing.until = until);
                }
                Ok(Err(error)) if error.may_pass() => {
                    tracing::debug!(%error, lease = %self.lease.id, "renewed again soon");
                    due = Instant::now() + self.lease.ttl / (4 * RENEWALS);
                }
                Ok(Err(error)) => {
                    tracing::warn!(%error, lease = %self.lease.id, "lease lost");
                    return;
                }
                Err(_) => due = Instant::now(),
            }
        }
    }
}

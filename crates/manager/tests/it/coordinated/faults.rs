//! A replica's way to the coordinator, with the faults of a process that is stopped or whose clock
//! stands still.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use regrow_coord::{
    Capabilities, CoordError, Coordinator, Key, Lease, LeaseId, Listing, Query, Span, Txn,
    TxnReply, Watch, Write,
};
use regrow_ids::Revision;
use tokio::sync::watch;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    /// Nothing comes through until it is healed.
    Hang,
    /// The next transaction is sent, executed or not, and its answer is lost. After it so many calls
    /// cannot be made.
    LoseAnswer {
        executed: bool,
        calls: u32,
    },
    /// So many calls cannot be made.
    Away {
        calls: u32,
    },
    /// The replica believes that its lease was renewed, and hears nothing of the end of its key: as
    /// if its clock stood still while that of all others goes on.
    StopClock,
}

pub struct Faulty {
    coordinator: Arc<dyn Coordinator>,
    fault: watch::Sender<Fault>,
    /// The key of this replica in the election.
    own: Mutex<Option<Key>>,
    ttl: Mutex<Duration>,
    /// Draws how long each call is under way before it is executed.
    delays: Mutex<Option<StdRng>>,
    /// Transactions that were sent.
    pub sent: AtomicUsize,
}

impl Faulty {
    pub fn new(coordinator: Arc<dyn Coordinator>) -> Self {
        let fault = watch::Sender::new(Fault::None);
        let (own, ttl, delays, sent) = Default::default();
        Self { coordinator, fault, own, ttl, delays, sent }
    }

    /// From now on calls overtake one another, as this seed has it.
    pub fn delay(&self, seed: u64) {
        *self.delays.lock().expect("lock") = Some(StdRng::seed_from_u64(seed));
    }

    pub fn hang(&self) {
        self.fault.send_replace(Fault::Hang);
    }

    /// What a partition does that begins while a transaction is under way: its answer is lost, and
    /// so many calls after it cannot be made.
    pub fn lose_answer(&self, executed: bool, calls: u32) {
        self.fault.send_replace(Fault::LoseAnswer { executed, calls });
    }

    pub fn stop_clock(&self) {
        self.fault.send_replace(Fault::StopClock);
    }

    pub fn heal(&self) {
        self.fault.send_replace(Fault::None);
    }

    async fn pass(&self) {
        let draw = |rng: &mut StdRng| Duration::from_millis(rng.random_range(0..4));
        let delay = self.delays.lock().expect("lock").as_mut().map(draw);
        if let Some(delay) = delay {
            tokio::time::sleep(delay).await;
        }
        let mut fault = self.fault.subscribe();
        let healed = fault.wait_for(|fault| *fault != Fault::Hang).await;
        drop(healed);
    }

    /// Fails while the replica cannot be heard.
    fn reach(&self) -> Result<(), CoordError> {
        let Fault::Away { calls } = *self.fault.borrow() else { return Ok(()) };
        let left = calls.saturating_sub(1);
        self.fault.send_replace(if left == 0 { Fault::None } else { Fault::Away { calls: left } });
        Err(CoordError::Unavailable { doing: "call", reason: "no route".into() })
    }

    fn is(&self, fault: Fault) -> bool {
        *self.fault.borrow() == fault
    }
}

#[async_trait]
impl Coordinator for Faulty {
    fn capabilities(&self) -> Capabilities {
        self.coordinator.capabilities()
    }

    async fn range(&self, query: &Query) -> Result<Listing, CoordError> {
        self.pass().await;
        self.reach()?;
        self.coordinator.range(query).await
    }

    async fn transact(&self, txn: &Txn) -> Result<TxnReply, CoordError> {
        self.sent.fetch_add(1, Ordering::Relaxed);
        for write in &txn.then.writes {
            if let Write::Put { key, lease: Some(_), .. } = write {
                *self.own.lock().expect("lock") = Some(key.clone());
            }
        }
        self.pass().await;
        self.reach()?;
        let fault = *self.fault.borrow();
        if let Fault::LoseAnswer { executed, calls } = fault {
            self.fault.send_replace(Fault::Away { calls });
            if executed {
                self.coordinator.transact(txn).await?;
            }
            return Err(CoordError::Unknown { doing: "execute", reason: "line cut".into() });
        }
        self.coordinator.transact(txn).await
    }

    async fn watch(&self, span: &Span, from: Revision) -> Result<Watch, CoordError> {
        let own = self.own.lock().expect("lock").clone();
        if let (Span::One(key), Some(own)) = (span, own)
            && *key == own
        {
            // Whether its own key is gone a replica hears only while nothing is wrong with it.
            let mut fault = self.fault.subscribe();
            while self.is(Fault::None) {
                let got =
                    self.coordinator.get(key, regrow_coord::Consistency::Linearizable).await?;
                if got.entry.is_none() {
                    break;
                }
                let changed = tokio::time::timeout(Duration::from_millis(500), fault.changed());
                drop(changed.await);
            }
            drop(fault.wait_for(|fault| *fault == Fault::None).await);
        }
        self.pass().await;
        self.coordinator.watch(span, from).await
    }

    async fn grant(&self, ttl: Duration) -> Result<Lease, CoordError> {
        self.pass().await;
        *self.ttl.lock().expect("lock") = ttl;
        self.coordinator.grant(ttl).await
    }

    async fn keep_alive(&self, lease: LeaseId) -> Result<Lease, CoordError> {
        if self.is(Fault::StopClock) {
            return Ok(Lease { id: lease, ttl: *self.ttl.lock().expect("lock") });
        }
        self.pass().await;
        self.coordinator.keep_alive(lease).await
    }

    async fn revoke(&self, lease: LeaseId) -> Result<(), CoordError> {
        self.pass().await;
        self.coordinator.revoke(lease).await
    }
}

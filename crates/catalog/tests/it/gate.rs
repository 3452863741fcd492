//! A replica whose leader can be taken away.

use std::sync::Arc;

use async_trait::async_trait;
use regrow_consensus::{
    Consistency, Leadership, Outcome, ProposeError, ReadError, Replica, Snapshot, Status,
};
use tokio::sync::watch;

/// Another replica, behind a gate that is open while somebody leads.
pub struct Gate {
    inner: Arc<dyn Replica>,
    leadership: watch::Sender<Leadership>,
}

impl Gate {
    /// With a leader.
    pub fn new(inner: Arc<dyn Replica>) -> Arc<Self> {
        let leadership = watch::Sender::new(inner.status().leadership);
        Arc::new(Self { inner, leadership })
    }

    /// Takes the leader away, or gives it back.
    pub fn lead(&self, leads: bool) {
        self.leadership.send_modify(|now| {
            now.leader = leads.then_some(1);
            now.leading = leads;
        });
    }

    fn leads(&self) -> bool {
        self.leadership.borrow().leading
    }
}

#[async_trait]
impl Replica for Gate {
    async fn propose(&self, command: Vec<u8>) -> Result<Outcome, ProposeError> {
        if self.leads() { self.inner.propose(command).await } else { Err(ProposeError::NoLeader) }
    }

    async fn read(&self, consistency: Consistency) -> Result<Snapshot, ReadError> {
        match self.leads() || consistency == Consistency::Stale {
            true => self.inner.read(consistency).await,
            false => Err(ReadError::NoLeader),
        }
    }

    fn leadership(&self) -> watch::Receiver<Leadership> {
        self.leadership.subscribe()
    }

    fn applied(&self) -> watch::Receiver<u64> {
        self.inner.applied()
    }

    fn status(&self) -> Status {
        Status { leadership: *self.leadership.borrow(), ..self.inner.status() }
    }
}

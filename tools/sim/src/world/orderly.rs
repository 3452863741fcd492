//! A member as the product's clients on its node see it: one command at a time, so that those who wait
//! for a leader go on in one order, and a seed stays a run.

use std::sync::Arc;

use async_trait::async_trait;
use regrow_consensus::{
    Consistency, Group, Leadership, Outcome, ProposeError, ReadError, Replica, Snapshot, Status,
};
use tokio::sync::watch;

use super::port::Port;

/// A member with a queue before it.
pub struct Orderly {
    /// The member.
    pub group: Arc<Group>,
    /// Who has the queue.
    pub port: Arc<Port>,
}

#[async_trait]
impl Replica for Orderly {
    async fn propose(&self, command: Vec<u8>) -> Result<Outcome, ProposeError> {
        let _turn = self.port.writing.lock().await;
        self.group.propose(command).await
    }

    async fn read(&self, consistency: Consistency) -> Result<Snapshot, ReadError> {
        self.group.read(consistency).await
    }

    fn leadership(&self) -> watch::Receiver<Leadership> {
        self.group.leadership()
    }

    fn applied(&self) -> watch::Receiver<u64> {
        self.group.applied()
    }

    fn status(&self) -> Status {
        self.group.status()
    }
}

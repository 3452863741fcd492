//! Who asks and commands: a replica and the hub of its machine.

use std::sync::Arc;
use std::time::Duration;

use regrow_consensus::{Consistency, ProposeError, ReadError, Replica};
use tokio::time::Instant;

use super::{Answer, Found, Hub, Read, ReadOptions};
use crate::machine::{Command, Refusal, Reply, command};

/// Longest wait of a blocked question.
const WAIT_MAX: Duration = Duration::from_secs(600);

/// Why a question has no answer.
pub type AskError = ReadError;

/// Why a command was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExecuteError {
    /// The machine said no; nothing was changed.
    #[error("{0}")]
    Refused(#[from] Refusal),
    /// The replica has no outcome.
    #[error("{0}")]
    Propose(#[from] ProposeError),
}

/// Asks and commands the catalog through one replica. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    replica: Arc<dyn Replica>,
    hub: Hub,
}

impl Client {
    /// Over the catalog's part of a replica, and the hub of the machine that runs in it.
    pub fn new(replica: Arc<dyn Replica>, hub: Hub) -> Self {
        Self { replica, hub }
    }

    /// The replica.
    pub fn replica(&self) -> &Arc<dyn Replica> {
        &self.replica
    }

    /// The hub.
    pub fn hub(&self) -> &Hub {
        &self.hub
    }

    /// Executes a command and returns what became of it.
    ///
    /// # Errors
    /// It was refused, or has no outcome; the error says whether it may have been executed.
    pub async fn execute(&self, command: &Command) -> Result<Reply, ExecuteError> {
        let outcome = self.replica.propose(command::encode(command)).await?;
        Ok(command::decode_reply(&outcome.reply)?)
    }

    /// Asks. With an index, answers when there is a higher one, or after the wait with what there is
    /// then. Dropping the future ends the wait.
    ///
    /// # Errors
    /// The data cannot be had at that consistency.
    pub async fn ask<T>(&self, read: &Read<T>, how: &ReadOptions) -> Result<Answer<T>, AskError> {
        if how.index == 0 {
            return Ok(self.answer(self.look(read, how.consistency).await?));
        }
        // First the place in the hub, then the look: what changes in between wakes us.
        let subscription = self.hub.subscribe(read.topics());
        let deadline = Instant::now() + jittered(how.wait.min(WAIT_MAX));
        let mut found = self.look(read, how.consistency).await?;
        while found.index <= how.index {
            tokio::select! {
                () = subscription.changed() => {}
                () = tokio::time::sleep_until(deadline) => {
                    let last = self.look(read, how.consistency).await?;
                    return Ok(self.answer(Found { index: last.index.max(found.index), ..last }));
                }
            }
            // The replica has applied what woke us: no need to ask the leader.
            found = self.look(read, Consistency::Stale).await?;
        }
        Ok(self.answer(found))
    }

    async fn look<T>(
        &self,
        read: &Read<T>,
        consistency: Consistency,
    ) -> Result<Found<T>, AskError> {
        let snapshot = self.replica.read(consistency).await?;
        Ok(read.look(snapshot.view())?)
    }

    fn answer<T>(&self, found: Found<T>) -> Answer<T> {
        let status = self.replica.status();
        Answer {
            value: found.value,
            index: found.index.max(1),
            known_leader: status.leadership.leader.is_some(),
            last_contact: status.last_contact,
        }
    }
}

/// A little longer than asked for, so that many readers do not come back at once.
fn jittered(wait: Duration) -> Duration {
    let most = u64::try_from(wait.as_millis() / 16).unwrap_or(0);
    wait + Duration::from_millis(rand::random_range(0..=most))
}

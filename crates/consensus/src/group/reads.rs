//! Reads that see everything acknowledged before them. Readers that come while the leader asks its
//! majority share the next question.

use bytes::Bytes;
use openraft::ReadPolicy;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use crate::group::Group;
use crate::raft::Engine;
use crate::replica::{Consistency, ReadError};
use crate::transport::Ask;

/// Most readers that share one question.
const SHARED: usize = 1024;

type Reader = oneshot::Sender<Result<u64, NotConfirmed>>;

/// This member does not lead, or could not show that it does.
#[derive(Clone, Copy, Debug)]
pub(super) struct NotConfirmed;

/// The questions to the majority.
pub(super) struct Reads {
    confirmed: mpsc::Sender<Reader>,
    leased: mpsc::Sender<Reader>,
}

impl Reads {
    pub(super) fn start(engine: &Engine) -> Self {
        Self {
            confirmed: serve(engine.clone(), ReadPolicy::ReadIndex),
            leased: serve(engine.clone(), ReadPolicy::LeaseRead),
        }
    }

    /// The index that a read begun now must see.
    pub(super) async fn index(&self, consistency: Consistency) -> Result<u64, NotConfirmed> {
        let (told, hears) = oneshot::channel();
        let asked = match consistency {
            Consistency::Lease => &self.leased,
            Consistency::Linearizable | Consistency::Stale => &self.confirmed,
        };
        asked.send(told).await.map_err(|_| NotConfirmed)?;
        hears.await.unwrap_or(Err(NotConfirmed))
    }
}

fn serve(engine: Engine, policy: ReadPolicy) -> mpsc::Sender<Reader> {
    let (asked, mut asks) = mpsc::channel::<Reader>(SHARED);
    tokio::spawn(async move {
        let mut readers = Vec::new();
        while asks.recv_many(&mut readers, SHARED).await > 0 {
            let answer = match engine.ensure_linearizable(policy.clone()).await {
                Ok(read) => Ok(read.log_id().index),
                Err(_) => Err(NotConfirmed),
            };
            for reader in readers.drain(..) {
                // A reader that went away does not need to hear.
                let _ = reader.send(answer);
            }
        }
    });
    asked
}

impl Group {
    /// The index that a read begun now must see, asked of the leader, wherever it is.
    pub(super) async fn read_index(
        &self,
        consistency: Consistency,
        deadline: Instant,
    ) -> Result<u64, ReadError> {
        let mut changes = self.leadership.subscribe();
        loop {
            match timeout_at(deadline, self.read_index_once(consistency, deadline)).await {
                Ok(Some(index)) => return Ok(index),
                Ok(None) if Instant::now() < deadline => self.pause(&mut changes).await,
                _ => return Err(ReadError::NoLeader),
            }
        }
    }

    async fn read_index_once(&self, consistency: Consistency, deadline: Instant) -> Option<u64> {
        let Some(leader) = self.other_leader() else {
            return self.reads.index(consistency).await.ok();
        };
        let left = deadline.saturating_duration_since(Instant::now());
        let body = Bytes::from_static(match consistency {
            Consistency::Lease => &[1, 1],
            Consistency::Linearizable | Consistency::Stale => &[1, 0],
        });
        let asked = self.transport.call(&leader, self.options.group, Ask::ReadIndex, body, left);
        let reply = tokio::select! {
            reply = asked => reply.ok()?,
            // Nothing is lost by asking the next one.
            () = self.led_by_another(leader.node) => return None,
        };
        let index: Option<u64> = crate::raft::decode("read index", &reply).ok()?;
        index
    }

    /// Answers another member that wants to read.
    pub(super) async fn answer_read_index(&self, body: &[u8]) -> Option<u64> {
        let consistency = match body {
            [1, 1] => Consistency::Lease,
            [1, 0] => Consistency::Linearizable,
            _ => return None,
        };
        self.reads.index(consistency).await.ok()
    }
}

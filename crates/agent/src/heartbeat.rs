//! Every node tells the leader that it lives; the leader keeps when it last heard of whom.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use regrow_consensus::{Consistency, Replica as _};
use regrow_pki::NodeNumber;
use regrow_wire::{Caller, Fault, FaultCode, Method};
use tokio::time::Instant;

use crate::agent::Agent;
use crate::messages::{Beat, BeatReply, decode, encode};
use crate::nodes::Command;

/// How often a node tells that it lives.
pub(crate) const BEAT_EVERY: Duration = Duration::from_secs(1);
/// A node that the leader has not heard for so long is dead.
pub(crate) const DEAD_AFTER: Duration = Duration::from_secs(5);

/// When the leader last heard of whom.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    last: Mutex<BTreeMap<NodeNumber, Instant>>,
}

impl Heard {
    /// Heard of a node now.
    pub(crate) fn note(&self, number: NodeNumber) {
        self.lock().insert(number, Instant::now());
    }

    /// For how long a node has been silent; a node that was never heard of starts now.
    pub(crate) fn silent(&self, number: NodeNumber) -> Duration {
        self.lock().entry(number).or_insert_with(Instant::now).elapsed()
    }

    /// A new leader has heard of nobody, and gives everybody time.
    pub(crate) fn forget(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<NodeNumber, Instant>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells the leader, until the agent is gone.
pub(crate) async fn run(agent: Weak<Agent>) {
    loop {
        tokio::time::sleep(BEAT_EVERY).await;
        let Some(agent) = agent.upgrade() else { return };
        agent.beat().await;
        agent.note_others();
    }
}

impl Agent {
    async fn beat(&self) {
        let beat = Beat { address: self.address(), trusts: self.trusts() };
        if self.group().leadership().borrow().leading {
            self.heard().note(self.number());
            let reply = self.take_beat(self.number(), beat).await;
            if let Ok(reply) = reply {
                self.want(reply);
            }
            return;
        }
        let Ok(body) = encode(&beat) else { return };
        for peer in self.servers() {
            let deadline = Instant::now() + BEAT_EVERY;
            let called = self.client().call(&peer, Method::Heartbeat, body.clone(), deadline).await;
            match called
                .map_err(|error| error.to_string())
                .and_then(|reply| decode::<BeatReply>(&reply).map_err(|fault| fault.to_string()))
            {
                Ok(reply) if reply.leads => return self.want(reply),
                Ok(_) => {}
                Err(error) => tracing::debug!(%peer, error, "heartbeat"),
            }
        }
    }

    /// Answers a node that lives.
    pub(crate) async fn hear(&self, caller: Caller, body: Bytes) -> Result<Bytes, Fault> {
        let beat: Beat = decode(&body)?;
        let identity = caller
            .identity
            .ok_or_else(|| Fault::new(FaultCode::Forbidden, "only nodes tell that they live"))?;
        encode(&self.take_beat(identity.node, beat).await?)
    }

    async fn take_beat(&self, number: NodeNumber, beat: Beat) -> Result<BeatReply, Fault> {
        let unavailable = |text: String| Fault::new(FaultCode::Unavailable, text);
        let leads = self.group().leadership().borrow().leading;
        let node = self.nodes().find(number, Consistency::Stale).await;
        let node = node.map_err(|error| unavailable(error.to_string()))?;
        let node = node.ok_or_else(|| unavailable(format!("node {number} is not known yet")))?;
        let cluster = self.nodes().cluster(Consistency::Stale).await;
        let edition = cluster.ok().flatten().map_or(0, |cluster| cluster.edition);
        if leads {
            self.heard().note(number);
            if node.address != beat.address || node.trusts != beat.trusts {
                let Beat { address, trusts } = beat;
                let report = Command::Report { number, address, trusts };
                self.nodes()
                    .change(&report)
                    .await
                    .map_err(|error| unavailable(error.to_string()))?;
            }
        }
        Ok(BeatReply { leads, edition, role: node.role })
    }
}

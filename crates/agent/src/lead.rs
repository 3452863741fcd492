//! What only the leader does: notes who died, keeps the members as the operator wants them, and
//! carries a rotation of the authority on.

use std::sync::{Arc, Weak};
use std::time::Duration;

use regrow_consensus::{Consistency, Replica as _};
use regrow_pki::{Role, Rotation};

use crate::agent::Agent;
use crate::error::AgentError;
use crate::heartbeat::{BEAT_EVERY, DEAD_AFTER};
use crate::nodes::{Command, NodeRecord};
use crate::plan::{Seen, Step, next};

/// Time in which a member may catch up before it gets a vote, at most.
const STEP_WITHIN: Duration = Duration::from_secs(60);

/// Runs until the agent is gone.
pub(crate) async fn run(agent: Weak<Agent>) {
    let mut led = false;
    loop {
        tokio::time::sleep(BEAT_EVERY).await;
        let Some(agent) = agent.upgrade() else { return };
        let leads = agent.group().leadership().borrow().leading;
        if leads && !led {
            agent.heard().forget();
        }
        led = leads;
        if leads && let Err(error) = agent.round().await {
            tracing::warn!(%error, "look after the nodes; trying again");
        }
    }
}

impl Agent {
    async fn round(self: &Arc<Self>) -> Result<(), AgentError> {
        let failed =
            |error: &dyn std::fmt::Display| AgentError::control("look after the nodes", error);
        let nodes = self.nodes().list(Consistency::Linearizable).await.map_err(|e| failed(&e))?;
        let mut seen = Vec::with_capacity(nodes.len());
        for mut record in nodes {
            let silent = self.silent(&record);
            let alive = silent < DEAD_AFTER && !record.removed;
            if alive != record.alive && !record.removed {
                let number = record.number;
                tracing::info!(name = record.name, %number, alive, "node changed");
                let change = Command::SetAlive { number, alive };
                self.nodes().change(&change).await.map_err(|error| failed(&error))?;
                record.alive = alive;
            }
            seen.push(Seen { record, silent });
        }
        self.tell(&seen).await;
        self.look_after_members(&seen).await?;
        self.look_after_authority(&seen).await
    }

    fn silent(&self, record: &NodeRecord) -> Duration {
        if record.number == self.number() {
            Duration::ZERO
        } else {
            self.heard().silent(record.number)
        }
    }

    async fn look_after_members(&self, seen: &[Seen]) -> Result<(), AgentError> {
        let members = self.group().members();
        let Some(step) = next(self.number(), seen, &members, self.wishes()) else { return Ok(()) };
        tracing::info!(?step, "change the members");
        let doing = "change the members";
        match step {
            Step::Members(change) => {
                let changing = self.group().change_members(&change);
                let changed = tokio::time::timeout(STEP_WITHIN, changing).await;
                let changed = changed.map_err(|late| AgentError::control(doing, late))?;
                changed.map_err(|error| AgentError::control(doing, error))
            }
            Step::Promote(number) => {
                let set = self.nodes().set_role(number, Role::Server).await;
                set.map_err(|error| AgentError::control(doing, error))
            }
        }
    }

    /// Goes one step on with a rotation that is under way, once every node is ready for it.
    async fn look_after_authority(&self, seen: &[Seen]) -> Result<(), AgentError> {
        if !self.has_seal() {
            return Ok(());
        }
        let (cluster, rotation) = self.admission().authority().await?;
        let ready = seen
            .iter()
            .filter(|seen| !seen.record.removed)
            .all(|seen| seen.record.trusts >= cluster.edition);
        let next = match rotation {
            Rotation::CrossSigned { .. } if ready => {
                rotation.switch(self.clock().now(), self.life())
            }
            Rotation::NewIssuing { old_ends, .. } if ready && self.clock().now() >= old_ends => {
                rotation.finish(self.clock().now(), true)
            }
            _ => return Ok(()),
        };
        let next = next.map_err(|error| AgentError::keys("rotate the authority", error))?;
        tracing::info!(state = next.name(), "the authority's rotation goes on");
        self.admission().set_authority(&cluster, &next).await
    }
}

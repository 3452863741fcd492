//! What only the leader does: notes who died, keeps the members as the operator wants them, carries a
//! rotation of the authority on, and forgets join tokens that ended.
//!
//! A change of the members may take a minute, while a learner catches up. It runs beside the rounds,
//! one at a time, so that who died is noted all the while.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};

use regrow_consensus::group::MemberChange;
use regrow_consensus::{Consistency, Replica as _};
use regrow_pki::{NodeNumber, Role, Rotation};
use tokio::task::JoinHandle;

use crate::agent::Agent;
use crate::error::AgentError;
use crate::heartbeat::{BEAT_EVERY, DEAD_AFTER};
use crate::nodes::{Command, NodeRecord, millis};
use crate::plan::{Seen, Step, heir, next};

/// Time in which a member may catch up before it gets a vote, at most.
const STEP_WITHIN: Duration = Duration::from_secs(60);
/// How long a token that ended is kept, for clocks that differ and for who asks why.
const TOKEN_KEPT: Duration = Duration::from_secs(3_600);
/// How long a leader that stops waits for another to take over, at most.
const HAND_OVER_WITHIN: Duration = Duration::from_secs(4);

/// What a leader remembers from round to round.
#[derive(Default)]
struct Term {
    /// The change of the members that is under way, and whose membership it changes.
    changing: Option<(NodeNumber, JoinHandle<Result<(), AgentError>>)>,
    /// How often in a row the changes of a node's membership failed.
    failures: BTreeMap<NodeNumber, u32>,
    /// What the authority of an edition waits for.
    authority: Option<(u64, Due)>,
}

/// What the authority's rotation waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    /// There is none under way.
    Nothing,
    /// Every node trusts the roots of this edition.
    Trust,
    /// As that, and this moment.
    TrustAnd(SystemTime),
}

impl Due {
    const fn of(rotation: &Rotation) -> Self {
        match rotation {
            Rotation::Steady { .. } => Self::Nothing,
            Rotation::CrossSigned { .. } => Self::Trust,
            Rotation::NewIssuing { old_ends, .. } => Self::TrustAnd(*old_ends),
        }
    }

    fn has_come(self, all_trust: bool, now: SystemTime) -> bool {
        match self {
            Self::Nothing => false,
            Self::Trust => all_trust,
            Self::TrustAnd(moment) => all_trust && now >= moment,
        }
    }
}

impl Drop for Term {
    fn drop(&mut self) {
        if let Some((_, changing)) = &self.changing {
            changing.abort();
        }
    }
}

/// Runs until the agent is gone.
pub(crate) async fn run(agent: Weak<Agent>) {
    let mut term = None;
    loop {
        tokio::time::sleep(BEAT_EVERY).await;
        let Some(agent) = agent.upgrade() else { return };
        if !agent.group().leadership().borrow().leading {
            term = None;
            continue;
        }
        let term = term.get_or_insert_with(|| {
            agent.heard().forget();
            Term::default()
        });
        if let Err(error) = agent.round(term).await {
            tracing::warn!(%error, "the leader's round failed; trying again");
        }
    }
}

fn failed(error: impl std::fmt::Display) -> AgentError {
    AgentError::control("look after the nodes", error)
}

impl Agent {
    async fn round(self: &Arc<Self>, term: &mut Term) -> Result<(), AgentError> {
        let nodes = self.nodes().list(Consistency::Linearizable).await.map_err(failed)?;
        let mut seen = Vec::with_capacity(nodes.len());
        for mut record in nodes {
            let silent = self.silent(&record);
            let alive = silent < DEAD_AFTER && !record.removed;
            if alive != record.alive && !record.removed {
                let number = record.number;
                tracing::info!(name = record.name, %number, alive, "node changed");
                let change = Command::SetAlive { number, alive };
                self.nodes().change(&change).await.map_err(failed)?;
                record.alive = alive;
            }
            let failures = term.failures.get(&record.number).copied().unwrap_or_default();
            seen.push(Seen { record, silent, failures });
        }
        self.tell(&seen).await;
        self.look_after_members(&seen, term).await;
        self.look_after_tokens().await?;
        self.look_after_authority(&seen, term).await
    }

    fn silent(&self, record: &NodeRecord) -> Duration {
        if record.number == self.number() {
            Duration::ZERO
        } else {
            self.heard().silent(record.number)
        }
    }

    /// Begins the next change of the members, once the one before has ended.
    async fn look_after_members(self: &Arc<Self>, seen: &[Seen], term: &mut Term) {
        if let Some((number, changing)) = term.changing.take_if(|(_, task)| task.is_finished()) {
            let ended = changing.await.map_err(failed).flatten();
            let failures = term.failures.entry(number).or_default();
            match ended {
                Ok(()) => *failures = 0,
                Err(error) => {
                    *failures += 1;
                    tracing::warn!(%error, node = %number, failures, "a change failed; trying again");
                }
            }
            // What is seen was looked at before that change.
            return;
        }
        if term.changing.is_some() {
            return;
        }
        let step = next(self.number(), seen, &self.group().members(), self.wishes());
        if let Some(step) = step {
            tracing::info!(?step, "change the members");
            let (agent, number) = (self.clone(), step.node());
            term.changing = Some((number, self.spawn(async move { agent.take(step).await })));
        }
    }

    async fn take(&self, step: Step) -> Result<(), AgentError> {
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

    /// Lets another voter lead, if this node does and there is one: nobody need wait until its silence
    /// is noticed.
    pub(crate) async fn hand_over(&self) {
        if !self.group().leadership().borrow().leading {
            return;
        }
        let nodes = self.nodes().list(Consistency::Stale).await.unwrap_or_default();
        let seen = |record: NodeRecord| Seen { silent: self.silent(&record), record, failures: 0 };
        let seen: Vec<_> = nodes.into_iter().map(seen).collect();
        let Some(heir) = heir(self.number(), &seen, &self.group().members()) else { return };
        let change = MemberChange::Transfer { node: heir.get() };
        let handed = self.group().change_members(&change);
        match tokio::time::timeout(HAND_OVER_WITHIN, handed).await {
            Ok(Ok(())) => tracing::info!(%heir, "handed the lead over"),
            Ok(Err(error)) => tracing::warn!(%error, %heir, "hand the lead over; stop without"),
            Err(_) => tracing::warn!(%heir, "nobody took the lead over in time; stop without"),
        }
    }

    /// Forgets join tokens that ended, used up or not, and who joined with them.
    async fn look_after_tokens(&self) -> Result<(), AgentError> {
        let tokens = self.nodes().tokens(Consistency::Stale).await.map_err(failed)?;
        let kept = u64::try_from(TOKEN_KEPT.as_millis()).unwrap_or(u64::MAX);
        let now = millis(self.clock().now());
        for token in tokens {
            if now >= token.expires_ms.saturating_add(kept) {
                self.nodes().change(&Command::RevokeToken(token.id)).await.map_err(failed)?;
                tracing::info!(id = %token.id, "forgot a join token that ended");
            }
        }
        Ok(())
    }

    /// Goes one step on with a rotation that is under way, once every node is ready for it. The
    /// authority is opened when another edition of it is seen, and when a step is due.
    async fn look_after_authority(&self, seen: &[Seen], term: &mut Term) -> Result<(), AgentError> {
        let known = self.nodes().cluster(Consistency::Stale).await.map_err(failed)?;
        let Some(edition) = known.map(|cluster| cluster.edition).filter(|_| self.has_seal()) else {
            return Ok(());
        };
        let due = match term.authority {
            Some((of, due)) if of == edition => due,
            _ => {
                let (cluster, rotation) = self.admission().authority().await?;
                let due = Due::of(&rotation);
                term.authority = Some((cluster.edition, due));
                due
            }
        };
        let mut nodes = seen.iter().filter(|seen| !seen.record.removed);
        let all_trust = nodes.all(|seen| seen.record.trusts >= edition);
        if due.has_come(all_trust, self.clock().now()) {
            self.rotate_on().await?;
        }
        Ok(())
    }

    async fn rotate_on(&self) -> Result<(), AgentError> {
        let (cluster, rotation) = self.admission().authority().await?;
        let now = self.clock().now();
        let next = match rotation {
            Rotation::Steady { .. } => return Ok(()),
            Rotation::CrossSigned { .. } => rotation.switch(now, self.life()),
            Rotation::NewIssuing { .. } => rotation.finish(now, true),
        };
        let next = next.map_err(|error| AgentError::keys("rotate the authority", error))?;
        tracing::info!(state = next.name(), "the authority's rotation goes on");
        self.admission().set_authority(&cluster, &next).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rotation_waits_for_every_node_and_for_the_last_certificate() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000);
        let later = now + Duration::from_secs(1);
        for (due, all_trust, at, expected) in [
            (Due::Nothing, true, later, false),
            (Due::Trust, false, later, false),
            (Due::Trust, true, now, true),
            (Due::TrustAnd(later), true, now, false),
            (Due::TrustAnd(later), false, later, false),
            (Due::TrustAnd(later), true, later, true),
        ] {
            assert_eq!(due.has_come(all_trust, at), expected, "{due:?}, {all_trust}, {at:?}");
        }
    }
}

use std::sync::Arc;
use std::time::Duration;

use regrow_ids::InstanceId;
use regrow_plugin::spi::{Description, Health};
use regrow_reconcile::Moment;

use super::{GroupState, Member};

/// Members that one look asks about.
const MAX_QUESTIONS: usize = 512;
/// A new member that is not healthy yet is asked again no sooner than this.
const HEALTH_LEAST: Duration = Duration::from_millis(100);
/// Bad answers in a row after which a new member counts as a failed replacement, where the group
/// has no health policy that says otherwise.
const UPDATE_FAILURES: u32 = 3;

impl GroupState {
    /// When the flavor should be asked about a member next; `None` when nobody wants to know.
    pub fn health_due(&self, member: &Member) -> Option<Moment> {
        let for_update = self.update.is_some() && member.is_current(&self.config.hash);
        if self.dissolving || !(for_update || self.config.document.health.is_some()) {
            return None;
        }
        let health = &member.health;
        Some(match health.last {
            None => member.since,
            Some(Health::Healthy) => health.checked_at + self.patience.poll,
            Some(_) => {
                let age = health.checked_at.since(member.since);
                health.checked_at
                    + (age / 4).clamp(HEALTH_LEAST, self.patience.poll.max(HEALTH_LEAST))
            }
        })
    }

    /// Members that the flavor should be asked about now: those that wait longest, as many as one
    /// look can ask about.
    pub(super) fn health_wanted(&self, now: Moment) -> Vec<Arc<Description>> {
        let due = self.members.values().filter_map(|member| {
            self.health_due(member).filter(|at| *at <= now).map(|at| (at, member))
        });
        let mut due: Vec<_> = due.collect();
        due.sort_by_key(|(at, _)| *at);
        due.truncate(MAX_QUESTIONS);
        due.into_iter().map(|(_, member)| Arc::clone(&member.description)).collect()
    }

    /// Takes in what the flavor said.
    pub(super) fn absorb_health(&mut self, answers: Vec<(InstanceId, Health)>, now: Moment) {
        let hash = self.config.hash.clone();
        let policy = self.config.document.health.clone();
        let threshold = policy.as_ref().map_or(UPDATE_FAILURES, |policy| policy.failures);
        // A program that is still starting has not failed.
        let grace = Duration::from(policy.unwrap_or_default().grace);
        let mut blamed = 0;
        for (id, health) in answers {
            let Some(member) = self.members.get_mut(&id) else { continue };
            member.health.note(health, now);
            let failed = member.health.failures >= threshold && now.since(member.since) >= grace;
            if failed && !member.blamed && member.is_current(&hash) {
                member.blamed = true;
                blamed += 1;
            }
        }
        for _ in 0..blamed {
            self.blame_update(now);
        }
    }

    /// True when the health policy counts the member as broken.
    pub fn is_broken(&self, member: &Member, now: Moment) -> bool {
        self.config.document.health.as_ref().is_some_and(|policy| {
            member.health.failures >= policy.failures
                && now.since(member.since) >= Duration::from(policy.grace)
        })
    }
}

use std::sync::Arc;

use regrow_reconcile::Moment;

use super::{GroupState, Slot};
use crate::config::{GroupConfig, SharedConfig};

/// An update under way: members of a former configuration are being replaced.
#[derive(Clone, Debug)]
pub struct Update {
    /// The configuration before, for going back. `None` when it is not known: the old members
    /// were there before this controller.
    pub from: Option<SharedConfig>,
    /// Replacements that failed.
    pub failures: u32,
    /// When it began.
    pub since: Moment,
}

impl GroupState {
    /// Takes on a new configuration. Members of another one are replaced from now on.
    pub fn commit(&mut self, config: GroupConfig, now: Moment) {
        let config = Arc::new(config);
        if config.hash != self.config.hash {
            // What was good before a running update is still what is known to be good.
            let good = match &self.update {
                Some(running) => running.from.clone(),
                None => Some(Arc::clone(&self.config)),
            };
            let same_plugin = |good: &SharedConfig| {
                good.document.instance.plugin == config.document.instance.plugin
            };
            let from = good.filter(|good| good.hash != config.hash && same_plugin(good));
            self.update = Some(Update { from, failures: 0, since: now });
            self.slots.clear();
        }
        self.config = config;
        self.generation = self.generation.next();
    }

    /// Begins or ends an update according to what the members are.
    pub(super) fn follow_update(&mut self, now: Moment) {
        let hash = &self.config.hash;
        let members = || self.members.values().filter(|m| m.slot != Slot::Stray);
        let outdated = members().any(|m| !m.is_current(hash) && !m.wants_adoption());
        if outdated && self.update.is_none() && !self.dissolving {
            self.update = Some(Update { from: None, failures: 0, since: now });
        }
        let finished = !outdated
            && self.claims.is_empty()
            && members().count() >= self.desired() as usize
            && members().all(|m| m.is_ready(&self.config, now));
        if finished && self.update.take().is_some() {
            self.note(format!("update to {} is complete", self.config.hash));
        }
    }

    /// Counts a failed replacement and goes back to the former configuration when there were
    /// too many.
    pub(super) fn blame_update(&mut self, now: Moment) {
        let Some(update) = &mut self.update else { return };
        update.failures += 1;
        let (failures, from) = (update.failures, update.from.clone());
        let (Some(most), Some(former)) = (self.config.auto_rollback(), from) else { return };
        if failures < most {
            return;
        }
        let back = self.config.rolled_back_to(&former, failures);
        self.warn(format!(
            "rolled back from {} to {} after {failures} failed replacements",
            self.config.hash, back.hash
        ));
        self.config = Arc::new(back);
        self.generation = self.generation.next();
        self.slots.clear();
        self.update = Some(Update { from: None, failures: 0, since: now });
    }
}

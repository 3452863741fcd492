use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use regrow_codec::Any;
use regrow_ids::InstanceId;
use regrow_plugin::spi::{Description, DestroyReason, Health, Tags, tags};
use regrow_reconcile::Moment;

use crate::config::GroupConfig;
use crate::state::{SLOT_TAG, Slot};
use crate::step::GroupStep;

pub(super) type Listed = Vec<Arc<Description>>;

/// What a provider does wrong.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Manners {
    /// Lists show the world as it was so long ago.
    pub(super) lag: Duration,
    /// How long a call takes.
    pub(super) delay: Duration,
    /// The caller gives up before the call ends, but the instance comes.
    pub(super) answers_late: bool,
    /// Each call makes two instances.
    pub(super) makes_two: bool,
    /// The instance is made, the call reports failure.
    pub(super) fails_after_making: bool,
    /// The provider says that it never makes two instances for one key.
    pub(super) promises_keys: bool,
    /// The same key is a new instance each time.
    pub(super) ignores_keys: bool,
    /// Draining or destroying fails.
    pub(super) destroys_fail: bool,
    /// New instances die by themselves after so long.
    pub(super) new_ones_live: Option<Duration>,
}

/// The instances that really exist, and what the provider shows of them.
pub(super) struct World {
    pub(super) instances: BTreeMap<InstanceId, Arc<Description>>,
    pub(super) manners: Manners,
    pub(super) sick: BTreeSet<InstanceId>,
    /// Instances made with one of these hashes never get healthy.
    pub(super) sick_hashes: BTreeSet<String>,
    pub(super) destroyed: Vec<(Moment, InstanceId, DestroyReason)>,
    pub(super) made: usize,
    pub(super) most: usize,
    history: Vec<(Moment, Listed)>,
}

impl World {
    pub(super) fn new(manners: Manners) -> Self {
        Self {
            instances: BTreeMap::new(),
            manners,
            sick: BTreeSet::new(),
            sick_hashes: BTreeSet::new(),
            destroyed: vec![],
            made: 0,
            most: 0,
            history: vec![(Moment::START, vec![])],
        }
    }

    /// Makes what a create step asks for.
    pub(super) fn provision(
        &mut self,
        step: &GroupStep,
        slot: &Slot,
        config: &GroupConfig,
        now: Moment,
    ) -> InstanceId {
        let key = step.key.as_str();
        let existing = self
            .instances
            .values()
            .find(|d| d.tags.get(tags::STEP_KEY).is_some_and(|tag| tag == key));
        if let Some(existing) = existing.filter(|_| !self.manners.ignores_keys) {
            return existing.id.clone();
        }
        let mut labels = Tags::from([
            (tags::GROUP.to_owned(), config.id.as_str().to_owned()),
            (tags::CONFIG_HASH.to_owned(), config.hash.as_str().to_owned()),
            (tags::STEP_KEY.to_owned(), key.to_owned()),
        ]);
        match slot {
            Slot::Identity(id) => labels.insert(tags::LOGICAL_ID.into(), id.as_str().into()),
            Slot::Number(number) => labels.insert(SLOT_TAG.into(), number.to_string()),
            Slot::Stray => None,
        };
        let id = self.add(labels.clone(), now);
        if self.manners.makes_two {
            self.add(labels, now);
        }
        id
    }

    /// Adds an instance with the given tags.
    pub(super) fn add(&mut self, labels: Tags, now: Moment) -> InstanceId {
        self.made += 1;
        let id = InstanceId::from(format!("i-{:06}", self.made));
        let description = Description {
            id: id.clone(),
            logical_id: None,
            tags: labels,
            properties: Any::default(),
        };
        self.instances.insert(id.clone(), Arc::new(description));
        self.most = self.most.max(self.instances.len());
        self.remember(now);
        id
    }

    pub(super) fn destroy(&mut self, id: &InstanceId, reason: DestroyReason, now: Moment) -> bool {
        let found = self.instances.remove(id).is_some();
        self.destroyed.push((now, id.clone(), reason));
        self.remember(now);
        found
    }

    /// Gives an instance the name of another.
    pub(super) fn rename(&mut self, from: &InstanceId, to: &InstanceId) {
        if let Some(old) = self.instances.remove(from) {
            let renamed = Description { id: to.clone(), ..(*old).clone() };
            self.instances.insert(to.clone(), Arc::new(renamed));
        }
    }

    /// An instance dies behind the controller's back.
    pub(super) fn kill(&mut self, id: &InstanceId, now: Moment) {
        self.instances.remove(id);
        self.remember(now);
    }

    fn remember(&mut self, now: Moment) {
        self.history.push((now, self.truth()));
    }

    pub(super) fn truth(&self) -> Listed {
        self.instances.values().cloned().collect()
    }

    /// The world as it was at a moment.
    pub(super) fn at(&self, moment: Moment) -> Listed {
        let known = self.history.iter().rev().find(|(at, _)| *at <= moment);
        known.map(|(_, listed)| listed.clone()).unwrap_or_default()
    }

    /// What an honest list shows.
    pub(super) fn list(&self, now: Moment) -> Listed {
        if self.manners.lag.is_zero() {
            return self.truth();
        }
        let back = now.since(Moment::after(self.manners.lag));
        self.at(Moment::after(back))
    }

    pub(super) fn health(&self, id: &InstanceId) -> Health {
        let hash = self.instances.get(id).and_then(|d| d.tags.get(tags::CONFIG_HASH));
        let sick = self.sick.contains(id) || hash.is_some_and(|h| self.sick_hashes.contains(h));
        if sick { Health::Unhealthy } else { Health::Healthy }
    }
}

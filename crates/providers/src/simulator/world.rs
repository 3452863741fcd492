//! The simulated world itself: what exists now, and what existed a while ago. No clock, no waiting.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use regrow_ids::InstanceId;
use regrow_plugin::spi::{Description, Tags, tags};
use tokio::time::Instant;

use crate::row::Row;

/// How far back a list may lag.
const PAST_KEPT: Duration = Duration::from_secs(3_600);
/// Changes that are remembered for lists that lag; about 1 MB.
const PAST_KEPT_CHANGES: usize = 16_384;

/// Counts of what was asked and done, for tests and benchmarks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Provision calls.
    pub provision_calls: u64,
    /// Provision calls that were answered with an instance that existed.
    pub repeated: u64,
    /// Instances made.
    pub created: u64,
    /// Destroy calls.
    pub destroy_calls: u64,
    /// Instances that a call destroyed.
    pub destroyed: u64,
    /// Label calls.
    pub label_calls: u64,
    /// Lists.
    pub list_calls: u64,
    /// Instances that exist now.
    pub present: usize,
    /// The most instances that existed at one time.
    pub peak: usize,
}

/// One change, with what was there before.
#[derive(Debug)]
struct Change {
    at: Instant,
    id: InstanceId,
    before: Option<Row>,
}

#[derive(Debug, Default)]
pub(super) struct World {
    rows: BTreeMap<InstanceId, Row>,
    /// Members of each group: a list of one group must not walk through all instances.
    groups: HashMap<String, BTreeSet<InstanceId>>,
    /// Instances by idempotency key.
    keys: HashMap<String, InstanceId>,
    past: VecDeque<Change>,
    pub(super) stats: Stats,
}

impl World {
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn contains(&self, id: &InstanceId) -> bool {
        self.rows.contains_key(id)
    }

    pub(super) fn by_key(&self, key: &str) -> Option<&InstanceId> {
        self.keys.get(key)
    }

    pub(super) fn description(&self, id: &InstanceId) -> Option<Arc<Description>> {
        self.rows.get(id).map(|row| row.description(true))
    }

    /// Adds an instance, or replaces the one of the same id.
    pub(super) fn put(&mut self, now: Instant, description: Description) {
        let id = description.id.clone();
        let before = self.take(&id);
        self.index(&description);
        self.rows.insert(id.clone(), Row::new(description));
        self.remember(Change { at: now, id, before });
        self.count();
    }

    /// Removes an instance; false when there is none.
    pub(super) fn remove(&mut self, now: Instant, id: &InstanceId) -> bool {
        let Some(before) = self.take(id) else { return false };
        self.remember(Change { at: now, id: id.clone(), before: Some(before) });
        self.count();
        true
    }

    /// The instances that carried all the tags so long ago, sorted by id.
    pub(super) fn list(
        &self,
        now: Instant,
        lag: Duration,
        tags: &Tags,
        properties: bool,
    ) -> Vec<Arc<Description>> {
        let past = self.rows_that_differ(now, lag);
        let mut found: Vec<_> = self
            .candidates(tags)
            .filter(|(id, _)| !past.contains_key(id))
            .chain(past.iter().filter_map(|(id, row)| row.map(|row| (*id, row))))
            .filter(|(_, row)| row.matches(tags))
            .map(|(_, row)| row.description(properties))
            .collect();
        if !past.is_empty() {
            found.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        }
        found
    }

    /// Instances that may carry the tags: those of the group, when the tags name one.
    fn candidates<'a>(
        &'a self,
        tags: &Tags,
    ) -> Box<dyn Iterator<Item = (&'a InstanceId, &'a Row)> + 'a> {
        match tags.get(tags::GROUP) {
            None => Box::new(self.rows.iter()),
            Some(group) => Box::new(
                self.groups
                    .get(group)
                    .into_iter()
                    .flatten()
                    .filter_map(|id| self.rows.get_key_value(id)),
            ),
        }
    }

    /// The instances that changed since so long ago, as they were then.
    fn rows_that_differ(&self, now: Instant, lag: Duration) -> BTreeMap<&InstanceId, Option<&Row>> {
        let mut differing = BTreeMap::new();
        let is_unseen = |change: &&Change| now.saturating_duration_since(change.at) < lag;
        // Newest first: the last one written for an id is the oldest change, which holds what was
        // there at that time.
        for change in self.past.iter().rev().take_while(is_unseen) {
            differing.insert(&change.id, change.before.as_ref());
        }
        differing
    }

    /// Lets lists that lag see what there is now.
    pub(super) fn forget_past(&mut self) {
        self.past.clear();
    }

    fn take(&mut self, id: &InstanceId) -> Option<Row> {
        let row = self.rows.remove(id)?;
        if let Some(group) = row.tags().get(tags::GROUP)
            && let Some(members) = self.groups.get_mut(group)
        {
            members.remove(id);
            if members.is_empty() {
                self.groups.remove(group);
            }
        }
        if let Some(key) = row.tags().get(tags::STEP_KEY)
            && self.keys.get(key) == Some(id)
        {
            self.keys.remove(key);
        }
        Some(row)
    }

    fn index(&mut self, description: &Description) {
        if let Some(group) = description.tags.get(tags::GROUP) {
            match self.groups.get_mut(group) {
                Some(members) => members.insert(description.id.clone()),
                None => {
                    self.groups.entry(group.clone()).or_default().insert(description.id.clone())
                }
            };
        }
        if let Some(key) = description.tags.get(tags::STEP_KEY) {
            // The first keeps the key: a second one of the same key is what makes two.
            self.keys.entry(key.clone()).or_insert_with(|| description.id.clone());
        }
    }

    fn remember(&mut self, change: Change) {
        let now = change.at;
        self.past.push_back(change);
        let too_old = |change: &Change| now.saturating_duration_since(change.at) > PAST_KEPT;
        while self.past.len() > PAST_KEPT_CHANGES || self.past.front().is_some_and(too_old) {
            self.past.pop_front();
        }
    }

    fn count(&mut self) {
        self.stats.present = self.rows.len();
        self.stats.peak = self.stats.peak.max(self.rows.len());
    }
}

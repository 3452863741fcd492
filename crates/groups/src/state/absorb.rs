use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use regrow_ids::{InstanceId, LogicalId, StepKey};
use regrow_plugin::spi::{Description, tags};
use regrow_reconcile::{Moment, Quality, Sighting};

use super::question::{Answer, Subject};
use super::{Absence, Claim, Demise, GroupState, HealthRecord, Member, Progress, SLOT_TAG, Slot};

/// An instance that was destroyed is remembered this long, so that a list of an hour ago cannot
/// bring it back as a member.
const TOMBSTONE_KEEP: Duration = Duration::from_secs(2 * 3_600);
/// Most instances remembered that way.
const MAX_TOMBSTONES: usize = 20_000;
/// A quarter of the members missing at once makes a list suspect; one always may be missing.
const MASS_DIVISOR: usize = 4;

impl GroupState {
    /// Takes in a look at the world.
    pub fn absorb(&mut self, seen: Sighting<Answer>) {
        let Sighting { began, ended, items } = seen;
        let Answer { quality, instances, remembers_keys, lookups, health } = items;
        let failed = matches!(quality, Quality::Failed(_));
        if failed
            && quality != self.quality
            && let Some(why) = quality.shortcoming()
        {
            self.warn(why);
        }
        self.quality = quality;
        if failed {
            return;
        }
        let listed = self.distinct_members(instances);
        self.take_in(&listed, ended);
        if self.quality.is_complete() {
            self.last_look = Some((began, ended));
            self.complete_looks += 1;
            self.answer_lookups(lookups, ended);
        }
        // A look-up may have found what the list lacks: then nothing may be concluded from it.
        if self.quality.is_complete() {
            self.count_absences(&listed, began, ended);
            self.bury(&listed, began, ended);
            self.lose_confirmed(listed.is_empty(), ended);
            self.give_up_claims(remembers_keys, ended);
            let members = &self.members;
            self.condemned.retain(|id| members.contains_key(id));
        }
        self.forget_reports(&listed, began);
        self.absorb_health(health, ended);
        self.follow_update(ended);
    }

    /// Drops reports of loss that a later list contradicts, and those about instances that are
    /// not waited for any more.
    fn forget_reports(&mut self, listed: &BTreeMap<InstanceId, Arc<Description>>, began: Moment) {
        let (members, claims) = (&self.members, &self.claims);
        let awaited = |id: &InstanceId| {
            let made = |claim: &Claim| matches!(&claim.progress, Progress::Made { id: made, .. } if made == id);
            members.contains_key(id) || claims.values().any(made)
        };
        self.reported_lost
            .retain(|id, at| !(listed.contains_key(id) && *at < began) && awaited(id));
    }

    /// Drops what is not ours and what is there twice.
    fn distinct_members(
        &self,
        instances: Vec<Arc<Description>>,
    ) -> BTreeMap<InstanceId, Arc<Description>> {
        let group = self.config.id.as_str();
        instances
            .into_iter()
            .filter(|d| d.tags.get(tags::GROUP).is_some_and(|tag| tag == group))
            .map(|d| (d.id.clone(), d))
            .collect()
    }

    fn take_in(&mut self, listed: &BTreeMap<InstanceId, Arc<Description>>, now: Moment) {
        let mut numbers = None;
        for (id, description) in listed {
            if let Some(doom) = self.doomed.get_mut(id) {
                doom.description = Arc::clone(description);
                continue;
            }
            if let Some(member) = self.members.get_mut(id) {
                member.description = Arc::clone(description);
                member.looks = member.looks.saturating_add(1);
                member.absent = None;
                if !member.wants_adoption() {
                    self.labelling.remove(id);
                }
                continue;
            }
            let claim = self.resolve_claim(description);
            let slot = match &claim {
                Some(claim) => claim.slot.clone(),
                None => {
                    let numbers = numbers.get_or_insert_with(|| FreeNumbers::of(self));
                    self.slot_of_found(description, numbers)
                }
            };
            let member = Member {
                description: Arc::clone(description),
                slot,
                since: claim.as_ref().map_or(now, |claim| claim.ended().unwrap_or(now)),
                looks: 1,
                found: claim.is_none(),
                absent: None,
                health: HealthRecord::default(),
                blamed: false,
                spared: false,
            };
            self.members.insert(id.clone(), member);
        }
    }

    /// Finds the claim that an instance answers, by its key or by the id that the call returned.
    fn resolve_claim(&mut self, description: &Description) -> Option<Claim> {
        let tagged =
            description.tags.get(tags::STEP_KEY).map(|key| StepKey::from_tag(key.as_str()));
        let key = tagged.filter(|key| self.claims.contains_key(key)).or_else(|| {
            let made = |claim: &Claim| {
                matches!(&claim.progress, Progress::Made { id, .. } if *id == description.id)
            };
            self.claims.iter().find(|(_, claim)| made(claim)).map(|(key, _)| key.clone())
        })?;
        let claim = self.claims.remove(&key)?;
        // A call that still runs settles into nothing; its instance is known by now.
        self.close(key);
        Some(claim)
    }

    fn slot_of_found(&self, description: &Description, numbers: &mut FreeNumbers) -> Slot {
        if self.has_identities() {
            return description
                .logical_id()
                .filter(|id: &LogicalId| !id.is_empty())
                .map_or(Slot::Stray, Slot::Identity);
        }
        let wished = description.tags.get(SLOT_TAG).and_then(|number| number.parse().ok());
        Slot::Number(numbers.take(wished))
    }

    fn answer_lookups(
        &mut self,
        lookups: Vec<(Subject, Option<Vec<Arc<Description>>>)>,
        now: Moment,
    ) {
        for (subject, found) in lookups {
            let Some(found) = found else { continue };
            match subject {
                Subject::Member(id) => {
                    let still_there = found.iter().any(|d| d.id == id);
                    let Some(member) = self.members.get_mut(&id) else { continue };
                    if still_there {
                        member.absent = None;
                        self.quality = Quality::Partial(format!(
                            "the list lacks instance {id}, which a direct look-up finds"
                        ));
                    } else if let Some(absence) = &mut member.absent {
                        absence.looked_up = true;
                    }
                }
                Subject::Claim(key) => {
                    if let Some(claim) = self.claims.get_mut(&key) {
                        claim.looked_up = found.is_empty();
                    }
                    let listed: BTreeMap<_, _> =
                        found.into_iter().map(|d| (d.id.clone(), d)).collect();
                    self.take_in(&listed, now);
                }
            }
        }
    }

    fn count_absences(
        &mut self,
        listed: &BTreeMap<InstanceId, Arc<Description>>,
        began: Moment,
        ended: Moment,
    ) {
        for (id, member) in &mut self.members {
            // What was first seen, or made, after the look began need not be in it.
            if listed.contains_key(id) || member.since >= began {
                continue;
            }
            let fresh = Absence { since: ended, looks: 0, looked_up: false };
            member.absent.get_or_insert(fresh).looks += 1;
        }
        for claim in self.claims.values_mut() {
            if claim.ended().is_some_and(|at| at < began) {
                claim.looks += 1;
            }
        }
    }

    /// Removes members whose loss is beyond doubt.
    fn lose_confirmed(&mut self, list_is_empty: bool, now: Moment) {
        let doubtful = self.members.values().filter(|m| m.absent.is_some()).count();
        let unreported = self
            .members
            .iter()
            .filter(|(id, m)| m.absent.is_some() && !self.reported_lost.contains_key(*id))
            .count();
        let wait = if list_is_empty && unreported >= 2 {
            self.patience.total_loss
        } else if unreported > (self.members.len() / MASS_DIVISOR).max(1) {
            self.patience.mass_loss
        } else {
            self.patience.confirm
        };
        if doubtful == 0 {
            return;
        }
        let gone: Vec<_> = self
            .members
            .iter()
            .filter_map(|(id, member)| {
                let absence = member.absent?;
                let believed =
                    absence.looks >= 2 && absence.looked_up && now.since(absence.since) >= wait;
                (self.reported_lost.contains_key(id) || believed).then(|| id.clone())
            })
            .collect();
        for id in gone {
            self.lose(&id, now);
        }
    }

    fn lose(&mut self, id: &InstanceId, now: Moment) {
        let Some(member) = self.members.remove(id) else { return };
        self.reported_lost.remove(id);
        self.condemned.remove(id);
        let age = now.since(member.since);
        self.note(format!(
            "instance {id} of slot {} is gone after {} s",
            member.slot,
            age.as_secs()
        ));
        self.blame_slot(member.slot.clone(), age, now);
        if member.is_current(&self.config.hash) && age < self.config.flap_window() {
            self.blame_update(now);
        }
    }

    /// Notes that what filled a slot died; the younger it died, the longer the slot waits.
    pub(super) fn blame_slot(&mut self, slot: Slot, age: Duration, now: Moment) {
        if age >= self.config.flap_window() {
            self.slots.remove(&slot);
            return;
        }
        let (backoff, chance) = (self.config.backoff(), self.chance.draw());
        let history = self.slots.entry(slot).or_default();
        // The first early death is replaced at once: one death is an accident.
        history.not_before = now + backoff.delay(history.failures, chance);
        history.failures = history.failures.saturating_add(1);
    }

    /// Forgets destroyed instances that no list shows any more, and those that were asked for and
    /// will not come.
    fn bury(
        &mut self,
        listed: &BTreeMap<InstanceId, Arc<Description>>,
        began: Moment,
        now: Moment,
    ) {
        let (mut over, mut kept, mut spared) = (Vec::new(), Vec::new(), 0);
        let unseen = self.patience.unseen;
        let (backoff, chance) = (self.config.backoff(), self.chance.draw());
        self.doomed.retain(|id, doom| {
            let Some(at) = doom.ended().filter(|at| *at < began) else { return true };
            doom.unlisted = if listed.contains_key(id) { 0 } else { doom.unlisted + 1 };
            spared += usize::from(doom.unlisted == 0 && std::mem::take(&mut doom.refused));
            if doom.unlisted >= 2 {
                over.append(&mut doom.keys);
                return !doom.may_exist() && now.since(at) < TOMBSTONE_KEEP;
            }
            if !doom.may_exist()
                && doom.unlisted == 0
                && !doom.keys.is_empty()
                && now.since(at) >= unseen
            {
                doom.failures = doom.failures.saturating_add(1);
                let retry_at = now + backoff.delay(doom.failures, chance);
                let why = "the provider said that it was destroyed, and lists it still".to_owned();
                kept.push(format!("instance {id}: {why}"));
                doom.progress = Demise::Failed { at: now, retry_at, why };
            }
            true
        });
        self.recalled.retain(|id, keys| {
            let listed = listed.contains_key(id);
            if !listed {
                over.append(keys);
            }
            listed
        });
        kept.into_iter().for_each(|line| self.warn(line));
        self.report.spared += spared;
        for key in over {
            self.close(key);
        }
        let excess = self.doomed.len().saturating_sub(MAX_TOMBSTONES);
        if excess > 0 {
            let done = self.doomed.iter().filter(|(_, doom)| doom.keys.is_empty());
            let oldest: Vec<_> = done.map(|(id, _)| id.clone()).take(excess).collect();
            for id in oldest {
                self.doomed.remove(&id);
            }
        }
    }

    /// Decides about instances that were asked for and did not show in time.
    fn give_up_claims(&mut self, remembers_keys: bool, now: Moment) {
        let keys: Vec<_> = self.claims.keys().cloned().collect();
        for key in keys {
            let Some(claim) = self.claims.get(&key) else { continue };
            match &claim.progress {
                Progress::Asked => {}
                Progress::Made { id, at } => {
                    let lost = self.reported_lost.get(id).is_some_and(|lost| lost >= at);
                    if (lost && claim.looks >= 1) || self.is_overdue(claim, *at, now) {
                        self.drop_claim(&key, "was made and never showed", now);
                    }
                }
                // Where the same key never makes a second instance, asking again is the quickest
                // way to find out.
                Progress::Unknown { at } => {
                    let at = *at;
                    let again = remembers_keys && claim.looks >= 1;
                    if again || self.is_overdue(claim, at, now) {
                        self.ask_again(&key, at, !self.is_overdue(claim, at, now), now);
                    }
                }
                Progress::Due { at, unknown } => {
                    let settled =
                        if *unknown { self.is_overdue(claim, *at, now) } else { claim.looks >= 1 };
                    if settled && self.is_superfluous() {
                        self.drop_claim(&key, "is not needed any more", now);
                    }
                }
            }
        }
    }

    fn ask_again(&mut self, key: &StepKey, at: Moment, unknown: bool, now: Moment) {
        let Some(claim) = self.claims.get_mut(key) else { return };
        claim.progress = Progress::Due { at, unknown };
        let slot = claim.slot.clone();
        self.warn(format!("the instance asked for slot {slot} did not show: asking again"));
        self.blame_slot(slot, Duration::ZERO, now);
    }

    fn drop_claim(&mut self, key: &StepKey, why: &str, now: Moment) {
        let Some(claim) = self.claims.remove(key) else { return };
        self.warn(format!("the instance asked for slot {} {why}", claim.slot));
        self.blame_slot(claim.slot, Duration::ZERO, now);
        self.close(key.clone());
    }

    /// True when there are more members and claims than members are wanted.
    fn is_superfluous(&self) -> bool {
        self.members.len() + self.claims.len() > self.desired() as usize
    }

    /// True when an instance should have shown by now and a direct look-up does not find it either.
    fn is_overdue(&self, claim: &Claim, ended: Moment, now: Moment) -> bool {
        now.since(ended) >= self.patience.unseen && claim.looks >= 2 && claim.looked_up
    }
}

/// Hands out the lowest slot numbers that nobody has.
pub(crate) struct FreeNumbers {
    used: BTreeSet<u32>,
    next: u32,
}

impl FreeNumbers {
    /// The numbers that the state's members, claims and doomed instances do not have.
    pub(crate) fn of(state: &GroupState) -> Self {
        let number = |slot: &Slot| match slot {
            Slot::Number(number) => Some(*number),
            _ => None,
        };
        let members = state.members.values().map(|m| &m.slot);
        let claims = state.claims.values().map(|c| &c.slot);
        let doomed = state.doomed.values().filter(|d| d.may_exist()).map(|d| &d.slot);
        let used = members.chain(claims).chain(doomed).filter_map(number).collect();
        Self { used, next: 0 }
    }

    /// The wished number when it is free, else the lowest free one.
    pub(crate) fn take(&mut self, wished: Option<u32>) -> u32 {
        if let Some(number) = wished.filter(|number| !self.used.contains(number)) {
            self.used.insert(number);
            return number;
        }
        while self.used.contains(&self.next) {
            self.next += 1;
        }
        self.used.insert(self.next);
        self.next
    }
}

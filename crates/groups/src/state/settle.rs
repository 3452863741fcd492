use std::sync::Arc;
use std::time::Duration;

use regrow_ids::{InstanceId, LogicalId, StepKey};
use regrow_plugin::Effect;
use regrow_plugin::spi::{Description, tags};
use regrow_reconcile::Moment;
use regrow_reconcile::intents::{Intent, StepClass};

use super::{Claim, Demise, Doom, GroupState, KEYS_PER_PLAN, Progress, Slot};
use crate::config::ConfigHash;
use crate::step::{Action, CreateIntent, DestroyIntent, GroupStep};

/// An adoption that failed is tried again after this.
const ADOPT_RETRY: Duration = Duration::from_secs(10);

/// How a step ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As planned.
    Done,
    /// An instance was made.
    Created(InstanceId),
    /// It failed.
    Failed {
        /// What is known about its effect.
        effect: Effect,
        /// Why.
        why: String,
    },
}

impl GroupState {
    /// Takes up what an earlier run or another leader left open. Instances that it asked for may
    /// exist or may not. What this state knows of stays as it is known.
    pub fn resume(&mut self, open: Vec<Intent>, now: Moment) {
        for intent in open {
            match intent.class {
                StepClass::Create => self.resume_create(intent, now),
                StepClass::Destroy => self.resume_destroy(intent),
                // Repeating it is harmless, and the next look tells whether it is needed.
                StepClass::Change => self.close(intent.key),
            }
        }
    }

    fn resume_create(&mut self, intent: Intent, now: Moment) {
        if self.claims.contains_key(&intent.key) {
            return;
        }
        if self.is_made(&intent.key) {
            return self.close(intent.key);
        }
        let Ok(create) = intent.body.decode::<CreateIntent>() else {
            return self.close(intent.key);
        };
        let slot = match (create.number, create.identity) {
            (Some(number), _) => Slot::Number(number),
            (None, Some(id)) => Slot::Identity(LogicalId::from(id)),
            (None, None) => Slot::Stray,
        };
        let claim = Claim {
            slot,
            hash: ConfigHash::from_tag(&create.hash),
            since: now,
            progress: Progress::Unknown { at: now },
            looks: 0,
            looked_up: false,
            earlier: None,
        };
        self.claims.insert(intent.key, claim);
    }

    /// True when an instance of this key is or was a member: only the end of the intent got lost.
    fn is_made(&self, key: &StepKey) -> bool {
        let members = self.members.values().map(|member| &member.description);
        let doomed = self.doomed.values().map(|doom| &doom.description);
        let has_key = |d: &Arc<Description>| -> bool {
            d.tags.get(tags::STEP_KEY).is_some_and(|tag| tag == key.as_str())
        };
        members.chain(doomed).any(has_key)
    }

    /// Whether the instance is still to go is for the next plan to say: what is wanted may have
    /// changed since.
    fn resume_destroy(&mut self, intent: Intent) {
        let Ok(DestroyIntent { id, .. }) = intent.body.decode() else {
            return self.close(intent.key);
        };
        if self.doomed.get(&id).is_some_and(|doom| doom.keys.contains(&intent.key)) {
            return;
        }
        let recalled = self.recalled.entry(id).or_default();
        if !recalled.contains(&intent.key) {
            recalled.push(intent.key);
        }
    }

    /// Notes that steps are about to run.
    pub fn start(&mut self, steps: &[GroupStep], now: Moment) {
        self.keys_drawn += KEYS_PER_PLAN;
        for step in steps {
            match &step.action {
                Action::Create { slot, config, .. } => {
                    let claim = Claim {
                        slot: slot.clone(),
                        hash: config.hash.clone(),
                        since: now,
                        progress: Progress::Asked,
                        looks: 0,
                        looked_up: false,
                        earlier: self.claims.remove(&step.key).map(Box::new),
                    };
                    self.claims.insert(step.key.clone(), claim);
                }
                Action::Adopt { description, .. } => {
                    self.labelling.insert(description.id.clone(), now + ADOPT_RETRY);
                }
                Action::Destroy { .. } => self.start_destroy(step, now),
                Action::Spare { description, .. } => {
                    if let Some(member) = self.members.get_mut(&description.id) {
                        member.spared = true;
                    }
                }
            }
        }
    }

    fn start_destroy(&mut self, step: &GroupStep, now: Moment) {
        let Action::Destroy { description, slot, reason, broken, .. } = &step.action else {
            return;
        };
        let id = &description.id;
        let member = self.members.remove(id);
        let mut keys = self.recalled.remove(id).unwrap_or_default();
        keys.push(step.key.clone());
        if *broken {
            let since = member.as_ref().map_or(now, |member| member.since);
            self.blame_slot(slot.clone(), now.since(since), now);
        }
        let doom = self.doomed.entry(id.clone()).or_insert_with(|| Doom {
            description: description.clone(),
            slot: slot.clone(),
            reason: *reason,
            progress: Demise::Asked,
            member: None,
            failures: 0,
            unlisted: 0,
            refused: false,
            keys: vec![],
        });
        (doom.progress, doom.unlisted, doom.refused) = (Demise::Asked, 0, false);
        doom.member = doom.member.take().or(member);
        doom.keys.append(&mut keys);
    }

    /// Takes back a step whose call was never made.
    pub fn not_started(&mut self, step: &GroupStep, now: Moment) {
        match &step.action {
            Action::Create { .. } => {
                let asked = self.claims.remove(&step.key);
                if let Some(earlier) = asked.and_then(|claim| claim.earlier) {
                    // An earlier call of this key may have come to something: its intent stays open.
                    self.claims.insert(step.key.clone(), *earlier);
                    return;
                }
            }
            Action::Adopt { description, .. } => {
                self.labelling.remove(&description.id);
            }
            Action::Spare { description, .. } => {
                if let Some(member) = self.members.get_mut(&description.id) {
                    member.spared = false;
                }
            }
            Action::Destroy { description, .. } => {
                self.report.spared += 1;
                let Some(doom) = self.doomed.get_mut(&description.id) else { return };
                doom.keys.retain(|key| *key != step.key);
                let why = "the call was not made".to_owned();
                doom.progress = Demise::Failed { at: now, retry_at: now, why };
                if doom.failures == 0
                    && let Some(member) = doom.member.take()
                {
                    let keys = std::mem::take(&mut doom.keys);
                    self.doomed.remove(&description.id);
                    if !keys.is_empty() {
                        self.recalled.insert(description.id.clone(), keys);
                    }
                    self.members.insert(description.id.clone(), member);
                }
            }
        }
        self.close(step.key.clone());
    }

    /// Takes in how a step ended.
    pub fn settle(&mut self, step: &GroupStep, outcome: Outcome, now: Moment) {
        match &step.action {
            Action::Create { slot, .. } => return self.settle_create(step, slot, outcome, now),
            Action::Destroy { .. } => return self.settle_destroy(step, outcome, now),
            Action::Adopt { description, .. } | Action::Spare { description, .. } => {
                match outcome {
                    Outcome::Failed { why, .. } => {
                        self.warn(format!("{} failed: {why}", step.describe_short()));
                    }
                    _ => self.note(format!("{} {}", step.done_word(), description.id)),
                }
            }
        }
        self.close(step.key.clone());
    }

    fn settle_create(&mut self, step: &GroupStep, slot: &Slot, outcome: Outcome, now: Moment) {
        let Some(claim) = self.claims.get_mut(&step.key) else {
            // A list has shown the instance already.
            if let Outcome::Created(id) = outcome {
                self.note(format!("made instance {id} for slot {slot}: {}", step.why));
            }
            return;
        };
        let earlier = claim.earlier.take();
        match outcome {
            Outcome::Created(id) => {
                let took = now.since(claim.since).as_millis();
                claim.progress = Progress::Made { id: id.clone(), at: now };
                // A provider that names instances by their place may use a name again.
                for key in self.doomed.remove(&id).map(|doom| doom.keys).unwrap_or_default() {
                    self.close(key);
                }
                self.note(format!("made instance {id} for slot {slot} in {took} ms: {}", step.why));
            }
            Outcome::Failed { effect: Effect::Unknown, why } => {
                claim.progress = Progress::Unknown { at: now };
                self.warn(format!("making the member of slot {slot}: unknown result: {why}"));
            }
            Outcome::Done => claim.progress = Progress::Unknown { at: now },
            Outcome::Failed { effect, why } => {
                let current = claim.hash == self.config.hash;
                if effect == Effect::Refused {
                    // The call may have left something behind: the next one looks first, and
                    // repeats the key.
                    claim.progress = Progress::Due { at: now, unknown: false };
                    (claim.looks, claim.looked_up) = (0, false);
                } else if let Some(earlier) = earlier {
                    *claim = *earlier;
                } else {
                    self.claims.remove(&step.key);
                    self.close(step.key.clone());
                }
                self.warn(format!("making the member of slot {slot} failed: {why}"));
                self.back_off(slot, now);
                // A plugin that cannot be reached says nothing about the configuration.
                if current && effect == Effect::Refused {
                    self.blame_update(now);
                }
            }
        }
    }

    /// Makes a slot wait after a call that failed.
    fn back_off(&mut self, slot: &Slot, now: Moment) {
        let (backoff, chance) = (self.config.backoff(), self.chance.draw());
        let history = self.slots.entry(slot.clone()).or_default();
        history.failures = history.failures.saturating_add(1);
        history.not_before = now + backoff.delay(history.failures, chance);
    }

    fn settle_destroy(&mut self, step: &GroupStep, outcome: Outcome, now: Moment) {
        let Action::Destroy { description, slot, .. } = &step.action else { return };
        let (backoff, chance) = (self.config.backoff(), self.chance.draw());
        let Some(doom) = self.doomed.get_mut(&description.id) else { return };
        let id = &description.id;
        if let Outcome::Failed { effect, why } = outcome {
            doom.refused = effect == Effect::Refused;
            self.report.spared += usize::from(effect == Effect::None);
            doom.failures = doom.failures.saturating_add(1);
            let retry_at = now + backoff.delay(doom.failures, chance);
            doom.progress = Demise::Failed { at: now, retry_at, why: why.clone() };
            self.warn(format!("destroying instance {id} of slot {slot} failed: {why}"));
        } else {
            doom.progress = Demise::Done { at: now };
            self.note(format!("destroyed instance {id} of slot {slot}: {}", step.why));
        }
    }
}

impl GroupStep {
    fn describe_short(&self) -> &'static str {
        match self.action {
            Action::Create { .. } => "making a member",
            Action::Adopt { .. } => "adopting an instance",
            Action::Destroy { .. } => "destroying a member",
            Action::Spare { .. } => "draining the own instance",
        }
    }

    fn done_word(&self) -> &'static str {
        match self.action {
            Action::Spare { .. } => "drained and spared own instance",
            _ => "adopted instance",
        }
    }
}

//! Everything that a group controller knows about one group. Changed by [`GroupState::absorb`]
//! (what was seen), `settle` (how steps ended) and commands; never by a clock or a socket.

mod absorb;
mod chance;
mod health;
mod member;
mod pending;
mod question;
mod settle;
mod update;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use regrow_ids::{Generation, InstanceId, LogicalId, StepKey, StepKeyParts};
use regrow_reconcile::{Level, Moment, Quality, Report};

use crate::config::{ConfigError, GroupConfig, Membership, SharedConfig};
use chance::Chance;

pub(crate) use absorb::FreeNumbers;
pub use member::{Absence, HealthRecord, Member, SLOT_TAG, Slot};
pub use pending::{Claim, Demise, Doom, Progress, SlotHistory};
pub use question::{Answer, DirectQuestion, Question, Subject};
pub use settle::Outcome;
pub use update::Update;

/// How long the controller waits before it believes something.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Regular time between looks.
    pub poll: Duration,
    /// A member that is missing from a list must still be missing this much later.
    pub confirm: Duration,
    /// The same when more than a quarter of the members is missing at once.
    pub mass_loss: Duration,
    /// The same when a list is suddenly empty.
    pub total_loss: Duration,
    /// How long an instance that was asked for may take to show in a list after the call ended.
    pub unseen: Duration,
}

impl Default for Patience {
    /// For a poll interval of ten seconds.
    fn default() -> Self {
        Self::for_poll(Duration::from_secs(10))
    }
}

impl Patience {
    /// Values that suit a poll interval.
    pub fn for_poll(poll: Duration) -> Self {
        Self {
            poll,
            confirm: Duration::from_millis(25),
            mass_loss: poll.max(Duration::from_secs(5)),
            total_loss: (poll * 6).max(Duration::from_secs(30)),
            unseen: Duration::from_secs(90),
        }
    }
}

/// A controller that just began knows nothing: it believes that members are missing only after it
/// saw so many complete lists, so that one or two short ones do not lead to doubles.
pub(crate) const FIRST_LOOKS: u64 = 3;

/// What makes the step keys of one state different from those of any other.
#[derive(Clone, Copy, Debug)]
pub struct KeySpace {
    /// Number of the intent log.
    pub lineage: u64,
    /// Number drawn from the intent log for this state alone.
    pub epoch: u64,
}

/// More than one plan can hold. Each plan that runs takes so many numbers, whether it uses them or
/// not: a step that was withheld must not lend its number to another.
const KEYS_PER_PLAN: u64 = 1 << 20;

/// One group, as its controller knows it.
#[derive(Debug)]
pub struct GroupState {
    /// What the user asked for.
    pub config: SharedConfig,
    /// Grows with each change of the configuration.
    pub generation: Generation,
    /// The running update, if any.
    pub update: Option<Update>,
    /// Instances that were seen.
    pub members: BTreeMap<InstanceId, Member>,
    /// Instances that were asked for and not seen yet.
    pub claims: BTreeMap<StepKey, Claim>,
    /// Instances that are being destroyed, or were lately.
    pub doomed: BTreeMap<InstanceId, Doom>,
    /// Instances whose destruction an earlier run had begun. They are members as long as lists
    /// show them, and the first to go when there are too many.
    pub recalled: BTreeMap<InstanceId, Vec<StepKey>>,
    /// Slots with a history of failures.
    pub slots: BTreeMap<Slot, SlotHistory>,
    /// Members that the user asked to destroy by name.
    pub condemned: BTreeSet<InstanceId>,
    /// Members that a provider reported as lost, with the time of the report.
    pub reported_lost: BTreeMap<InstanceId, Moment>,
    /// Members that are being adopted, with the time before which it is not tried again.
    pub labelling: BTreeMap<InstanceId, Moment>,
    /// The whole group is to go.
    pub dissolving: bool,
    /// Identity of the instance that this controller runs on.
    pub own: Option<LogicalId>,
    /// What the last look was worth.
    pub quality: Quality,
    /// Begin and end of the last complete look.
    pub last_look: Option<(Moment, Moment)>,
    /// Complete looks since the beginning.
    pub complete_looks: u64,
    /// Complete looks when the group was told to go.
    looks_at_dissolution: u64,
    /// How long to wait before believing things.
    pub patience: Patience,
    keys: KeySpace,
    keys_drawn: u64,
    chance: Chance,
    report: Report,
}

impl GroupState {
    /// A group that was not looked at yet.
    pub fn new(config: GroupConfig, keys: KeySpace, patience: Patience) -> Self {
        Self {
            config: Arc::new(config),
            generation: Generation::new(1),
            update: None,
            members: BTreeMap::new(),
            claims: BTreeMap::new(),
            doomed: BTreeMap::new(),
            recalled: BTreeMap::new(),
            slots: BTreeMap::new(),
            condemned: BTreeSet::new(),
            reported_lost: BTreeMap::new(),
            labelling: BTreeMap::new(),
            dissolving: false,
            own: None,
            quality: Quality::Partial("nothing was seen yet".to_owned()),
            last_look: None,
            complete_looks: 0,
            looks_at_dissolution: 0,
            patience,
            keys,
            keys_drawn: 0,
            chance: Chance::new(keys.lineage ^ keys.epoch),
            report: Report::default(),
        }
    }

    /// True when the instance is the one that this controller runs on.
    pub fn is_own(&self, member: &Member) -> bool {
        self.own.is_some() && member.description.logical_id() == self.own
    }

    /// Key of the n-th step of the next plan for a slot.
    pub fn step_key(&self, slot: &str, nth: usize) -> StepKey {
        StepKey::derive(&StepKeyParts {
            group: &self.config.id,
            slot,
            generation: self.generation,
            attempt: self.keys_drawn + nth as u64,
            lineage: self.keys.lineage ^ self.keys.epoch.rotate_left(32),
        })
    }

    /// Number of wanted members.
    pub fn desired(&self) -> u32 {
        if self.dissolving { 0 } else { self.config.membership.size() }
    }

    /// True when the group is a set of identities.
    pub fn has_identities(&self) -> bool {
        matches!(self.config.membership, Membership::Identities(_))
    }

    /// A provider says that an instance is gone.
    pub fn report_lost(&mut self, id: &InstanceId, now: Moment) -> bool {
        let known = self.members.contains_key(id)
            || self.claims.values().any(
                |claim| matches!(&claim.progress, Progress::Made { id: made, .. } if made == id),
            );
        if known {
            self.reported_lost.insert(id.clone(), now);
        }
        known
    }

    /// Destroys members by name and shrinks a group by size by their number. A member that is named
    /// again while it goes is not counted twice.
    ///
    /// # Errors
    /// The group's own document forbids the smaller size; nothing changed then.
    pub fn condemn(
        &mut self,
        named: &BTreeSet<InstanceId>,
        now: Moment,
    ) -> Result<(), ConfigError> {
        let fresh = named
            .iter()
            .filter(|id| !self.condemned.contains(*id) && !self.doomed.contains_key(*id));
        let fresh: Vec<_> = fresh.cloned().collect();
        let count = u32::try_from(fresh.len()).unwrap_or(u32::MAX);
        // A member with an identity is replaced: its identity stays wanted.
        if let Membership::Size(size) = self.config.membership {
            let shrunk = self.config.resized(size.saturating_sub(count))?;
            self.commit(shrunk, now);
        }
        self.condemned.extend(fresh);
        Ok(())
    }

    /// Destroys all members and forgets them.
    pub fn dissolve(&mut self) {
        self.dissolving = true;
        self.update = None;
        self.generation = self.generation.next();
        self.looks_at_dissolution = self.complete_looks;
    }

    /// True when nothing is left to destroy or to wait for: several lists have shown no member, and
    /// none shows an instance that was destroyed.
    pub fn is_dissolved(&self) -> bool {
        self.dissolving
            && self.quality.is_complete()
            && self.complete_looks >= self.looks_at_dissolution + FIRST_LOOKS
            && self.is_empty()
    }

    /// True when no instance of the group is known that may exist.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
            && self.claims.is_empty()
            && self.doomed.values().all(|doom| doom.keys.is_empty())
    }

    pub(crate) fn take_report(&mut self) -> Report {
        std::mem::take(&mut self.report)
    }

    pub(crate) fn note(&mut self, text: String) {
        self.report.notes.push((Level::Info, text));
    }

    pub(crate) fn warn(&mut self, text: String) {
        self.report.notes.push((Level::Warning, text));
    }

    pub(crate) fn close(&mut self, key: StepKey) {
        self.report.closed.push(key);
    }
}

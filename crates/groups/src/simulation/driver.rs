use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use regrow_ids::{Fence, InstanceId};
use regrow_plugin::Effect;
use regrow_plugin::spi::{DestroyReason, Tags, tags};
use regrow_reconcile::intents::{Intent, MemoryIntents};
use regrow_reconcile::{BudgetLedger, Class, Moment, Plan, Quality, Sighting, Step};

use super::world::{Listed, Manners, World};
use crate::config::GroupConfig;
use crate::plan::plan;
use crate::state::{Answer, GroupState, KeySpace, Outcome, Patience, Question};
use crate::step::{Action, GroupStep};

/// How long a list takes.
const LOOK_TIME: Duration = Duration::from_millis(2);
/// How long a call without further delay takes.
const CALL_TIME: Duration = Duration::from_millis(5);
/// After this the caller of a call that is answered late gives up.
const CALL_TIMEOUT: Duration = Duration::from_secs(15);

/// What a list shows instead of the truth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lie {
    Error,
    Empty,
    Truncated,
    /// The world as it was seven seconds after the beginning: other instances than now.
    Old,
    Doubled,
    Foreign,
}

impl Lie {
    pub(super) const ALL: [Self; 6] =
        [Self::Error, Self::Empty, Self::Truncated, Self::Old, Self::Doubled, Self::Foreign];
}

/// How a call is never made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unmade {
    /// It was granted and dropped before its turn, as when leadership ends.
    Dropped,
    /// The plugin cannot be reached.
    Unreachable,
}

enum Due {
    /// The world changes; whether anybody hears of it is another event.
    Effect(GroupStep),
    Reply(GroupStep, Outcome),
    Sight(Moment, Answer),
    Death(InstanceId),
}

/// The loop of `reconcile` in virtual time.
pub(super) struct Sim {
    pub(super) now: Moment,
    pub(super) state: GroupState,
    pub(super) world: World,
    pub(super) log: MemoryIntents,
    pub(super) lies: VecDeque<Option<Lie>>,
    /// What becomes of the next calls that would make an instance; the rest are made.
    pub(super) unmade: VecDeque<Option<Unmade>>,
    pub(super) events: usize,
    pub(super) last_plan: Plan<GroupStep>,
    /// Every destroy step that was started, with the number of lists seen by then.
    pub(super) destroys: Vec<(usize, GroupStep)>,
    pub(super) lists: usize,
    due: Vec<(Moment, u64, Due)>,
    sequence: u64,
    looking: bool,
    look_at: Moment,
    plan_at: Option<Moment>,
    budget: BudgetLedger,
    made: std::collections::BTreeMap<String, InstanceId>,
}

impl Sim {
    pub(super) fn new(config: GroupConfig, seed: u64) -> Self {
        Self::with(config, seed, Manners::default())
    }

    pub(super) fn with(config: GroupConfig, seed: u64, manners: Manners) -> Self {
        let log = MemoryIntents::new(seed);
        let state = fresh_state(config, &log);
        Self {
            now: Moment::START,
            state,
            world: World::new(manners),
            log,
            lies: VecDeque::new(),
            unmade: VecDeque::new(),
            events: 0,
            last_plan: Plan::default(),
            destroys: vec![],
            lists: 0,
            due: vec![],
            sequence: 0,
            looking: false,
            look_at: Moment::START,
            plan_at: None,
            budget: BudgetLedger::default(),
            made: std::collections::BTreeMap::new(),
        }
    }

    /// The controller dies and another one takes over with the same log. Calls that are under
    /// way still take effect; nobody hears of it.
    pub(super) fn crash(&mut self) {
        let config = (*self.state.config).clone();
        let own = self.state.own.clone();
        self.state = fresh_state(config, &self.log);
        self.state.own = own;
        self.state.resume(self.log.open("g"), self.now);
        self.due.retain(|(_, _, due)| matches!(due, Due::Effect(_) | Due::Death(_)));
        self.looking = false;
        (self.look_at, self.plan_at) = (self.now, None);
        self.last_plan = Plan::default();
    }

    /// Like a crash, at the moment between recording intents and making the calls.
    pub(super) fn crash_before_calls(&mut self) {
        self.due.clear();
        self.crash();
    }

    pub(super) fn commit(&mut self, config: GroupConfig) {
        self.state.commit(config, self.now);
        self.plan_at = Some(self.now);
        self.look_at = self.now;
    }

    /// The provider tells of a loss.
    pub(super) fn report_lost(&mut self, id: &InstanceId) {
        if self.state.report_lost(id, self.now) {
            self.look_at = self.look_at.min(self.now);
        }
    }

    /// An instance dies, with or without a report.
    pub(super) fn kill(&mut self, id: &InstanceId, reported: bool) {
        self.world.kill(id, self.now);
        self.last_plan.converged = false;
        if reported {
            self.report_lost(id);
        }
    }

    pub(super) fn adds(&mut self, labels: &[(&str, &str)]) -> InstanceId {
        let labels: Tags = labels.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
        self.world.add(labels, self.now)
    }

    pub(super) fn hash(&self) -> String {
        self.state.config.hash.as_str().to_owned()
    }

    /// Lets so much time pass.
    pub(super) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.next_event().filter(|at| *at <= end) {
            self.step_to(at);
        }
        self.now = end;
    }

    /// Lets time pass until nothing is left to do; fails after so many seconds.
    pub(super) fn converge(&mut self, within_secs: u64) {
        let end = self.now + Duration::from_secs(within_secs);
        while !self.is_converged() {
            let at = self.next_event().filter(|at| *at <= end);
            let Some(at) = at else {
                panic!(
                    "not converged at {}: {:?}\n{:#?}",
                    self.now, self.last_plan.blocked, self.state.claims
                )
            };
            self.step_to(at);
        }
    }

    pub(super) fn is_converged(&self) -> bool {
        self.last_plan.converged && self.plan_at.is_none_or(|at| at > self.now) && {
            let busy = |due: &Due| matches!(due, Due::Effect(_) | Due::Reply(..));
            !self.due.iter().any(|(_, _, due)| busy(due))
        }
    }

    /// One event; false when the end was reached before it.
    pub(super) fn step_before(&mut self, end: Moment) -> bool {
        match self.next_event().filter(|at| *at <= end) {
            Some(at) => {
                self.step_to(at);
                true
            }
            None => false,
        }
    }

    fn next_event(&self) -> Option<Moment> {
        let due = self.due.iter().map(|(at, _, _)| *at).min();
        let look = (!self.looking).then_some(self.look_at);
        [due, look, self.plan_at].into_iter().flatten().min().map(|at| at.max(self.now))
    }

    fn step_to(&mut self, at: Moment) {
        self.now = at;
        self.events += 1;
        assert!(self.events < 1_000_000, "the controller spins: {:?}", self.last_plan.blocked);
        let ready = self
            .due
            .iter()
            .enumerate()
            .filter(|(_, (due, _, _))| *due <= at)
            .min_by_key(|(_, (due, sequence, _))| (*due, *sequence))
            .map(|(index, _)| index);
        if let Some(index) = ready {
            let (_, _, due) = self.due.swap_remove(index);
            self.happen(due);
        } else if !self.looking && self.look_at <= at {
            self.look();
        } else if self.plan_at.is_some_and(|due| due <= at) {
            self.plan();
        }
    }

    fn later(&mut self, after: Duration, due: Due) {
        self.sequence += 1;
        self.due.push((self.now + after, self.sequence, due));
    }

    fn happen(&mut self, due: Due) {
        match due {
            Due::Effect(step) => self.effect(&step),
            Due::Reply(step, outcome) => {
                let outcome = match (outcome, self.made.get(step.key.as_str())) {
                    (Outcome::Done, Some(id)) => Outcome::Created(id.clone()),
                    (outcome, _) => outcome,
                };
                self.state.settle(&step, outcome, self.now);
                self.plan_at = Some(self.now);
            }
            Due::Sight(began, items) => {
                self.looking = false;
                self.state.absorb(Sighting { began, ended: self.now, items });
                self.plan_at = Some(self.now);
            }
            Due::Death(id) => self.kill(&id, true),
        }
    }

    fn effect(&mut self, step: &GroupStep) {
        match &step.action {
            Action::Create { slot, config, .. } => {
                let id = self.world.provision(step, slot, config, self.now);
                if let Some(life) = self.world.manners.new_ones_live {
                    self.later(life, Due::Death(id.clone()));
                }
                self.made.insert(step.key.as_str().to_owned(), id);
            }
            Action::Destroy { description, reason, .. } => {
                self.world.destroy(&description.id, *reason, self.now);
            }
            Action::Adopt { description, config } => {
                let mut adopted = (**description).clone();
                let hash = config.hash.as_str().to_owned();
                adopted.tags.insert(tags::CONFIG_HASH.to_owned(), hash);
                self.world.instances.insert(adopted.id.clone(), Arc::new(adopted));
            }
            Action::Spare { .. } => {}
        }
    }

    fn look(&mut self) {
        self.looking = true;
        self.look_at = self.now + self.state.patience.poll;
        let question = self.state.question(self.now);
        let answer = self.answer(question);
        let began = self.now;
        self.later(LOOK_TIME, Due::Sight(began, answer));
    }

    fn answer(&mut self, question: Question) -> Answer {
        self.lists += 1;
        let mut listed = self.world.list(self.now);
        let foreign = Tags::from([(tags::GROUP.to_owned(), "other".to_owned())]);
        match self.lies.pop_front().flatten() {
            None => {}
            Some(Lie::Error) => return Answer::failed("connection refused".into()),
            Some(Lie::Empty) => listed.clear(),
            Some(Lie::Truncated) => listed.truncate(listed.len() / 2),
            Some(Lie::Old) => listed = self.world.at(Moment::after(Duration::from_secs(7))),
            Some(Lie::Doubled) => listed.extend(listed.clone()),
            Some(Lie::Foreign) => {
                let mut stranger = listed.first().map(|d| (**d).clone()).unwrap_or_default();
                (stranger.id, stranger.tags) = (InstanceId::from("stranger"), foreign);
                listed.push(Arc::new(stranger));
            }
        }
        let find = |wanted: &Tags| -> Listed {
            let world = self.world.list(self.now);
            world.into_iter().filter(|d| d.matches(wanted)).collect()
        };
        let lookups =
            question.lookups.into_iter().map(|l| (l.subject, Some(find(&l.tags)))).collect();
        let health =
            question.health_of.iter().map(|d| (d.id.clone(), self.world.health(&d.id))).collect();
        let remembers_keys = self.world.manners.promises_keys;
        Answer { quality: Quality::Complete, instances: listed, remembers_keys, lookups, health }
    }

    fn plan(&mut self) {
        let report = self.state.take_report();
        self.log.close(&report.closed);
        self.budget.give_back(report.spared);
        let mut planned = plan(&self.state, self.now);
        if let Some(budget) = self.state.config.destroy_budget(self.state.members.len() as u32) {
            let mut left = self.budget.left(budget, self.now);
            planned.steps.retain(|step| {
                let keep = step.class() != Class::Destroy || left > 0;
                left -= usize::from(keep && step.class() == Class::Destroy);
                keep
            });
            let kept = planned.steps.iter().filter(|s| s.class() == Class::Destroy).count();
            self.budget.spend(kept, self.now);
            if let Some(at) = self.budget.refill_at(budget) {
                planned.replan_by(at);
            }
        }
        if let Some(at) = planned.look_at {
            self.look_at = self.look_at.min(at.max(self.now + CALL_TIME));
        }
        self.plan_at = planned.replan_at;
        self.grant(&planned.steps);
        self.last_plan = planned;
    }

    fn grant(&mut self, steps: &[GroupStep]) {
        let intents: Vec<_> = steps
            .iter()
            .map(|step| Intent {
                key: step.key().clone(),
                owner: "g".to_owned(),
                class: step.class().into(),
                body: step.intent(),
                fence: Fence::new(1),
            })
            .collect();
        self.log.record(&intents);
        self.state.start(steps, self.now);
        for step in steps {
            if step.class() == Class::Destroy {
                self.destroys.push((self.lists, step.clone()));
            }
            let create = step.class() == Class::Create;
            match if create { self.unmade.pop_front().flatten() } else { None } {
                None => self.call(step),
                Some(Unmade::Dropped) => self.state.not_started(step, self.now),
                Some(Unmade::Unreachable) => {
                    let why = "connection refused".to_owned();
                    let outcome = Outcome::Failed { effect: Effect::None, why };
                    self.later(CALL_TIME, Due::Reply(step.clone(), outcome));
                }
            }
        }
    }

    fn call(&mut self, step: &GroupStep) {
        let Manners { delay, answers_late, fails_after_making, destroys_fail, .. } =
            self.world.manners;
        let create = step.class() == Class::Create;
        let takes = if create { CALL_TIME + delay } else { CALL_TIME };
        if create || !destroys_fail {
            self.later(takes, Due::Effect(step.clone()));
        }
        let failed = |effect, why: &str| Outcome::Failed { effect, why: why.to_owned() };
        let (takes, outcome) = match create {
            true if answers_late && takes > CALL_TIMEOUT => {
                (CALL_TIMEOUT, failed(Effect::Unknown, "no answer"))
            }
            true if fails_after_making => (takes, failed(Effect::Refused, "tagging failed")),
            false if destroys_fail && step.class() == Class::Destroy => {
                (takes, failed(Effect::Refused, "drain failed"))
            }
            _ => (takes, Outcome::Done),
        };
        self.later(takes + Duration::from_micros(1), Due::Reply(step.clone(), outcome));
    }

    /// Members with the configuration that is wanted now.
    pub(super) fn current(&self) -> usize {
        let hash = self.state.config.hash.as_str();
        let is_current = |d: &&Arc<_>| -> bool { tag(d, tags::CONFIG_HASH) == Some(hash) };
        self.world.instances.values().filter(is_current).count()
    }

    /// Number of instances that were destroyed for a reason.
    pub(super) fn destroyed_for(&self, reason: DestroyReason) -> usize {
        let ids = self.world.destroyed.iter().filter(|(_, _, why)| *why == reason);
        ids.map(|(_, id, _)| id).collect::<std::collections::BTreeSet<_>>().len()
    }
}

fn tag<'a>(description: &'a regrow_plugin::spi::Description, name: &str) -> Option<&'a str> {
    description.tags.get(name).map(String::as_str)
}

fn fresh_state(config: GroupConfig, log: &MemoryIntents) -> GroupState {
    let keys = KeySpace { lineage: log.lineage(), epoch: log.next_epoch() };
    GroupState::new(config, keys, Patience::default())
}

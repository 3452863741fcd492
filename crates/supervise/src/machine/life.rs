//! One job: what is known of it, and what it does in each cell of the table.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use regrow_init::ProcessId;
use serde::{Deserialize, Serialize};

use super::hub::{Hub, Role};
use super::io::{JobId, Moment, Shown};
use super::table::{Act, Cue, Phase, cell};
use crate::config::{Job, Level, Restarts, Service, Status, Trigger, When};
use crate::event::Code;

/// What is known of the fitness of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Fitness {
    Unknown,
    Healthy,
    Unhealthy,
}

impl Fitness {
    /// The event that says so.
    pub fn code(self) -> Option<Code> {
        match self {
            Self::Unknown => None,
            Self::Healthy => Some(Code::Healthy),
            Self::Unhealthy => Some(Code::Unhealthy),
        }
    }
}

/// How the last run of a job's process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LastRun {
    /// As a shell shows it: 128 and the number of the signal that killed it; 127 and 126 where it
    /// could not be started.
    pub code: i32,
    /// How long it ran.
    pub stable: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Life {
    pub id: JobId,
    pub job: Arc<Job>,
    pub service: Option<Arc<Service>>,
    /// `check.NAME`
    pub check_label: Arc<str>,
    /// The lock whose acquisition starts it: it runs under that lock only.
    pub lock: Option<Arc<str>>,
    pub phase: Phase,
    /// What [`Phase::Terminating`] leads to is [`Phase::Waiting`], not the end.
    pub returns: bool,
    /// Its process.
    pub main: Option<ProcessId>,
    /// The check that runs.
    pub check: Option<ProcessId>,
    /// The look at its process that runs.
    pub live: Option<ProcessId>,
    /// `None`: without limit.
    pub starts: Option<u64>,
    /// `None`: without limit.
    pub restarts: Option<u64>,
    /// It is to run once more when the process has ended.
    pub pending: bool,
    /// Which of its start events have come, where all of them must.
    pub seen: BTreeSet<usize>,
    /// When its process was last started.
    pub since: Moment,
    /// It ran at least once.
    pub ran: bool,
    pub last: Option<LastRun>,
    /// Failed runs in a row, none of them stable.
    pub streak: u32,
    pub fitness: Fitness,
    /// Its process said `READY=1`.
    pub ready: bool,
    /// The check that runs was begun for a process that is gone.
    pub stale: bool,
    /// Its process was found dead so many times in a row.
    pub failures: u32,
    /// What the catalog was last told, as far as it shows it.
    pub announced: Option<Status>,
    /// The catalog was asked to take it out and did not answer.
    pub withdrawing: bool,
    /// Those that run because it is stopping: it waits for them.
    pub waits: BTreeSet<JobId>,
    /// Those that wait for it.
    pub waited_by: BTreeSet<JobId>,
    /// It begins when that job has ended, whose place it takes.
    pub behind: Option<JobId>,
    /// It is not in the configuration any more.
    pub leaving: bool,
    /// It begins anew when it has ended: what it waits for has begun anew.
    pub renew: bool,
    /// Kill signals were sent to what was left at its end.
    pub killed: bool,
    /// Under the lock that goes nothing runs longer than this.
    pub kill_by: Option<Moment>,
    /// Signals for its process that came while it had none.
    pub forwards: BTreeSet<i32>,
    pub deadlines: BTreeMap<Cue, Moment>,
}

impl Life {
    pub fn new(id: JobId, job: Arc<Job>) -> Self {
        let (starts, restarts) = (starts(&job.when), limit(job.restarts));
        Self {
            id,
            service: job.service.clone().map(Arc::new),
            check_label: format!("check.{}", job.name).into(),
            lock: lock(&job.when),
            job,
            phase: Phase::Idle,
            returns: false,
            main: None,
            check: None,
            live: None,
            starts,
            restarts,
            pending: false,
            seen: BTreeSet::new(),
            since: Moment::default(),
            ran: false,
            last: None,
            streak: 0,
            fitness: Fitness::Unknown,
            ready: false,
            stale: false,
            failures: 0,
            announced: None,
            withdrawing: false,
            waits: BTreeSet::new(),
            waited_by: BTreeSet::new(),
            behind: None,
            leaving: false,
            renew: false,
            killed: false,
            kill_by: None,
            forwards: BTreeSet::new(),
            deadlines: BTreeMap::new(),
        }
    }

    /// Does what the table says.
    pub fn on(&mut self, cue: Cue, hub: &mut Hub) {
        match cell(self.phase, cue) {
            Act::Skip => {}
            Act::Never => self.never(cue, hub),
            Act::Launch => self.begin_run(hub),
            Act::Remember => self.remember(),
            Act::Lap => self.lap(hub),
            Act::Expire => self.expire(hub),
            Act::Rerun => self.launch(hub),
            Act::Run => self.run(hub),
            Act::Next => self.next(hub),
            Act::Reap => self.reap(hub),
            Act::Kill => self.kill(cue, hub),
            Act::KillCheck => self.kill_check(hub),
            Act::KillLive => self.kill_live(hub),
            Act::Drain => self.drain(hub),
            Act::Withdraw => self.withdraw(hub),
            Act::Terminate => self.terminate(hub),
            Act::KillAll => self.kill_all(hub),
            Act::EndAfter => self.end_after(hub),
            Act::Yield => self.give_way(hub),
            Act::Hasten => self.hasten(hub),
            Act::Hurry => self.hurry(hub),
            Act::Check => self.begin_check(hub),
            Act::Judge => {}
            Act::Look => self.look(hub),
            Act::Count => {}
            Act::MarkReady => self.mark_ready(hub),
            Act::Listen => self.listen(hub),
        }
    }

    fn never(&self, cue: Cue, hub: &mut Hub) {
        let text =
            format!("fault of the supervisor: {cue:?} came to a job that is {:?}", self.phase);
        hub.say(Level::Error, &self.job.name, text);
    }

    pub fn enter(&mut self, phase: Phase, hub: &mut Hub) {
        self.phase = phase;
        hub.moved = true;
    }

    /// Sets the deadline of a cue anew.
    pub fn set(&mut self, cue: Cue, at: Moment, hub: &mut Hub) {
        self.clear(&[cue], hub);
        self.deadlines.insert(cue, at);
        hub.deadlines.insert((at, self.id, cue));
    }

    /// Takes these deadlines away.
    pub fn clear(&mut self, cues: &[Cue], hub: &mut Hub) {
        for cue in cues {
            if let Some(at) = self.deadlines.remove(cue) {
                hub.deadlines.remove(&(at, self.id, *cue));
            }
        }
    }

    /// Begins to listen to events.
    pub fn listen(&mut self, hub: &mut Hub) {
        self.behind = None;
        if let When::Events { timeout: Some(timeout), .. } = &self.job.when {
            let at = hub.now.after(*timeout);
            self.set(Cue::WhenOver, at, hub);
        }
        let status = self.service.as_ref().and_then(|service| service.initial_status);
        if let Some(status) = status.filter(|_| !hub.maintenance) {
            self.announce(status, hub);
        }
        if std::mem::take(&mut self.pending) {
            self.on(Cue::Wanted, hub);
        }
    }

    fn expire(&mut self, hub: &mut Hub) {
        hub.publish(Code::TimerExpired, &Arc::clone(&self.job.name));
        self.drain(hub);
    }

    /// Its processes that were asked for and whose end was not taken.
    pub fn processes(&self) -> impl Iterator<Item = ProcessId> + use<> {
        [self.main, self.check, self.live].into_iter().flatten()
    }

    /// Something runs because of it, or will without another event.
    pub fn is_busy(&self) -> bool {
        let works = self.job.exec.is_some();
        match self.phase {
            Phase::Idle | Phase::Waiting => self.pending,
            Phase::Starting | Phase::Running | Phase::Pausing => works,
            Phase::Draining | Phase::Withdrawing | Phase::Terminating => true,
            Phase::Ended => false,
        }
    }

    /// Something of it depends on its lock being held.
    pub fn uses_lock(&self) -> bool {
        let rests = matches!(self.phase, Phase::Idle | Phase::Waiting | Phase::Ended);
        !rests || self.processes().next().is_some()
    }

    /// It waits for another job to stop, and there is something that it would run then.
    pub fn is_hook(&self) -> bool {
        self.job.exec.is_some() && self.stops().next().is_some()
    }

    /// It runs, and nothing but the stop of another job can be the reason.
    pub fn runs_as_hook(&self) -> bool {
        let runs = matches!(self.phase, Phase::Starting | Phase::Running);
        runs && self.is_hook() && self.stops().count() == self.triggers().len()
    }

    /// The jobs for whose stop it waits.
    pub fn stops(&self) -> impl Iterator<Item = &Arc<str>> {
        let stops = |t: &&Trigger| matches!(t.code, Code::Stopping | Code::Stopped);
        let others = self.triggers().iter().filter(stops).map(|trigger| &trigger.source);
        others.filter(|source| **source != self.job.name)
    }

    pub fn triggers(&self) -> &[Trigger] {
        match &self.job.when {
            When::Events { triggers, .. } => triggers,
            When::Startup | When::Interval(_) | When::Never => &[],
        }
    }

    pub fn shown(&self, maintenance: bool) -> Shown {
        match (self.phase, self.fitness) {
            _ if self.job.telemetry => Shown::Healthy,
            (Phase::Ended, _) => Shown::Completed,
            _ if maintenance => Shown::Maintenance,
            (_, Fitness::Unknown) => Shown::Unknown,
            (_, Fitness::Healthy) => Shown::Healthy,
            (_, Fitness::Unhealthy) => Shown::Unhealthy,
        }
    }

    /// Where the number of a process of its is kept.
    pub fn slot(&mut self, role: Role) -> &mut Option<ProcessId> {
        match role {
            Role::Main => &mut self.main,
            Role::Check => &mut self.check,
            Role::Live => &mut self.live,
        }
    }
}

/// How often events may start such a job.
fn starts(when: &When) -> Option<u64> {
    match when {
        When::Startup | When::Interval(_) => Some(1),
        When::Events { triggers, each, .. } => {
            let signal = triggers.iter().any(|trigger| trigger.code == Code::Signal);
            if *each || signal { None } else { Some(1) }
        }
        When::Never => Some(0),
    }
}

fn limit(restarts: Restarts) -> Option<u64> {
    match restarts {
        Restarts::Times(times) => Some(times),
        Restarts::Unlimited => None,
    }
}

/// The lock whose acquisition starts such a job.
fn lock(when: &When) -> Option<Arc<str>> {
    let When::Events { triggers, .. } = when else { return None };
    let source = triggers.iter().find(|trigger| trigger.code == Code::Acquired)?;
    source.source.strip_prefix("lock:").map(Arc::from)
}

//! A world in which the machine is tried at random: init, a catalog and a lock as the machine may
//! meet them, and what must hold whatever happens.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use regrow_init::{Ended, ProcessId};

use super::draw::Op;
use crate::config::{Config, Level, Status};
use crate::event::{Code, Event};
use crate::machine::{Effect, Input, JobId, Machine, Moment, Notice, Start};

/// The machine as the worker keeps it.
fn kept(machine: &Machine) -> Vec<u8> {
    regrow_codec::versioned::encode(1, machine).expect("it can be kept")
}

/// The machine that the next worker makes of that.
fn again(kept: &[u8]) -> Machine {
    regrow_codec::versioned::decode(1, kept).expect("it can be read again")
}

struct Process {
    start: Start,
    /// `None`: it runs.
    ended: Option<Ended>,
}

pub struct World {
    pub machine: Machine,
    config: Arc<Config>,
    pub now: Moment,
    pub exited: Option<i32>,
    /// What init knows.
    processes: BTreeMap<ProcessId, Process>,
    ever: BTreeSet<ProcessId>,
    probes: BTreeMap<ProcessId, JobId>,
    replies: VecDeque<Input>,
    withdrawals: VecDeque<JobId>,
    /// What the catalog shows.
    shown: BTreeSet<JobId>,
    /// Jobs that something said are fit since their process was last started.
    fit: BTreeSet<JobId>,
    lock: Option<u64>,
    /// The fence of a lock that is about to be lost: nobody else has it before `kill_at`.
    lost: Option<u64>,
    fences: u64,
    /// Nothing runs under the lock at this moment any more.
    kill_at: Option<Moment>,
    crash: Option<usize>,
    /// Names of jobs that run because another stops.
    hooks: BTreeSet<Arc<str>>,
    /// Processes end when they are told to, or not before they are killed.
    pub obeys: bool,
}

impl World {
    pub fn new(config: Arc<Config>, seed: u64) -> Self {
        let now = Moment(Duration::from_secs(50));
        Self {
            machine: Machine::new(Arc::clone(&config), seed, now),
            config,
            now,
            exited: None,
            processes: BTreeMap::new(),
            ever: BTreeSet::new(),
            probes: BTreeMap::new(),
            replies: VecDeque::new(),
            withdrawals: VecDeque::new(),
            shown: BTreeSet::new(),
            fit: BTreeSet::new(),
            lock: None,
            lost: None,
            fences: 0,
            kill_at: None,
            crash: None,
            hooks: BTreeSet::new(),
            obeys: true,
        }
    }

    /// Gives an input to the machine and to one that was kept and read again: they must agree.
    pub fn give(&mut self, input: Input) {
        let before = kept(&self.machine);
        let mut twin = again(&before);
        let effects = self.machine.handle(input.clone(), self.now);
        assert_eq!(effects, twin.handle(input, self.now), "kept and read again it does the same");
        assert_eq!(self.machine.next_deadline(), twin.next_deadline());
        let Some(left) = self.crash.take() else {
            effects.iter().for_each(|effect| self.perform(effect));
            return;
        };
        effects.iter().take(left).for_each(|effect| self.perform(effect));
        if self.exited.is_none() {
            let kept = kept(&self.machine);
            self.succeed(&kept);
        }
    }

    /// The next worker: what init did not tell the last one is told, the rest is lost with it.
    fn succeed(&mut self, kept: &[u8]) {
        self.machine = again(kept);
        self.replies.clear();
        self.probes.clear();
        self.withdrawals.clear();
        for (process, known) in &self.processes {
            if let Some(how) = known.ended {
                let process = *process;
                self.replies.push_back(Input::Ended { process, how, text: None });
            }
        }
        let known = self.processes.keys().copied().collect();
        self.give(Input::Adopted { known });
        if let Some(fence) = self.lock.or(self.lost) {
            self.give(Input::Acquired { lock: "db".into(), fence });
        }
    }

    fn perform(&mut self, effect: &Effect) {
        assert_eq!(self.exited, None, "{effect:?} after the exit");
        match effect {
            Effect::Start(start) => self.start(start),
            Effect::Probe { process, job, .. } => {
                self.probes.insert(*process, *job);
            }
            Effect::Signal { process, signal } => self.signal(*process, *signal),
            Effect::Forget { process } => {
                let forgotten = self.processes.remove(process);
                assert!(forgotten.is_none_or(|known| known.ended.is_some()), "{process:?} runs");
            }
            Effect::Announce { job, status, service, .. } => {
                let initial = service.initial_status == Some(*status);
                assert!(initial || *status != Status::Passing || self.is_fit(*job), "{effect:?}");
                self.shown.insert(*job);
            }
            Effect::Heartbeat { job, status, .. } => {
                assert!(*status != Status::Passing || self.is_fit(*job), "{effect:?}");
                self.shown.insert(*job);
            }
            Effect::Withdraw { job } => {
                self.shown.remove(job);
                self.withdrawals.push_back(*job);
            }
            Effect::Say { level, text, .. } => {
                let fault = *level == Level::Error && text.starts_with("fault");
                assert!(!fault, "{text}");
            }
            Effect::Release { lock, fence } => {
                // What is over already may be said again.
                if self.lock.or(self.lost) == Some(*fence) {
                    assert!(!self.under_lock(), "{lock} is given back under a process");
                    (self.lock, self.lost, self.kill_at) = (None, None, None);
                }
            }
            Effect::Event(_) => {}
            Effect::Exit { code } => {
                assert!(self.processes.values().all(|known| known.ended.is_some()));
                self.exited = Some(*code);
            }
        }
    }

    fn under_lock(&self) -> bool {
        let mut running = self.processes.values().filter(|known| known.ended.is_none());
        running.any(|known| known.start.fence.is_some())
    }

    fn is_fit(&self, job: JobId) -> bool {
        let known = self.machine.jobs().into_iter().find(|status| status.id == job);
        let job_of = known.and_then(|status| {
            self.machine.config().jobs.iter().find(|job| job.name == status.name).cloned()
        });
        // A job that leaves the configuration is not listed any more; its checks still count.
        job_of.is_none_or(|job| job.health.is_none_or(|health| health.check.is_none()))
            || self.fit.contains(&job)
    }

    fn start(&mut self, start: &Start) {
        let process = start.process;
        if let Some(known) = self.processes.get(&process) {
            assert_eq!(known.start, *start, "the same number means the same");
            return;
        }
        assert!(self.ever.insert(process), "{start:?} was started before");
        if !start.check {
            let same = |known: &&Process| known.ended.is_none() && known.start.label == start.label;
            let double = self.processes.values().find(same).map(|known| known.start.process);
            assert_eq!(double, None, "{} runs already", start.label);
            self.fit.remove(&start.job);
        }
        if let Some((_, fence)) = &start.fence {
            assert_eq!(Some(*fence), self.lock, "{} starts without its lock", start.label);
        }
        self.processes.insert(process, Process { start: start.clone(), ended: None });
        self.replies.push_back(Input::Started { process, pid: 100 });
    }

    fn signal(&mut self, process: ProcessId, signal: i32) {
        let Some(known) = self.processes.get(&process) else { return };
        if signal == 15 && !known.start.check && known.ended.is_none() {
            let losing = known.start.fence.is_some();
            assert!(losing || !self.shown.contains(&known.start.job), "told to end while shown");
        }
        if signal == 9 || (signal == 15 && self.obeys) {
            self.end(process, Ended::Signal(signal));
        }
    }

    fn end(&mut self, process: ProcessId, how: Ended) {
        let Some(known) = self.processes.get_mut(&process) else { return };
        if known.ended.is_none() {
            known.ended = Some(how);
            self.replies.push_back(Input::Ended { process, how, text: None });
        }
    }

    fn reply(&mut self) {
        let Some(input) = self.replies.pop_front() else { return };
        if let Input::Ended { process, how: Ended::Code(0), .. } = &input
            && let Some(known) = self.processes.get(process)
            && known.start.label.starts_with("check.")
        {
            self.fit.insert(known.start.job);
        }
        self.give(input);
    }

    fn running(&self) -> Vec<ProcessId> {
        let running = self.processes.iter().filter(|(_, known)| known.ended.is_none());
        running.map(|(process, _)| *process).collect()
    }

    /// Time passes: deadline by deadline, or the machine hears of it only when it is over.
    pub fn pass(&mut self, time: Duration, each: bool) {
        let end = self.now.after(time);
        while let Some(due) = self.machine.next_deadline().filter(|due| *due <= end && each) {
            self.now = self.now.max(due);
            self.give(Input::Tick);
            self.check_lock();
            if self.exited.is_some() {
                return;
            }
        }
        self.now = end;
        if !each {
            self.give(Input::Tick);
        }
        self.check_lock();
    }

    fn check_lock(&self) {
        if self.kill_at.is_some_and(|at| at <= self.now) {
            assert!(!self.under_lock(), "something runs under a lock that is lost");
        }
    }

    pub fn hooks(&mut self, config: &Config) {
        let hooks = config.jobs.iter().filter(|job| super::laws::is_hook(job));
        self.hooks.extend(hooks.map(|job| Arc::clone(&job.name)));
    }

    pub fn act(&mut self, op: &Op, other: &Arc<Config>) {
        if self.exited.is_some() {
            return;
        }
        match op {
            Op::Reply => self.reply(),
            Op::End(index, code) => {
                let running = self.running();
                if !running.is_empty() {
                    self.end(*index.get(&running), Ended::Code(*code));
                }
            }
            Op::Answer(index, ok) => self.answer(index, *ok),
            Op::Pass(ms, each) => self.pass(Duration::from_millis(*ms), *each),
            Op::Hangup => self.give(Input::Signal { name: "SIGHUP".into() }),
            Op::Watch(code) => self.give(Input::Published(Event::new(*code, "watch.w"))),
            Op::Maintenance(on) => self.give(Input::Maintenance(*on)),
            Op::Acquire => self.acquire(),
            Op::Yield(ms) => {
                let time = Duration::from_millis(*ms);
                self.give(Input::Yield { lock: "db".into(), time });
            }
            Op::Lose(ms) => self.lose(Duration::from_millis(*ms)),
            Op::Withdrawn => {
                if let Some(job) = self.withdrawals.pop_front() {
                    self.give(Input::Withdrawn { job });
                }
            }
            Op::Notify(index, what) => self.notify(index, *what),
            Op::Forward => self.give(Input::Forward { signal: 28 }),
            Op::Reload(back) => {
                let next = if *back { Arc::clone(&self.config) } else { Arc::clone(other) };
                self.give(Input::Reload(next));
            }
            Op::Crash(after) => self.crash = Some(*after),
            Op::CrashBefore => {
                let kept = kept(&self.machine);
                self.succeed(&kept);
            }
            Op::Shutdown => self.give(Input::Shutdown),
        }
    }

    fn answer(&mut self, index: &proptest::sample::Index, ok: bool) {
        let probes: Vec<ProcessId> = self.probes.keys().copied().collect();
        if probes.is_empty() {
            return;
        }
        let process = *index.get(&probes);
        if let Some(job) = self.probes.remove(&process).filter(|_| ok) {
            self.fit.insert(job);
        }
        let outcome = if ok { Ok(()) } else { Err("refused".to_owned()) };
        self.give(Input::Probed { process, outcome });
    }

    fn acquire(&mut self) {
        if self.lock.is_none() && self.kill_at.is_none() {
            self.fences += 1;
            self.lock = Some(self.fences);
            self.give(Input::Acquired { lock: "db".into(), fence: self.fences });
        }
    }

    /// The lock comes back only after it was lost altogether.
    fn lose(&mut self, time: Duration) {
        if let Some(fence) = self.lock.take() {
            self.lost = Some(fence);
            let kill_at = self.now.after(time);
            self.crash = None;
            self.give(Input::Losing { lock: "db".into(), kill_at });
            // Where nothing was left to end it has been given back already.
            self.kill_at = self.lost.map(|_| kill_at);
            self.check_lock();
        } else if self.kill_at.is_some_and(|at| at <= self.now) {
            (self.kill_at, self.lost) = (None, None);
        }
    }

    fn notify(&mut self, index: &proptest::sample::Index, what: u8) {
        let running = self.running();
        if running.is_empty() {
            return;
        }
        let what = [Notice::Ready, Notice::Stopping, Notice::Watchdog][usize::from(what)];
        self.give(Input::Notified { process: *index.get(&running), what });
    }

    /// Told to end, with a world that answers: how long it takes until it exits.
    pub fn finish(&mut self, limit: Duration, catalog: bool) -> Duration {
        let begin = self.now;
        self.crash = None;
        if self.exited.is_none() {
            self.give(Input::Shutdown);
        }
        while self.exited.is_none() {
            assert!(self.now.since(begin) <= limit, "no exit in {limit:?}: {:#?}", self.machine);
            if !self.replies.is_empty() {
                self.reply();
            } else if let Some(job) = self.withdrawals.pop_front().filter(|_| catalog) {
                self.give(Input::Withdrawn { job });
            } else if let Some(hook) = self.untold() {
                self.end(hook, Ended::Code(0));
            } else {
                let due = self.machine.next_deadline();
                assert!(due.is_some(), "it waits for nothing: {:#?}", self.machine);
                self.now = self.now.max(due.unwrap_or_default());
                self.give(Input::Tick);
            }
        }
        self.now.since(begin)
    }

    /// A process that nobody has told to end: it runs because another job stops.
    fn untold(&self) -> Option<ProcessId> {
        let mut running = self.processes.iter().filter(|(_, known)| known.ended.is_none());
        running.find(|(_, known)| self.hooks.contains(&known.start.label)).map(|(id, _)| *id)
    }
}

/// How [`Code`] is used here.
pub const STOPS: [Code; 2] = [Code::Stopping, Code::Stopped];

//! What the jobs share: the clock, chance, process numbers, deadlines, locks, the queue of what
//! follows from what, and the effects.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use regrow_init::ProcessId;
use serde::{Deserialize, Serialize};

use super::io::{Effect, JobId, Moment};
use super::locks::Held;
use super::table::Cue;
use crate::config::{Config, Level};
use crate::event::{Code, Event};

/// What a process is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Role {
    /// It is the job.
    Main,
    /// It says whether the job is fit.
    Check,
    /// It says whether the process of the job is alive.
    Live,
}

/// A process, or a probe, from the wish to start it until its end was taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Process {
    pub job: JobId,
    pub role: Role,
    /// Asked by the worker itself, init knows nothing of it.
    pub probe: bool,
    pub pid: Option<i32>,
    /// The lock under which it runs and its fence.
    pub fence: Option<(Arc<str>, u64)>,
    /// What was sent to make it end: repeated to a worker's successor.
    pub signals: Vec<i32>,
}

/// What follows from what just happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Step {
    /// An event goes to those that wait for it; the job whose end it tells, if it does.
    Publish(Event, Option<JobId>),
    /// A job has nothing that runs any more, for now.
    Rested(JobId),
    /// A job has ended.
    Ended(JobId),
}

/// Why the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Cause {
    /// It was told to.
    Told,
    /// Its work is done.
    Done,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Hub {
    pub config: Arc<Config>,
    pub now: Moment,
    chance: u64,
    next_process: u64,
    next_job: u32,
    pub processes: BTreeMap<ProcessId, Process>,
    pub locks: BTreeMap<Arc<str>, Held>,
    /// The fence of the last tenure of each lock that was given back.
    pub released: BTreeMap<Arc<str>, u64>,
    /// Locks that are left to others until then.
    pub yielded: BTreeMap<Arc<str>, Moment>,
    /// The last state that each watch told.
    pub watched: BTreeMap<Arc<str>, Code>,
    pub maintenance: bool,
    /// Inputs other than [`super::Input::Begin`] came before it: nobody listens yet.
    pub begun: bool,
    pub ending: Option<Cause>,
    /// Code of the first job that failed for good.
    pub failed: Option<i32>,
    /// Code with which the main job ended.
    pub main: Option<i32>,
    /// A job that ran has ended.
    pub completed: bool,
    /// The code with which the program was told to exit.
    pub over: Option<i32>,
    /// Some job changed its phase: the end of the program has to be looked at.
    #[serde(skip)]
    pub moved: bool,
    #[serde(skip)]
    pub queue: VecDeque<Step>,
    #[serde(skip)]
    pub effects: Vec<Effect>,
    #[serde(skip)]
    pub deadlines: BTreeSet<(Moment, JobId, Cue)>,
}

impl Hub {
    pub fn new(config: Arc<Config>, seed: u64, now: Moment) -> Self {
        Self {
            config,
            now,
            chance: seed,
            next_process: 1,
            next_job: 1,
            processes: BTreeMap::new(),
            locks: BTreeMap::new(),
            released: BTreeMap::new(),
            yielded: BTreeMap::new(),
            watched: BTreeMap::new(),
            maintenance: false,
            begun: false,
            ending: None,
            failed: None,
            main: None,
            completed: false,
            over: None,
            moved: false,
            queue: VecDeque::new(),
            effects: Vec::new(),
            deadlines: BTreeSet::new(),
        }
    }

    pub fn job_id(&mut self) -> JobId {
        let id = JobId(self.next_job);
        self.next_job += 1;
        id
    }

    /// A number for a process of this job.
    pub fn process(
        &mut self,
        job: JobId,
        role: Role,
        probe: bool,
        fence: Option<(Arc<str>, u64)>,
    ) -> ProcessId {
        let id = ProcessId(self.next_process);
        self.next_process += 1;
        let process = Process { job, role, probe, pid: None, fence, signals: Vec::new() };
        self.processes.insert(id, process);
        id
    }

    pub fn publish(&mut self, code: Code, source: &Arc<str>) {
        self.publish_from(code, source, None);
    }

    pub fn publish_from(&mut self, code: Code, source: &Arc<str>, origin: Option<JobId>) {
        self.put(Event::new(code, Arc::clone(source)), origin);
    }

    pub fn put(&mut self, event: Event, origin: Option<JobId>) {
        self.effects.push(Effect::Event(event.clone()));
        self.queue.push_back(Step::Publish(event, origin));
    }

    /// Sends a signal to the group of a process; a probe only becomes stale by it.
    pub fn signal(&mut self, process: ProcessId, signal: i32) {
        let Some(known) = self.processes.get_mut(&process) else { return };
        if !known.probe {
            if !known.signals.contains(&signal) {
                known.signals.push(signal);
            }
            self.effects.push(Effect::Signal { process, signal });
        }
    }

    pub fn say(&mut self, level: Level, job: &Arc<str>, text: String) {
        self.effects.push(Effect::Say { level, job: Some(Arc::clone(job)), text });
    }

    /// This time less up to a quarter of it, by chance (splitmix64).
    pub fn jitter(&mut self, time: Duration) -> Duration {
        self.chance = self.chance.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.chance;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        let thousandths = u32::try_from(mixed % 251).unwrap_or(0);
        time.saturating_sub(time / 1000 * thousandths)
    }
}

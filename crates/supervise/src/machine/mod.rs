//! The state machine of all jobs: what happened goes in, what is to be done comes out. No clock, no
//! process, no socket; the same inputs give the same effects, randomness (jitter) is seeded.
//!
//! # The table
//!
//! A job is in one [`Phase`]; what comes to it is a [`Cue`]; [`cell`] says what it does ([`Act`]). An
//! empty cell cannot come ([`Act::Never`]); in one with a dot nothing is done on purpose. What each
//! cell leads to, with its effects, is recorded in `tests/golden/cells.txt` and compared by a test.
//!
#![doc = include_str!("table.md")]
//!
//! # What it decides otherwise than ContainerPilot
//!
//! - A start event that comes while the process runs is remembered once, however often it came.
//! - A job waits for all that run because it is stopping, no longer than its `stopTimeout`; those
//!   that would wait for each other do not. `stopped` is published when its processes are gone.
//! - Between TERM and KILL lies the global `stopTimeout` when the program ends, the job's own when
//!   the job alone is stopped. The program exits with its last process.
//! - A process that was killed and does not end within a second is left behind when the program
//!   ends, and never replaced before.
//! - Restarts pause as [`crate::config::Backoff`] says. A process that returns 0 is in no crash
//!   loop: its pause never grows.
//! - The program ends when all that is left only waits, after some job has run and ended. A job
//!   that waits for a lock, or for a watch to let it start for its only time, is a stand-by: it
//!   keeps the program up until some job has failed for good. `strict` restores the original rule.
//! - Its exit code is that of the main job, or of the first job that failed for good. When it was
//!   told to end it is 0, unless the main job failed in another way than by the signal that told it
//!   (130, 143): a job that obeys has not failed, and a scheduler that restarts what failed must
//!   not restart what was stopped.
//! - What runs under a lock is what the lock is for: when one such job ends by itself and no restart
//!   is left, whatever it returned, the others under that lock end too and it goes to another
//!   supervisor. What is to be done once when a lock comes therefore stays until it goes.
//! - At a reload equal jobs go on. For a job that begins anew, an event that says how something is
//!   (a success, health, an end, a lock that is held) has happened if it is so now; what runs when
//!   that job stops can run again.
//!
//! # Taking over
//!
//! Each input is kept before its effects are carried out. The next worker enters them again, which
//! gives the same state, and then [`Input::Adopted`]: starts that init does not know, signals, probes
//! and announcements are repeated. Signals for the main job and records for the log that were
//! on their way are lost with a worker.

mod adopt;
mod bus;
mod ending;
mod health;
mod hub;
mod inputs;
mod io;
mod life;
mod locks;
mod reload;
mod run;
mod stop;
mod stored;
mod table;
mod text;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use regrow_init::ProcessId;

use crate::config::{Config, Job};
use crate::event::Event;

pub use io::{Effect, Input, JobId, JobStatus, Moment, Notice, Shown, Start};
pub use table::{Act, Cue, Phase, cell};

use hub::{Hub, Role};
use life::Life;

/// `SIGKILL`
const KILL: i32 = 9;
/// `SIGTERM`
const TERM: i32 = 15;

/// All jobs.
///
/// ```
/// use std::sync::Arc;
/// use regrow_supervise::machine::{Effect, Input, Machine, Moment};
///
/// # fn run(config: regrow_supervise::config::Config) {
/// let mut machine = Machine::new(Arc::new(config), 7, Moment::default());
/// for effect in machine.handle(Input::Begin, Moment::default()) {
///     match effect {
///         Effect::Start(start) => println!("init starts {}", start.label),
///         other => println!("{other:?}"),
///     }
/// }
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Machine {
    lives: BTreeMap<JobId, Life>,
    /// The jobs of the configuration, in its order.
    order: Vec<JobId>,
    hub: Hub,
    /// Who waits for which event, in the order of the configuration.
    waiting: HashMap<Event, Vec<JobId>>,
}

impl Machine {
    /// The jobs of a configuration, none of them started. The seed decides what chance decides.
    pub fn new(config: Arc<Config>, seed: u64, now: Moment) -> Self {
        let mut machine = Self {
            lives: BTreeMap::new(),
            order: Vec::new(),
            hub: Hub::new(config, seed, now),
            waiting: HashMap::new(),
        };
        for job in &Arc::clone(&machine.hub.config).jobs {
            let id = machine.add(Arc::new(job.clone()));
            machine.order.push(id);
        }
        machine.index();
        machine
    }

    fn add(&mut self, job: Arc<Job>) -> JobId {
        let id = self.hub.job_id();
        self.lives.insert(id, Life::new(id, job));
        id
    }

    /// What is to be done because of an input and of everything that follows from it, in order.
    /// The state is to be kept before the first of these is done; done twice they do no harm.
    /// Time never goes back: an earlier `now` counts as the last one.
    pub fn handle(&mut self, input: Input, now: Moment) -> Vec<Effect> {
        self.hub.now = self.hub.now.max(now);
        self.take(input);
        self.settle();
        std::mem::take(&mut self.hub.effects)
    }

    /// When [`Input::Tick`] is due next.
    pub fn next_deadline(&self) -> Option<Moment> {
        let cue = self.hub.deadlines.first().map(|(at, ..)| *at);
        cue.into_iter().chain(self.hub.yielded.values().copied()).min()
    }

    /// The configuration that it runs.
    pub fn config(&self) -> &Arc<Config> {
        &self.hub.config
    }

    /// All jobs of the configuration in its order, as `/status` shows them.
    pub fn jobs(&self) -> Vec<JobStatus> {
        let lives = self.order.iter().filter_map(|id| self.lives.get(id));
        lives.map(|life| self.status_of(life)).collect()
    }

    /// A job, also one that a reload took out and that has not ended.
    pub fn job(&self, id: JobId) -> Option<Arc<Job>> {
        self.lives.get(&id).map(|life| Arc::clone(&life.job))
    }

    /// Whether a process may tell of itself by `sd_notify`.
    pub fn tells(&self, process: ProcessId) -> bool {
        let known = self.hub.processes.get(&process).filter(|known| known.role == Role::Main);
        let job = known.and_then(|known| self.lives.get(&known.job));
        job.is_some_and(|life| life.job.notify.is_some())
    }

    /// Whether a process runs to say something of a job: a check, or a look whether it is alive.
    pub fn asks(&self, process: ProcessId) -> bool {
        let known = self.hub.processes.get(&process);
        known.is_some_and(|known| matches!(known.role, Role::Check | Role::Live))
    }

    /// The locks that are ours, with their fences, also those under which jobs still end.
    pub fn fences(&self) -> BTreeMap<Arc<str>, u64> {
        let held = self.hub.locks.iter();
        held.map(|(name, held)| (Arc::clone(name), held.fence)).collect()
    }

    /// Whether maintenance is on.
    pub fn maintenance(&self) -> bool {
        self.hub.maintenance
    }

    fn status_of(&self, life: &Life) -> JobStatus {
        let main = life.main.and_then(|process| self.hub.processes.get(&process));
        JobStatus {
            id: life.id,
            name: Arc::clone(&life.job.name),
            shown: life.shown(self.hub.maintenance),
            service: life.service.clone(),
            pid: main.and_then(|process| process.pid),
        }
    }
}

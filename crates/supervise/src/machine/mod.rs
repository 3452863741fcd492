//! The state machine of all jobs: what happened goes in, what is to be done comes out. No clock, no
//! process, no socket; the same inputs give the same effects, randomness (jitter) is seeded.

// The fields of the messages below say it by their names and the line of their variant.
#![allow(missing_docs)]

use std::sync::Arc;
use std::time::Duration;

use regrow_init::{Ended, ProcessId};
use serde::{Deserialize, Serialize};

use crate::config::{Config, Exec, Probe, Service, Status};
use crate::event::Event;

/// Time by `CLOCK_BOOTTIME` since boot, so that it means the same to the next worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Moment(pub Duration);

/// A job of this run of the machine. Never used twice, also not over a reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct JobId(pub u32);

/// Something that happened outside.
#[derive(Clone, Debug)]
pub enum Input {
    /// Everybody listens: publish `startup`.
    Begin,
    /// Time went on: act on every deadline that has passed.
    Tick,
    /// Init started a process.
    Started { process: ProcessId, pid: i32 },
    /// A process ended, or could not be started (`text` says why, as in `exec: "x": not found`).
    Ended { process: ProcessId, how: Ended, text: Option<String> },
    /// A probe answered: `Err` says why not.
    Probed { process: ProcessId, outcome: Result<(), String> },
    /// `SIGHUP` or `SIGUSR2`: publish it.
    Signal { name: &'static str },
    /// A signal that is not ours: it goes to the main job.
    Forward { signal: i32 },
    /// `SIGTERM`, `SIGINT`: end.
    Shutdown,
    /// Maintenance begins (true) or ends.
    Maintenance(bool),
    /// A watch or a lock says something.
    Published(Event),
    /// The lock is ours under this fence.
    Acquired { lock: Arc<str>, fence: u64 },
    /// The lock is about to be lost, or lost: leader-only jobs stop now and are killed at `kill_at`.
    Losing { lock: Arc<str>, kill_at: Moment },
    /// The catalog no longer shows the service of this job, or did not answer in time.
    Withdrawn { job: JobId },
    /// A job told of itself by `sd_notify`.
    Notified { process: ProcessId, what: Notice },
    /// This worker follows one that died: init knows these processes. What was to be started and is
    /// not among them is started, what was announced is announced again.
    Adopted { known: Vec<ProcessId> },
    /// Another configuration, validated: what changed is restarted, the rest goes on.
    Reload(Arc<Config>),
}

/// What a job tells by `sd_notify`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// `READY=1`
    Ready,
    /// `STOPPING=1`
    Stopping,
    /// `WATCHDOG=1`
    Watchdog,
}

/// What is to be done outside, in this order.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Start a process.
    Start(Start),
    /// Ask a probe, answer as [`Input::Probed`] within `timeout`.
    Probe { process: ProcessId, job: JobId, probe: Probe, timeout: Duration },
    /// Signal the group of a process.
    Signal { process: ProcessId, signal: i32 },
    /// The end of a process was taken: nobody else needs to hear of it.
    Forget { process: ProcessId },
    /// Announce a service, or change what is announced of it.
    Announce { job: JobId, service: Arc<Service>, ttl: Duration, status: Status },
    /// Say that it is in this state now; announces where the catalog has forgotten it.
    Heartbeat { job: JobId, status: Status, output: String },
    /// Take it out of the catalog, answer as [`Input::Withdrawn`].
    Withdraw { job: JobId },
    /// An event was published: debug log, metrics.
    Event(Event),
    /// Say something in the log.
    Say { level: crate::config::Level, job: Option<Arc<str>>, text: String },
    /// Give a lock back.
    Release { lock: Arc<str> },
    /// Everything has ended: exit with this code.
    Exit { code: i32 },
}

/// A process to be started.
#[derive(Clone, Debug, PartialEq)]
pub struct Start {
    /// Its number.
    pub process: ProcessId,
    /// Whose.
    pub job: JobId,
    /// As it is shown in logs: `NAME` or `check.NAME`.
    pub label: Arc<str>,
    /// It is a check: its lines carry `check`, not `job`.
    pub check: bool,
    /// What.
    pub exec: Exec,
    /// Its lines go out as they are.
    pub raw: bool,
    /// The lock under which it runs and its fence.
    pub fence: Option<(Arc<str>, u64)>,
}

/// How a job is, as `/status` shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Shown {
    /// `unknown`
    Unknown,
    /// `healthy`
    Healthy,
    /// `unhealthy`
    Unhealthy,
    /// `maintenance`
    Maintenance,
    /// `completed`
    Completed,
}

/// All jobs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Machine {
    config: Arc<Config>,
}

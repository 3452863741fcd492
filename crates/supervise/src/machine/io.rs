//! What goes into the machine and what comes out of it.

use std::sync::Arc;
use std::time::Duration;

use regrow_init::{Ended, ProcessId};
use serde::{Deserialize, Serialize};

use crate::config::{Config, Exec, Level, Probe, Service, Status};
use crate::event::Event;

/// Time by `CLOCK_BOOTTIME` since boot, so that it means the same to the next worker.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Moment(pub Duration);

impl Moment {
    /// The moment this much later; the end of time where that is beyond what can be counted.
    #[must_use]
    pub fn after(self, time: Duration) -> Self {
        Self(self.0.saturating_add(time))
    }

    /// Time from `earlier` to this; zero where that is later.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// A job of this run of the machine. Never used twice, also not over a reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct JobId(pub u32);

/// Something that happened outside.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Input {
    /// Everybody listens: publish `startup`. The first input of a machine, and given once.
    Begin,
    /// Time went on: act on every deadline that has passed.
    Tick,
    /// Init started a process.
    Started {
        /// Which one.
        process: ProcessId,
        /// Its number in the kernel.
        pid: i32,
    },
    /// A process ended, or could not be started.
    Ended {
        /// Which one.
        process: ProcessId,
        /// How.
        how: Ended,
        /// Why it could not be started, as in `exec: "x": not found`, or the end of what a check said.
        text: Option<String>,
    },
    /// A probe answered.
    Probed {
        /// Which one.
        process: ProcessId,
        /// `Err` says why the job is not fit.
        outcome: Result<(), String>,
    },
    /// `SIGHUP` or `SIGUSR2`: publish it.
    Signal {
        /// Its name, as in files.
        name: Arc<str>,
    },
    /// A signal that is not ours: it goes to the main job.
    Forward {
        /// Its number.
        signal: i32,
    },
    /// `SIGTERM`, `SIGINT`: end. A second one changes nothing.
    Shutdown,
    /// Maintenance begins (true) or ends.
    Maintenance(bool),
    /// A watch says something.
    Published(Event),
    /// The lock is ours.
    Acquired {
        /// Its name.
        lock: Arc<str>,
        /// Grows with each acquisition by anybody.
        fence: u64,
    },
    /// The lock is about to be lost, or lost: leader-only jobs stop now.
    Losing {
        /// Its name.
        lock: Arc<str>,
        /// What still runs of them then is killed; before this moment nobody else gets the lock.
        kill_at: Moment,
    },
    /// A lock is to be left to others: leader-only jobs stop, then it is given back.
    Yield {
        /// Its name.
        lock: Arc<str>,
        /// It is not competed for in this time after that.
        time: Duration,
    },
    /// The catalog no longer shows the service of this job, or did not answer in time.
    Withdrawn {
        /// Whose.
        job: JobId,
    },
    /// A job told of itself by `sd_notify`.
    Notified {
        /// Its process.
        process: ProcessId,
        /// What it told.
        what: Notice,
    },
    /// This worker follows one that died. What was to be started and is not known to init is
    /// started, signals and probes that were due are repeated, what was announced is announced
    /// again. Comes before any end that init repeats.
    Adopted {
        /// What init knows: what runs, and what ended and was not forgotten.
        known: Vec<ProcessId>,
    },
    /// Another configuration, validated: what changed is restarted, the rest goes on.
    Reload(Arc<Config>),
}

/// What a job tells by `sd_notify`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Ask a probe, answer as [`Input::Probed`].
    Probe {
        /// Its number; probes are counted with the processes.
        process: ProcessId,
        /// Whose.
        job: JobId,
        /// What to ask.
        probe: Probe,
        /// An answer after this time is a failure.
        timeout: Duration,
    },
    /// Signal the group of a process.
    Signal {
        /// Which one.
        process: ProcessId,
        /// Number of the signal.
        signal: i32,
    },
    /// The end of a process was taken: nobody else needs to hear of it.
    Forget {
        /// Which one.
        process: ProcessId,
    },
    /// Announce a service, or change what is announced of it.
    Announce {
        /// Whose.
        job: JobId,
        /// What.
        service: Arc<Service>,
        /// How long the catalog believes a heartbeat.
        ttl: Duration,
        /// Its state.
        status: Status,
    },
    /// Say that a service is in this state now; announces where the catalog has forgotten it.
    Heartbeat {
        /// Whose.
        job: JobId,
        /// Its state.
        status: Status,
        /// A few words about it for the catalog: `ok`, or why not.
        output: String,
    },
    /// Take a service out of the catalog, answer as [`Input::Withdrawn`].
    Withdraw {
        /// Whose.
        job: JobId,
    },
    /// An event was published: debug log, metrics.
    Event(Event),
    /// Say something in the log.
    Say {
        /// How important it is.
        level: Level,
        /// About which job.
        job: Option<Arc<str>>,
        /// What.
        text: String,
    },
    /// Give a lock back, where it is still held under this fence.
    Release {
        /// Its name.
        lock: Arc<str>,
        /// The tenure that is over.
        fence: u64,
    },
    /// Everything has ended: exit. Always the last effect there is.
    Exit {
        /// With this code, 0 to 255.
        code: i32,
    },
}

/// A process to be started.
#[derive(Clone, Debug, PartialEq)]
pub struct Start {
    /// Its number.
    pub process: ProcessId,
    /// Whose.
    pub job: JobId,
    /// As it is shown in logs: `NAME`, `check.NAME` or `live.NAME`.
    pub label: Arc<str>,
    /// It is a check: its lines carry `check`, not `job`.
    pub check: bool,
    /// What.
    pub exec: Exec,
    /// Its lines go out as they are.
    pub raw: bool,
    /// The lock under which it runs, or whose watch let it begin, and its fence.
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

impl Shown {
    /// Its word in `/status`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
            Self::Maintenance => "maintenance",
            Self::Completed => "completed",
        }
    }
}

/// A job as `/status` and the control socket show it.
#[derive(Clone, Debug, PartialEq)]
pub struct JobStatus {
    /// Which one.
    pub id: JobId,
    /// Its name.
    pub name: Arc<str>,
    /// How it is.
    pub shown: Shown,
    /// What it is announced as, where it is a service.
    pub service: Option<Arc<Service>>,
    /// Number of its process in the kernel, where one runs and init has said so.
    pub pid: Option<i32>,
}

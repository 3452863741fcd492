//! Events: what happened, and to whom. Jobs start on them, logs and metrics show them.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Code {
    /// A process returned 0.
    ExitSuccess,
    /// A process failed, was killed or could not be started.
    ExitFailed,
    /// A job begins to end.
    Stopping,
    /// A job has ended.
    Stopped,
    /// A check passed, or a watch has healthy instances.
    Healthy,
    /// A check failed, or a watch has none.
    Unhealthy,
    /// A watch sees other instances than before, or a watched key has another value.
    Changed,
    /// The program starts.
    Startup,
    /// The program ends.
    Shutdown,
    /// Maintenance begins.
    EnterMaintenance,
    /// Maintenance ends.
    ExitMaintenance,
    /// `SIGHUP` or `SIGUSR2` came.
    Signal,
    /// A deadline passed.
    TimerExpired,
    /// A process failed; the source is the text of the error.
    Error,
    /// Accepted in files, never published.
    Quit,
    /// A value for telemetry came; the source is `key|value`.
    Metric,
    /// A lock is ours. Not in ContainerPilot.
    Acquired,
    /// A lock is not ours any more. Not in ContainerPilot.
    Lost,
}

/// Every code with its name in files, where it has one, and in logs and metrics.
const NAMES: &[(Code, Option<&str>, &str)] = &[
    (Code::ExitSuccess, Some("exitSuccess"), "ExitSuccess"),
    (Code::ExitFailed, Some("exitFailed"), "ExitFailed"),
    (Code::Stopping, Some("stopping"), "Stopping"),
    (Code::Stopped, Some("stopped"), "Stopped"),
    (Code::Healthy, Some("healthy"), "StatusHealthy"),
    (Code::Unhealthy, Some("unhealthy"), "StatusUnhealthy"),
    (Code::Changed, Some("changed"), "StatusChanged"),
    (Code::Startup, Some("startup"), "Startup"),
    (Code::Shutdown, Some("shutdown"), "Shutdown"),
    (Code::EnterMaintenance, Some("enterMaintenance"), "EnterMaintenance"),
    (Code::ExitMaintenance, Some("exitMaintenance"), "ExitMaintenance"),
    (Code::Signal, None, "Signal"),
    (Code::TimerExpired, Some("timerExpired"), "TimerExpired"),
    (Code::Error, Some("error"), "Error"),
    (Code::Quit, Some("quit"), "Quit"),
    (Code::Metric, None, "Metric"),
    (Code::Acquired, Some("acquired"), "Acquired"),
    (Code::Lost, Some("lost"), "Lost"),
];

impl Code {
    /// The code of a name in a file: `SIGHUP` and `SIGUSR2` are [`Code::Signal`].
    pub fn from_config(name: &str) -> Option<Self> {
        if matches!(name, "SIGHUP" | "SIGUSR2") {
            return Some(Self::Signal);
        }
        NAMES.iter().find(|(_, config, _)| *config == Some(name)).map(|(code, ..)| *code)
    }

    /// Its name in logs and metrics.
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(code, ..)| *code == self).map_or("", |(.., name)| name)
    }
}

/// What happened, and to whom.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Event {
    /// What.
    pub code: Code,
    /// To whom: the name of a job, `check.JOB`, `watch.NAME`, `lock:NAME`, `global`, the name of a signal.
    pub source: Arc<str>,
}

impl Event {
    /// An event.
    pub fn new(code: Code, source: impl Into<Arc<str>>) -> Self {
        Self { code, source: source.into() }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{} {}}}", self.code.name(), self.source)
    }
}

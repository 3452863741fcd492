//! What is configured for each job.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::event::Code;

/// A job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Its name.
    pub name: Arc<str>,
    /// What it runs; a job without takes part in events and heartbeats all the same.
    pub exec: Option<Exec>,
    /// When it starts.
    pub when: When,
    /// Its process is killed after this time.
    pub timeout: Option<Duration>,
    /// How long it waits for those that wait for its `stopping`, and how long its process has
    /// between TERM and KILL when the job alone is stopped. `None`: without limit for the former,
    /// the global one for the latter.
    pub stop_timeout: Option<Duration>,
    /// How often its process is started again.
    pub restarts: Restarts,
    /// Pause before a restart and how it grows.
    pub backoff: Backoff,
    /// Is it fit to be used.
    pub health: Option<Health>,
    /// Is it alive at all: a process that fails this is killed, and restarted by its rule. Not in
    /// ContainerPilot.
    pub liveness: Option<Liveness>,
    /// What it is announced as.
    pub service: Option<Service>,
    /// Its lines go out as they are, on the supervisor's own descriptors.
    pub raw: bool,
    /// The program ends when this job ends, with its exit code. Not in ContainerPilot.
    pub main: bool,
    /// It tells by `sd_notify` when it is ready and is not healthy before. Not in ContainerPilot.
    pub notify: Option<Notify>,
    /// Files with secrets for its processes. Not in ContainerPilot.
    pub secrets: Vec<SecretFile>,
    /// Environment variables for its processes only. Not in ContainerPilot.
    pub env: Vec<(String, String)>,
    /// This is the job that stands for telemetry: always healthy, without a process.
    pub telemetry: bool,
}

/// A program and its arguments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exec {
    /// The program: a path, or a name to be found through `PATH` at each start.
    pub program: String,
    /// Its arguments, without the program.
    pub args: Vec<String>,
}

/// When a job starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum When {
    /// At startup, once.
    Startup,
    /// At startup and on each tick.
    Interval(Duration),
    /// On events.
    Events {
        /// The events.
        triggers: Vec<Trigger>,
        /// All of them must have come (each at least once since the last start), not just any.
        all: bool,
        /// On each, not on the first only.
        each: bool,
        /// The job ends when it was not started within this time.
        timeout: Option<Duration>,
    },
    /// Never: `when: {}` and `source` without an event.
    Never,
}

/// An event that starts a job.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Trigger {
    /// Exact source.
    pub source: Arc<str>,
    /// Code.
    pub code: Code,
}

/// How often a process is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Restarts {
    /// This many times; `never` is 0.
    Times(u64),
    /// Without limit.
    Unlimited,
}

/// Pause before a restart: `first`, doubled each time up to `most`, with jitter of a quarter; back to
/// none after a run of `reset`. The first restart after a run longer than `reset` has no pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backoff {
    /// Default 100 ms. Zero: no pauses at all, as in ContainerPilot.
    pub first: Duration,
    /// Default 30 s.
    pub most: Duration,
    /// Default 10 s.
    pub reset: Duration,
}

/// How it is found out whether a job is fit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// What is run or asked; `None`: healthy whenever it is time.
    pub check: Option<Check>,
    /// Time between checks, the first one interval after the start.
    pub interval: Duration,
    /// How long the catalog believes a heartbeat.
    pub ttl: Duration,
    /// How long a check may take.
    pub timeout: Duration,
    /// Lines of the check go out as they are.
    pub raw: bool,
    /// `critical` is told to the catalog at once when a check fails, not by silence until the TTL
    /// ends. Key `failFast`, default true.
    pub fail_fast: bool,
}

/// A check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Check {
    /// A program that returns 0.
    Exec(Exec),
    /// What the worker asks by itself. Not in ContainerPilot.
    Probe(Probe),
}

/// A check without a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Probe {
    /// A URL that answers with a status of 200 to 399.
    Http {
        /// The URL.
        url: String,
        /// The method, default `GET`.
        method: String,
        /// Headers that are sent.
        headers: Vec<(String, String)>,
        /// Certificates are believed unseen. Default false.
        insecure: bool,
    },
    /// `HOST:PORT` that accepts.
    Tcp(String),
    /// `HOST:PORT` and a service's name of the gRPC health protocol; empty for the server.
    Grpc {
        /// `HOST:PORT`
        address: String,
        /// The service; empty for the server as a whole.
        service: String,
        /// Over TLS.
        tls: bool,
    },
}

/// Whether a process is alive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Liveness {
    /// What is run or asked.
    pub check: Check,
    /// Time between checks.
    pub interval: Duration,
    /// How long a check may take.
    pub timeout: Duration,
    /// Failures in a row after which the process is killed. Default 3.
    pub failures: u32,
    /// Time after the start in which failures do not count. Default: one interval.
    pub grace: Duration,
}

/// What a job is announced as.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Service {
    /// Identity in the catalog: the job's `id`, which is not in ContainerPilot and tells supervisors
    /// apart that share a machine; without it `NAME-HOSTNAME`.
    pub id: String,
    /// Name in the catalog.
    pub name: String,
    /// Its port, not 0.
    pub port: u16,
    /// Which address is announced, as chosen when the file was loaded.
    pub address: IpAddr,
    /// Its tags.
    pub tags: Vec<String>,
    /// More about it. Not in ContainerPilot.
    pub meta: Vec<(String, String)>,
    /// Announced in this state when the job starts to listen to events, before any check.
    pub initial_status: Option<Status>,
    /// Others may change its tags.
    pub enable_tag_override: bool,
    /// It is removed from the catalog after this time in `critical`; Go form. An hour by default, because
    /// the copy of a service that moved to another agent, or ended without a word, is critical for ever.
    /// One that still runs announces itself again. `None` only in strict compatibility.
    pub deregister_critical_after: Option<String>,
}

/// State of a service in the catalog.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    /// `passing`
    Passing,
    /// `warning`
    Warning,
    /// `critical`
    Critical,
}

/// `sd_notify`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notify {
    /// The process is killed when it was not ready in this time. Default: none.
    pub ready_within: Option<Duration>,
    /// The process is killed when it was silent (`WATCHDOG=1`) for this time. Default: none.
    pub watchdog: Option<Duration>,
}

/// A secret that a job's processes find as a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretFile {
    /// Name of the file.
    pub name: String,
    /// Where its content comes from.
    pub from: SecretSource,
}

/// Where a secret comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SecretSource {
    /// An environment variable of the supervisor, which its processes then do not see.
    Env(String),
    /// A file.
    File(PathBuf),
    /// A key of the catalog.
    Key(String),
}

//! What is configured once for the whole supervisor.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::job::Job;

/// The whole configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// Where services are announced and looked up.
    pub discovery: Discovery,
    /// How the supervisor and the lines of its jobs are logged.
    pub logging: Logging,
    /// How long processes have to end at shutdown. Zero: they are killed at once. Default 5 s.
    pub stop_timeout: Duration,
    /// Path of the control socket. Default `/var/run/containerpilot.socket`.
    pub control_socket: PathBuf,
    /// Key `control` is there. Without it the jobs run also where the socket cannot be opened.
    pub control_named: bool,
    /// The jobs in the order of the file; the job of telemetry, where there is one, is the last.
    pub jobs: Vec<Job>,
    /// What is watched.
    pub watches: Vec<Watch>,
    /// The locks that jobs and watches name, with their settings.
    pub locks: Vec<Lock>,
    /// Metrics and status over HTTP.
    pub telemetry: Option<Telemetry>,
    /// Keep to what ContainerPilot does at the end: jobs that only wait hold the program open, its
    /// exit code is 0 always, and services that stay critical stay in the catalog. Key
    /// `compatibility: "containerpilot"`. Default false.
    pub strict: bool,
    /// What signals do instead of what they usually do. Key `signals`, default empty.
    pub signals: Vec<SignalUse>,
}

impl Config {
    /// The sources of events that follow a lock, `watch.NAME`.
    pub fn followers(&self, lock: &str) -> impl Iterator<Item = Arc<str>> {
        let follows = move |watch: &&Watch| watch.lock().is_some_and(|other| **other == *lock);
        self.watches.iter().filter(follows).map(|watch| format!("watch.{}", watch.name).into())
    }

    /// The lock that a source of events tells of: `lock:NAME`, or the watch of one.
    pub fn lock_of(&self, source: &str) -> Option<Arc<str>> {
        let Some(name) = source.strip_prefix("watch.") else {
            return source.strip_prefix("lock:").map(Arc::from);
        };
        self.watches.iter().find(|watch| *watch.name == *name)?.lock().cloned()
    }
}

/// A signal and what it does, as in `signals: {SIGHUP: "reload", SIGUSR1: "maintenance"}`. Not in
/// ContainerPilot 3; version 2 behaves as in this example.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignalUse {
    /// Which one.
    pub signal: UserSignal,
    /// What it does.
    pub act: SignalAct,
}

/// A signal whose use can be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum UserSignal {
    /// `SIGHUP`, usually an event.
    Hup,
    /// `SIGUSR1`, usually opens the log file again.
    Usr1,
    /// `SIGUSR2`, usually an event.
    Usr2,
}

/// What a signal can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SignalAct {
    /// `reload`: the configuration is read again.
    Reload,
    /// `maintenance`: maintenance begins, or ends where it is on.
    Maintenance,
}

/// Where services are announced and looked up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Discovery {
    /// A Consul agent, ours or HashiCorp's. Key `consul`.
    Consul(Box<Consul>),
    /// A catalog inside this process, answering as Consul does at this address. Keys
    /// `discovery: "embedded"` and `consul`, default `127.0.0.1:8500`.
    Embedded(SocketAddr),
    /// Nobody is told and nothing is looked up. Key `discovery: "none"`.
    None,
}

/// How to reach a Consul agent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Consul {
    /// Base URL without a slash at the end: `http://127.0.0.1:8500`, `https://…`, `unix:///path`.
    pub url: String,
    /// The ACL token.
    pub token: Option<Secret>,
    /// File with the ACL token; where it is named it goes before `token`.
    pub token_file: Option<PathBuf>,
    /// User and password of HTTP basic authentication.
    pub basic: Option<(String, Secret)>,
    /// File with the authorities to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// Folder with such files.
    pub ca_path: Option<PathBuf>,
    /// File with the own certificate.
    pub client_cert: Option<PathBuf>,
    /// File with its key.
    pub client_key: Option<PathBuf>,
    /// Name that the server's certificate must have instead of the URL's.
    pub server_name: Option<String>,
    /// False: any certificate is believed, said loudly in the log. Default true.
    pub verify: bool,
}

/// A text that is not shown in logs.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<secret>")
    }
}

/// Logging.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Logging {
    /// The least important level that is shown.
    pub level: Level,
    /// Form of a record.
    pub format: Format,
    /// Where records go.
    pub output: Sink,
}

/// Importance, most important first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Level {
    /// `panic`
    Panic,
    /// `fatal`
    Fatal,
    /// `error`
    Error,
    /// `warning`
    Warning,
    /// `info`, the default.
    Info,
    /// `debug`
    Debug,
    /// `trace`
    Trace,
}

/// Form of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Format {
    /// `TIME JOB PID MESSAGE`
    Default,
    /// `time="…" level=info msg="…" job=… pid=…`
    Text,
    /// One JSON object a line.
    Json,
}

/// Where records go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sink {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// A file, appended to, opened again on `SIGUSR1`.
    File(PathBuf),
}

/// What is watched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watch {
    /// Name of the event source without `watch.`
    pub name: Arc<str>,
    /// What.
    pub what: Watched,
    /// Pace of looks where the catalog cannot hold a question open.
    pub interval: Duration,
    /// Data centre; `None`: the agent's.
    pub dc: Option<String>,
}

impl Watch {
    /// The lock that it follows, if it is one.
    pub fn lock(&self) -> Option<&Arc<str>> {
        match &self.what {
            Watched::Lock(lock) => Some(lock),
            Watched::Service { .. } | Watched::Key(_) => None,
        }
    }
}

/// What is watched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Watched {
    /// The passing instances of a service with this tag, if any.
    Service {
        /// Its name.
        service: String,
        /// The tag.
        tag: Option<String>,
    },
    /// The value of a key: `changed` on each change, `healthy` while it is there. Not in
    /// ContainerPilot.
    Key(String),
    /// Whether this lock is ours: it is competed for, `acquired` and `lost` are told. Not in
    /// ContainerPilot.
    Lock(Arc<str>),
}

/// A named lock that jobs compete for with those of other supervisors. Not in ContainerPilot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// Its name: `lock:NAME` is the source of its events.
    pub name: Arc<str>,
    /// Time after which a holder that fell silent has lost it. Default 15 s, at least 10 s on Consul.
    pub ttl: Duration,
    /// How long before the lease can pass to another its jobs are told to stop. They are killed
    /// before it can. Default a third of `ttl`.
    pub stop_before: Duration,
}

/// Metrics and status over HTTP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Telemetry {
    /// Port; default 9090.
    pub port: u16,
    /// Address to listen on, as chosen when the file was loaded.
    pub address: IpAddr,
    /// The metrics that `putmetric` may set.
    pub metrics: Vec<Metric>,
}

/// A metric of the user's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metric {
    /// First part of its name, may be empty.
    pub namespace: String,
    /// Second part, may be empty.
    pub subsystem: String,
    /// Third part.
    pub name: String,
    /// One line about it.
    pub help: String,
    /// How it adds up.
    pub kind: MetricKind,
}

/// How a metric adds up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MetricKind {
    /// Only grows.
    Counter,
    /// Is set.
    Gauge,
    /// Is observed into buckets.
    Histogram,
    /// Is observed into quantiles of the last ten minutes.
    Summary,
}

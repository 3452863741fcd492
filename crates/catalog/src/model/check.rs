//! Checks: what is known about the health of a node or a service.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Id of the check that says whether a node's agent is alive.
pub const SERF_HEALTH: &str = "serfHealth";

/// How well something is, from best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Status {
    /// All is well.
    Passing,
    /// Works, and somebody should look.
    Warning,
    /// Does not work, or nobody said yet that it does.
    Critical,
}

impl Status {
    /// As readers see it: `passing`, `warning`, `critical`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Passing => "passing",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Status {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        [Self::Passing, Self::Warning, Self::Critical]
            .into_iter()
            .find(|status| status.as_str() == text)
            .ok_or(())
    }
}

/// What finds out the status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum CheckType {
    /// Nobody in particular: set by hand, or by the failure detector.
    #[default]
    Plain,
    /// The application says so; critical when it is silent for longer than the TTL.
    Ttl,
    /// The agent asks over HTTP.
    Http,
    /// The agent opens a TCP connection.
    Tcp,
    /// The agent asks the gRPC health service.
    Grpc,
    /// The agent runs a program.
    Script,
    /// The agent runs a program in a container.
    Docker,
}

impl CheckType {
    /// As readers see it: `ttl`, `http`, …; empty for a plain one.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Ttl => "ttl",
            Self::Http => "http",
            Self::Tcp => "tcp",
            Self::Grpc => "grpc",
            Self::Script => "script",
            Self::Docker => "docker",
        }
    }
}

/// How a check finds out. Exactly one of `ttl`, `http`, `tcp`, `grpc`, `args`,
/// `docker_container_id` (with `args`) is set, or none for a plain check.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckDefinition {
    /// Longest silence of the application.
    pub ttl: Option<Duration>,
    /// URL to ask.
    pub http: String,
    /// HTTP method; empty for GET.
    pub method: String,
    /// HTTP headers, each with its values.
    pub header: BTreeMap<String, Vec<String>>,
    /// HTTP body.
    pub body: String,
    /// True to take any certificate.
    pub tls_skip_verify: bool,
    /// `HOST:PORT` to connect to.
    pub tcp: String,
    /// `HOST:PORT[/SERVICE]` to ask.
    pub grpc: String,
    /// True for gRPC over TLS.
    pub grpc_use_tls: bool,
    /// Program and its arguments.
    pub args: Vec<String>,
    /// Container in which the program is run.
    pub docker_container_id: String,
    /// Shell that runs the program in the container.
    pub shell: String,
    /// Time between two looks.
    pub interval: Option<Duration>,
    /// Longest time of one look.
    pub timeout: Option<Duration>,
    /// The service goes away after it was critical for this long.
    pub deregister_critical_after: Option<Duration>,
}

impl CheckDefinition {
    /// Which kind of check this is.
    pub fn check_type(&self) -> CheckType {
        if self.ttl.is_some() {
            CheckType::Ttl
        } else if !self.http.is_empty() {
            CheckType::Http
        } else if !self.tcp.is_empty() {
            CheckType::Tcp
        } else if !self.grpc.is_empty() {
            CheckType::Grpc
        } else if !self.docker_container_id.is_empty() {
            CheckType::Docker
        } else if !self.args.is_empty() {
            CheckType::Script
        } else {
            CheckType::Plain
        }
    }
}

/// A check as it is registered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckSpec {
    /// Unique on its node.
    pub id: String,
    /// What people read.
    pub name: String,
    /// Free text.
    pub notes: String,
    /// Id of the service it is about; empty for the node.
    pub service_id: String,
    /// Status to begin with; `None` keeps what is there, and begins critical.
    pub status: Option<Status>,
    /// Output to begin with; `None` keeps what is there.
    pub output: Option<String>,
    /// How it finds out.
    pub definition: CheckDefinition,
}

/// A check and what it last found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// The node.
    pub node: String,
    /// Unique on its node.
    pub id: String,
    /// What people read.
    pub name: String,
    /// What it last found.
    pub status: Status,
    /// Free text.
    pub notes: String,
    /// What it last said, at most 4 KiB.
    pub output: String,
    /// Id of the service it is about; empty for the node.
    pub service_id: String,
    /// Name of that service.
    pub service_name: String,
    /// Tags of that service. Filled in by reads from the service itself; empty in storage.
    pub service_tags: Vec<String>,
    /// How it finds out.
    pub definition: CheckDefinition,
}

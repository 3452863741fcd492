//! What one supervisor runs, from a file to validated values.
//!
//! ```text
//!   file ── render ──► text ── tree ──► Node (values with their places) ── decode ──► Config
//! ```
//!
//! [`load`] takes the file and the [`Surroundings`] and is a plain function of them: the same file
//! in the same surroundings gives the same [`Config`]. Only the addresses of this machine are asked for
//! when one is needed, and once. Every value in a [`Config`] is in its bounds
//! and every default is set.
//!
//! # Keys that are not in ContainerPilot
//!
//! | place | key | meaning |
//! |---|---|---|
//! | top | `discovery` | `"consul"`, `"embedded"` or `"none"`; default `"consul"`. With the last two, `consul` may be absent |
//! | top | `compatibility` | `"containerpilot"`: see [`Config::strict`] |
//! | top | `locks` | list of `{name, ttl, stopBefore}`; see [`Lock`]. A lock that a job names in `when` needs no entry |
//! | top | `signals` | object, as in `{SIGHUP: "reload", SIGUSR1: "maintenance"}`; see [`SignalUse`] |
//! | job | `main` | true: see [`Job::main`] |
//! | job | `env` | object of variables for its processes |
//! | job | `restartDelay`, `maxRestartDelay`, `restartReset` | durations; see [`Backoff`] |
//! | job | `liveness` | `{exec or http or tcp or grpc, interval, timeout, failures, grace}`; see [`Liveness`] |
//! | job | `notify` | `true` or `{readyWithin, watchdog}`; see [`Notify`] |
//! | job | `secrets` | list of `{name, env or file or key}`; see [`SecretFile`] |
//! | job | `id` | identity of its service in the catalog; default `NAME-HOSTNAME` |
//! | job | `meta` | object of texts that are announced with the service |
//! | health | `http` | URL, or `{url, method, headers, insecure}` |
//! | health | `tcp` | `"HOST:PORT"` |
//! | health | `grpc` | `"HOST:PORT"`, or `{address, service, tls}` |
//! | health | `failFast` | see [`Health::fail_fast`] |
//! | when | `any`, `all` | list of `{source, once or each}`: any of these events starts the job, or all of them together |
//! | watch | `key` | a key of the catalog instead of a service |

mod address;
mod decode;
mod duration;
mod error;
mod interfaces;
mod job;
mod keys;
mod load;
mod model;
mod schema;
mod source;
mod template;
mod tree;
pub mod v2;
mod validate;

pub use address::Surroundings;
pub use error::{ConfigError, Invalid};
pub use interfaces::Interfaces;
pub use job::{
    Backoff, Check, Exec, Health, Job, Liveness, Notify, Probe, Restarts, SecretFile, SecretSource,
    Service, Status, Trigger, When,
};
pub use load::{Loaded, load, parse};
pub use model::{
    Config, Consul, Discovery, Format, Level, Lock, Logging, Metric, MetricKind, Secret, SignalAct,
    SignalUse, Sink, Telemetry, UserSignal, Watch, Watched,
};
pub use schema::schema;
pub use source::Source;
pub use template::render;
pub use tree::{Place, SyntaxError};

/// How large a file may be, in bytes, before and after templates.
pub const MAX_BYTES: usize = 4 << 20;

#[cfg(test)]
mod tests;

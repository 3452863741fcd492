//! The control socket: how people and jobs talk to a running supervisor, and the client of it.
//!
//! HTTP/1.1 over a unix socket, one request a connection. What is asked goes as [`Ask`] to the
//! worker, which answers; nothing is decided here. A client that is slow, silent or hostile costs one
//! of a bounded number of places until its time is over, and nobody else anything.
//!
//! | method, path | body | asks for |
//! |---|---|---|
//! | POST `/v3/environ`, `/v3/env` | JSON object of strings | [`What::Environ`] |
//! | POST `/v3/reload` | none | [`What::Reload`] |
//! | POST `/v3/metric` | JSON object | [`What::Metric`] |
//! | POST `/v3/maintenance/enable`, `…/disable` | none | [`What::Maintenance`] |
//! | POST `/v3/lock/yield` | `{"lock": NAME, "for": "10s"}` | [`What::Yield`]; not in ContainerPilot |
//! | any `/v3/ping` | none | nothing, the server answers by itself |
//! | GET `/v3/status` | none | [`What::Status`]; not in ContainerPilot |
//!
//! Answers: 200 and a newline (status: its JSON), or a status and its name as text. Whoever may open
//! the socket may do everything; it belongs to the user of the supervisor, mode 0600.

pub mod client;
mod listen;
mod route;
mod serve;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

pub use listen::Control;

/// Most bytes of a request's body.
pub const BODY_BYTES_MAX: usize = 1 << 20;

/// Told of each answer: its status and the path that was asked for, one of a fixed list. For the
/// metric `containerpilot_control_http_requests`; unknown paths are not counted.
pub type Counted = Arc<dyn Fn(u16, &'static str) + Send + Sync>;

/// A question to the worker.
#[derive(Debug)]
pub struct Ask {
    /// What is asked for.
    pub what: What,
    /// Where the answer goes. Dropped: the client is told that the supervisor ends.
    pub answer: oneshot::Sender<Answer>,
}

/// What a client can ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// Set these variables for processes that start later; an empty value sets an empty one. Names are
    /// not empty and have no `=`, nothing has a NUL.
    Environ(BTreeMap<String, String>),
    /// Read the configuration again.
    Reload,
    /// Values for telemetry: name and value as it was written.
    Metric(Vec<(String, String)>),
    /// Begin maintenance (true) or end it.
    Maintenance(bool),
    /// Leave a lock to others: its jobs stop, it is given back, and not competed for in this time after
    /// that. It is refused where the configuration has no such lock.
    Yield {
        /// Its name.
        lock: String,
        /// The time; 10 s where the request says nothing.
        time: Duration,
    },
    /// How everything is, as JSON.
    Status,
}

/// What the worker says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It was done.
    Done,
    /// It was not done. Without a text the client gets the name of the status.
    Refused {
        /// Status of HTTP, 400 to 599: 422 where the request or the configuration is at fault.
        status: u16,
        /// Why, for people.
        text: String,
    },
    /// It was done and this is the result: JSON.
    Text(String),
}

/// The socket cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("error listening to socket at {}: {source}", path.display())]
pub struct ControlError {
    /// Where it should be.
    pub path: PathBuf,
    /// Why not.
    #[source]
    pub source: io::Error,
}

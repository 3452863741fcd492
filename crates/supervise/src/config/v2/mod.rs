//! Files of ContainerPilot 2: recognised, and rewritten as files of version 3.
//!
//! Version 2 has one main application, which the command line names, and hooks around it. What they
//! become:
//!
//! | version 2 | version 3 |
//! |---|---|
//! | application | job with `main` and raw output, with port and health where there is one service; else named `app` |
//! | `preStart` | job `preStart`; what version 2 starts after it waits for its `exitSuccess` |
//! | `preStop`, `postStop` | jobs that wait for `stopping`, `stopped` of the application, and for the success of `preStart` |
//! | `services` | port and health of the application's job, or of jobs without `exec` |
//! | `backends` | watches, and jobs `onChange-NAME` |
//! | `tasks` | jobs with an interval |
//! | `coprocesses` | jobs with restarts; the program does not end with them |
//! | `telemetry.sensors` | metrics, and jobs `sensor-NAME` that run the check and hand its output over |
//! | `SIGHUP`, `SIGUSR1` | `signals`: reload, maintenance |
//! | `consul`, `logging`, `stopTimeout` | as they are |
//! | `etcd` | refused |
//!
//! Nothing is run or looked up here. What version 3 checks by itself (names, addresses, durations) is
//! left to it; what behaves otherwise than in version 2 is told in the warnings.

mod app;
mod document;
mod map;
mod print;
mod read;
#[cfg(test)]
mod tests;

use serde_json::Value;

pub(super) use app::render_app;

use document::Document;

/// Keys that make a file one of version 2.
const OWN_KEYS: &[&str] = &[
    "backends",
    "coprocesses",
    "etcd",
    "onStart",
    "postStop",
    "preStart",
    "preStop",
    "services",
    "tasks",
];

/// A file of version 2 makes no sense, or asks for what there is no more. The texts in Go's manner
/// are those of version 2.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum V2Error {
    /// The document is no object.
    #[error("could not parse configuration: expected an object")]
    NoObject,
    /// Neither `consul` nor `etcd`.
    #[error("No discovery backend defined")]
    NoBackend,
    /// Both.
    #[error("More than one discovery backend defined")]
    ManyBackends,
    /// The backend is etcd.
    #[error(
        "discovery backend `etcd` is not supported: services are announced to a Consul agent or to \
         `regrow catalog`, which answers as one; name it under `consul` instead of `etcd`"
    )]
    Etcd,
    /// Keys at the top that version 2 does not have.
    #[error("Unknown config keys: [{}]", .0.join(" "))]
    UnknownKeys(Vec<String>),
    /// Keys in a block that version 2 does not have.
    #[error("{block} configuration error: 1 error(s) decoding:\n\n* '{block}' has invalid keys: {}", keys.join(", "))]
    InvalidKeys {
        /// As `services[0]`.
        block: String,
        /// In the order of the alphabet.
        keys: Vec<String>,
    },
    /// A value is of the wrong kind.
    #[error("{at}: expected {expected}, found {found}")]
    Kind {
        /// As `services[0].port`.
        at: String,
        /// What it should be.
        expected: &'static str,
        /// What it is.
        found: &'static str,
    },
    /// A number that must be positive is not.
    #[error("`{field}` must be > 0 in {kind} {name}")]
    NotPositive {
        /// As `poll`.
        field: &'static str,
        /// `service`, `backend` or `sensor`.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// Something must be given.
    #[error("`{field}` is required in {kind} {name}")]
    Required {
        /// As `onChange`.
        field: &'static str,
        /// `backend` or `sensor`.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// A task or coprocess without a command.
    #[error("{0} did not provide a command")]
    NoCommand(&'static str),
    /// A task whose frequency is no duration.
    #[error("Unable to parse frequency of task {task}: time: invalid duration {value:?}")]
    Frequency {
        /// Name of the task.
        task: String,
        /// What was given.
        value: String,
    },
    /// A coprocess whose restarts are neither a number nor a word for one.
    #[error(
        "Invalid 'restarts' field {0:?}: accepts positive integers, \"unlimited\", or \"never\""
    )]
    Restarts(String),
}

/// Whether a document is one of version 2: it has a key that only version 2 has, and none that only
/// version 3 has.
pub fn is_v2(document: &Value) -> bool {
    let Some(document) = document.as_object() else { return false };
    let has = |key: &str| document.contains_key(key);
    if has("jobs") || has("watches") {
        return false;
    }
    let telemetry = document.get("telemetry").and_then(Value::as_object);
    let sensors = telemetry.is_some_and(|block| block.keys().any(|key| is(key, "sensors")));
    sensors || OWN_KEYS.iter().any(|key| has(key))
}

/// Rewrites a document of version 2 as one of version 3. `app` is the main application: its program
/// and arguments; none: there is no application, and the program goes on until it is told to end.
/// The second part of the result says, a sentence each, what is otherwise than it was.
///
/// # Errors
/// The document makes no sense in version 2, or its backend is etcd.
pub fn convert(document: &Value, app: &[String]) -> Result<(Value, Vec<String>), V2Error> {
    let (document, warnings) = rewritten(document, app)?;
    // Plain data has no way to fail.
    Ok((serde_json::to_value(document).unwrap_or_default(), warnings))
}

/// As [`convert`], as text with the keys in the order in which one reads them.
///
/// # Errors
/// As there.
pub fn convert_text(document: &Value, app: &[String]) -> Result<(String, Vec<String>), V2Error> {
    let (document, warnings) = rewritten(document, app)?;
    Ok((print::print(&document), warnings))
}

fn rewritten(document: &Value, app: &[String]) -> Result<(Document, Vec<String>), V2Error> {
    Ok(map::to_v3(read::file(document)?, app))
}

/// Names of fields are compared without regard to case.
fn is(key: &str, name: &str) -> bool {
    key.eq_ignore_ascii_case(name)
}

//! The body of `/status`.

use serde::{Serialize, Serializer};

/// What `/status` tells: jobs in the order of the file, that of telemetry last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Status {
    /// Version of the program.
    pub version: String,
    /// Jobs without a port.
    #[serde(serialize_with = "or_null")]
    pub jobs: Vec<JobStatus>,
    /// Jobs with one.
    #[serde(serialize_with = "or_null")]
    pub services: Vec<ServiceStatus>,
    /// Names of watches, without `watch.`.
    #[serde(serialize_with = "or_null")]
    pub watches: Vec<String>,
}

/// A job without a port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct JobStatus {
    /// Its name.
    pub name: String,
    /// `unknown`, `healthy`, `unhealthy`, `maintenance`.
    pub status: String,
}

/// A job with a port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ServiceStatus {
    /// Its name.
    pub name: String,
    /// The address that is announced.
    pub address: String,
    /// The port.
    pub port: u16,
    /// As of a job.
    pub status: String,
}

/// The body: JSON on one line with a newline at its end, empty lists as `null`.
pub fn status_json(status: &Status) -> String {
    // Texts and numbers cannot fail to become JSON.
    let mut body = serde_json::to_string(status).unwrap_or_else(|_| "{}".to_owned());
    body.push('\n');
    body
}

fn or_null<T: Serialize, S: Serializer>(list: &[T], to: S) -> Result<S::Ok, S::Error> {
    if list.is_empty() { to.serialize_none() } else { list.serialize(to) }
}

//! A file of version 3 as it is written: the keys that conversion uses, in the order of reading.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Document {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compatibility: Option<&'static str>,
    pub consul: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logging: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_timeout: Option<Value>,
    pub signals: BTreeMap<&'static str, &'static str>,
    pub jobs: Vec<Job>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub watches: Vec<Watch>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub telemetry: Option<Telemetry>,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Job {
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exec: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub main: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logging: Option<Raw>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<When>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restarts: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interfaces: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consul: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
}

#[derive(Debug, Serialize)]
pub(super) struct Raw {
    pub raw: bool,
}

#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct When {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub once: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub each: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub all: Vec<Trigger>,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Trigger {
    pub source: String,
    pub once: &'static str,
}

impl When {
    pub fn once(source: impl Into<String>, event: &'static str) -> Self {
        Self { source: Some(source.into()), once: Some(event), ..Self::default() }
    }

    /// When all of these have come.
    pub fn all(triggers: &[(&str, &'static str)]) -> Self {
        let triggers = triggers.iter();
        let all = triggers.map(|(source, once)| Trigger { source: (*source).to_owned(), once });
        Self { all: all.collect(), ..Self::default() }
    }

    pub fn each(source: impl Into<String>, event: &'static str) -> Self {
        Self { source: Some(source.into()), each: Some(event), ..Self::default() }
    }

    pub fn interval(pace: Value) -> Self {
        Self { interval: Some(pace), ..Self::default() }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct Health {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exec: Option<Value>,
    pub interval: i64,
    pub ttl: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Value>,
}

#[derive(Debug, Serialize)]
pub(super) struct Watch {
    pub name: String,
    pub interval: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<Value>,
}

#[derive(Debug, Serialize)]
pub(super) struct Telemetry {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interfaces: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<Metric>,
}

#[derive(Debug, Serialize)]
pub(super) struct Metric {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subsystem: Option<String>,
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<Value>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<Value>,
}

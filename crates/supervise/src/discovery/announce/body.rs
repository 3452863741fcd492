//! What is said to the agent of a service, byte for byte as ContainerPilot says it, and how what the
//! agent has is compared with it.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::config::{Service, Status};
use crate::discovery::client::escape;

/// Longest output of a check that is told, in bytes: Consul cuts there too.
pub(super) const OUTPUT_BYTES: usize = 4 << 10;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Registration<'s> {
    #[serde(rename = "ID")]
    id: &'s str,
    name: &'s str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    tags: &'s [String],
    port: u16,
    address: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    meta: BTreeMap<&'s str, &'s str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    enable_tag_override: bool,
    check: Check<'s>,
    checks: Option<()>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Check<'s> {
    #[serde(rename = "TTL")]
    ttl: String,
    status: &'static str,
    notes: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    deregister_critical_service_after: Option<&'s str>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Update<'s> {
    status: &'static str,
    output: &'s str,
}

/// A service as the agent shows it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[derive(Default)]
struct Shown {
    service: String,
    tags: Option<Vec<String>>,
    port: u16,
    address: String,
    meta: Option<BTreeMap<String, String>>,
    enable_tag_override: bool,
}

const fn word(status: Status) -> &'static str {
    match status {
        Status::Passing => "passing",
        Status::Warning => "warning",
        Status::Critical => "critical",
    }
}

/// A duration in Go's form: whole seconds where it is.
fn go(duration: Duration) -> String {
    match duration.subsec_millis() {
        0 => format!("{}s", duration.as_secs()),
        _ => format!("{}ms", duration.as_millis()),
    }
}

fn meta(service: &Service) -> BTreeMap<&str, &str> {
    service.meta.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

fn json(value: &impl Serialize) -> Bytes {
    // Texts and numbers: this cannot fail.
    serde_json::to_vec(value).unwrap_or_default().into()
}

/// The body that registers a service in a state.
pub(super) fn registration(service: &Service, ttl: Duration, status: Status) -> Bytes {
    json(&Registration {
        id: &service.id,
        name: &service.name,
        tags: &service.tags,
        port: service.port,
        address: service.address.to_string(),
        meta: meta(service),
        enable_tag_override: service.enable_tag_override,
        check: Check {
            ttl: go(ttl),
            status: word(status),
            notes: format!("TTL for {} set by containerpilot", service.name),
            deregister_critical_service_after: service.deregister_critical_after.as_deref(),
        },
        checks: None,
    })
}

/// The body of a heartbeat.
pub(super) fn update(status: Status, output: &str) -> Bytes {
    json(&Update { status: word(status), output })
}

/// Where a service is registered.
pub(super) const REGISTER: &str = "/v1/agent/service/register";

/// Where the check of a service is updated.
pub(super) fn update_path(service: &Service) -> String {
    format!("/v1/agent/check/update/{}", escape(&format!("service:{}", service.id)))
}

/// Where a service is taken out.
pub(super) fn deregister_path(service: &Service) -> String {
    format!("/v1/agent/service/deregister/{}", escape(&service.id))
}

/// Where the agent shows a service.
pub(super) fn show_path(service: &Service) -> String {
    format!("/v1/agent/service/{}", escape(&service.id))
}

/// Whether what the agent shows is that service. Tags that others may change are not looked at.
pub(super) fn same(shown: &[u8], service: &Service) -> Result<bool, serde_json::Error> {
    let shown: Shown = serde_json::from_slice(shown)?;
    let shown_meta = shown.meta.unwrap_or_default();
    let shown_meta = shown_meta.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    Ok(shown.service == service.name
        && shown.port == service.port
        && shown.address == service.address.to_string()
        && shown.enable_tag_override == service.enable_tag_override
        && (service.enable_tag_override || shown.tags.unwrap_or_default() == service.tags)
        && shown_meta.eq(meta(service)))
}

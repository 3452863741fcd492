//! From a request to a question, and from its answer to a reply. Pure.

use std::collections::BTreeMap;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Response, StatusCode};
use regrow_ids::GoDuration;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Answer, What};

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";

/// What a path is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Environ,
    Reload,
    Metric,
    Maintenance(bool),
    Yield,
    Ping,
    Status,
}

/// Every path with the method that it takes; `None`: any.
const ROUTES: &[(&str, Option<Method>, Purpose)] = &[
    ("/v3/environ", Some(Method::POST), Purpose::Environ),
    // The name in the documentation of ContainerPilot, whose program did not know it.
    ("/v3/env", Some(Method::POST), Purpose::Environ),
    ("/v3/reload", Some(Method::POST), Purpose::Reload),
    ("/v3/metric", Some(Method::POST), Purpose::Metric),
    ("/v3/maintenance/enable", Some(Method::POST), Purpose::Maintenance(true)),
    ("/v3/maintenance/disable", Some(Method::POST), Purpose::Maintenance(false)),
    ("/v3/lock/yield", Some(Method::POST), Purpose::Yield),
    ("/v3/ping", None, Purpose::Ping),
    ("/v3/status", Some(Method::GET), Purpose::Status),
];

/// A known path, spelt as in the table, and what it is for if the method is right.
pub(super) fn find(method: &Method, path: &str) -> Option<(&'static str, Option<Purpose>)> {
    let (path, wanted, purpose) = ROUTES.iter().find(|(known, ..)| *known == path)?;
    let fits = wanted.as_ref().is_none_or(|wanted| wanted == method);
    Some((path, fits.then_some(*purpose)))
}

/// What the worker is asked; `None`: nothing, the answer is yes.
///
/// # Errors
/// The body is not what the path takes.
pub(super) fn question(purpose: Purpose, body: &[u8]) -> Result<Option<What>, StatusCode> {
    Ok(Some(match purpose {
        Purpose::Ping => return Ok(None),
        Purpose::Reload => What::Reload,
        Purpose::Status => What::Status,
        Purpose::Maintenance(on) => What::Maintenance(on),
        Purpose::Yield => yielded(body).ok_or(UNPROCESSABLE)?,
        Purpose::Environ => environ(body).map(What::Environ).ok_or(UNPROCESSABLE)?,
        Purpose::Metric => metric(body).map(What::Metric).ok_or(UNPROCESSABLE)?,
    }))
}

const UNPROCESSABLE: StatusCode = StatusCode::UNPROCESSABLE_ENTITY;

/// As Go reads it: null is an object without members, and a null member an empty text.
fn environ(body: &[u8]) -> Option<BTreeMap<String, String>> {
    let read: Option<BTreeMap<String, Option<String>>> = serde_json::from_slice(body).ok()?;
    let pairs = read.unwrap_or_default().into_iter();
    let pairs: BTreeMap<_, _> =
        pairs.map(|(name, value)| (name, value.unwrap_or_default())).collect();
    let settable = |(name, value): (&String, &String)| {
        !name.is_empty() && !name.contains(['=', '\0']) && !value.contains('\0')
    };
    pairs.iter().all(settable).then_some(pairs)
}

/// Texts as they are, all else as JSON writes it: telemetry says what is no number.
fn metric(body: &[u8]) -> Option<Vec<(String, String)>> {
    let read: Option<Map<String, Value>> = serde_json::from_slice(body).ok()?;
    let text = |value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    Some(read.unwrap_or_default().into_iter().map(|(name, value)| (name, text(value))).collect())
}

/// A lock that is left to others, as [`client::yield_lock`](super::client::yield_lock) writes it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Yielded {
    pub lock: String,
    #[serde(rename = "for", default = "usual")]
    pub time: GoDuration,
}

/// How long a lock is left to others where the request does not say.
fn usual() -> GoDuration {
    GoDuration::from_secs(10)
}

fn yielded(body: &[u8]) -> Option<What> {
    let Yielded { lock, time } = serde_json::from_slice(body).ok()?;
    Some(What::Yield { lock, time: time.as_duration() })
}

/// The reply to an answer.
pub(super) fn reply(answer: Answer) -> Response<Full<Bytes>> {
    match answer {
        Answer::Done => respond(StatusCode::OK, TEXT, "\n".to_owned()),
        Answer::Text(text) => respond(StatusCode::OK, JSON, text),
        Answer::Refused { status, text } => {
            let status = StatusCode::from_u16(status)
                .ok()
                .filter(|status| status.is_client_error() || status.is_server_error());
            let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            if text.is_empty() { plain(status) } else { respond(status, TEXT, format!("{text}\n")) }
        }
    }
}

/// A status and its name.
pub(super) fn plain(status: StatusCode) -> Response<Full<Bytes>> {
    let name = match status {
        StatusCode::NOT_FOUND => "404 page not found",
        // Go's name for it.
        StatusCode::PAYLOAD_TOO_LARGE => "Request Entity Too Large",
        other => other.canonical_reason().unwrap_or("Error"),
    };
    respond(status, TEXT, format!("{name}\n"))
}

fn respond(status: StatusCode, content_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

//! Consul's endpoints, one function each.

use std::time::Duration;

use bytes::Bytes;
use regrow_consensus::Consistency;
use regrow_ids::{GoDuration, Revision};
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde::Deserialize;
use serde_json::json;

use crate::consul::ConsulSettings;
use crate::consul::plan::{Names, Plan, TxnAnswer, lease_of, pairs, session_of};
use crate::entry::Entry;
use crate::error::{CoordError, Invalid};
use crate::http::{Answer, Http};
use crate::key::Span;
use crate::lease::LeaseId;

/// The header that says how new an answer is.
const INDEX: &str = "x-consul-index";

/// The header that carries the ACL token.
const TOKEN: &str = "X-Consul-Token";

/// What a span holds.
pub struct State {
    /// Its entries, in order.
    pub entries: Vec<Entry>,
    /// Everything of the span up to this revision is shown.
    pub revision: Revision,
}

/// The endpoints of some agents.
pub struct Requests {
    http: Http,
    names: Names,
    token: Option<String>,
    login: Option<(String, String)>,
}

#[derive(Deserialize)]
struct Created {
    #[serde(rename = "ID")]
    id: String,
}

#[derive(Deserialize)]
struct Renewed {
    #[serde(rename = "TTL")]
    ttl: GoDuration,
}

fn excuse(answer: &Answer) -> String {
    let text: String = String::from_utf8_lossy(&answer.body).chars().take(200).collect();
    format!("Consul answered {}: {text}", answer.status)
}

/// The error of an answer that is no success. Consul says 500 for what it did not try and for what
/// it lost track of alike.
fn fault(doing: &'static str, answer: &Answer, write: bool) -> CoordError {
    let reason = excuse(answer);
    if answer.status == StatusCode::TOO_MANY_REQUESTS || reason.contains("No cluster leader") {
        CoordError::Unavailable { doing, reason }
    } else if answer.status.is_client_error() {
        CoordError::Refused { doing, reason }
    } else if write {
        CoordError::Unknown { doing, reason }
    } else {
        CoordError::Unavailable { doing, reason }
    }
}

/// The path and query of a read.
fn read_path(
    names: &Names,
    span: &Span,
    consistency: Consistency,
    wait: Option<(Revision, Duration)>,
) -> String {
    let (path, recurse) = match span {
        Span::One(key) => (Names::path(&names.whole(key)), None),
        Span::Prefix(prefix) => (Names::path(&names.whole_prefix(prefix)), Some("recurse")),
    };
    let mode = match consistency {
        Consistency::Linearizable => Some("consistent"),
        // Consul's own default, which has no word.
        Consistency::Lease => None,
        Consistency::Stale => Some("stale"),
    };
    let wait = wait.map(|(index, wait)| format!("index={index}&wait={}s", wait.as_secs()));
    let parts: Vec<&str> = [recurse, mode, wait.as_deref()].into_iter().flatten().collect();
    if parts.is_empty() { path } else { format!("{path}?{}", parts.join("&")) }
}

impl Requests {
    pub fn new(settings: ConsulSettings) -> Result<Self, Invalid> {
        let ConsulSettings { endpoints, prefix, token, login, deadline, tls } = settings;
        let http = Http::new("consul", &endpoints, tls, deadline)?;
        Ok(Self { http, names: Names { lead: prefix.into() }, token, login })
    }

    pub const fn names(&self) -> &Names {
        &self.names
    }

    fn request(&self, client: &Client, method: &Method, url: String) -> RequestBuilder {
        let request = client.request(method.clone(), url);
        let request = match &self.login {
            Some((user, password)) => request.basic_auth(user, Some(password)),
            None => request,
        };
        match &self.token {
            Some(token) => request.header(TOKEN, token),
            None => request,
        }
    }

    async fn write(
        &self,
        doing: &'static str,
        path: &str,
        body: Option<&serde_json::Value>,
        limit: Duration,
    ) -> Result<Answer, CoordError> {
        let build = |client: &Client, server: &str| {
            let request = self.request(client, &Method::PUT, format!("{server}{path}"));
            match body {
                Some(body) => request.json(body),
                None => request,
            }
        };
        let answer = self.http.ask_within(limit, build).await;
        answer.map_err(|failure| failure.of_write(doing))
    }

    /// What a span holds; with `wait`, as soon as it is newer than that index, or after the time.
    /// Takes `limit` at most, and that time.
    pub async fn read(
        &self,
        span: &Span,
        consistency: Consistency,
        wait: Option<(Revision, Duration)>,
        limit: Duration,
    ) -> Result<State, CoordError> {
        let path = read_path(&self.names, span, consistency, wait);
        // Consul adds up to a sixteenth to the wait.
        let more = wait.map_or(Duration::ZERO, |(_, wait)| wait + wait / 16);
        self.read_at(&path, limit.saturating_add(more)).await
    }

    /// The revision of everything: what Consul says of a key that is not there.
    pub async fn revision(&self, limit: Duration) -> Result<Revision, CoordError> {
        // Drawn anew: nobody has made it.
        let nobodys = format!("{}{:032x}", self.names.lead, rand::random::<u128>());
        let path = format!("{}?consistent", Names::path(&nobodys));
        Ok(self.read_at(&path, limit).await?.revision)
    }

    async fn read_at(&self, path: &str, limit: Duration) -> Result<State, CoordError> {
        const DOING: &str = "read keys";
        let build = |client: &Client, server: &str| {
            self.request(client, &Method::GET, format!("{server}{path}"))
        };
        let answer = self.http.ask_within(limit, build).await;
        let answer = answer.map_err(|failure| failure.of_read(DOING))?;
        let unread = |reason| CoordError::Unavailable { doing: DOING, reason };
        let entries = match answer.status {
            StatusCode::OK => pairs(&self.names, &answer.body).map_err(unread)?,
            StatusCode::NOT_FOUND => Vec::new(),
            _ => return Err(fault(DOING, &answer, false)),
        };
        let index = answer.headers.get(INDEX).and_then(|index| index.to_str().ok()?.parse().ok());
        let index = index.ok_or_else(|| unread("its answer has no index".into()))?;
        Ok(State { entries, revision: Revision::new(index) })
    }

    /// Sends a transaction.
    pub async fn transact(&self, plan: &Plan, limit: Duration) -> Result<TxnAnswer, CoordError> {
        const DOING: &str = "execute transaction";
        if plan.operations.is_empty() {
            return Ok(TxnAnswer::default());
        }
        let body = serde_json::Value::Array(plan.operations.clone());
        let answer = self.write(DOING, "/v1/txn", Some(&body), limit).await?;
        match answer.status {
            StatusCode::OK | StatusCode::CONFLICT => serde_json::from_slice(&answer.body)
                .map_err(|error| CoordError::Unknown { doing: DOING, reason: error.to_string() }),
            _ => Err(fault(DOING, &answer, true)),
        }
    }

    /// Makes a session.
    pub async fn create_session(
        &self,
        ttl: Duration,
        limit: Duration,
    ) -> Result<LeaseId, CoordError> {
        const DOING: &str = "grant lease";
        let body = json!({
            "Name": "regrow",
            "TTL": format!("{}ms", ttl.as_millis()),
            "Behavior": "delete",
            "LockDelay": "0s",
            "Checks": [],
            "NodeChecks": [],
        });
        let answer = self.write(DOING, "/v1/session/create", Some(&body), limit).await?;
        if !answer.status.is_success() {
            return Err(fault(DOING, &answer, true));
        }
        let created: Option<Created> = serde_json::from_slice(&answer.body).ok();
        created.and_then(|created| lease_of(&created.id)).ok_or_else(|| CoordError::Unknown {
            doing: DOING,
            reason: "its answer names no session".into(),
        })
    }

    /// Renews a session; tells how long it lasts.
    pub async fn renew_session(
        &self,
        lease: LeaseId,
        limit: Duration,
    ) -> Result<Duration, CoordError> {
        const DOING: &str = "renew lease";
        let path = format!("/v1/session/renew/{}", session_of(lease));
        let answer = self.write(DOING, &path, None, limit).await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Err(CoordError::UnknownLease { doing: DOING, lease });
        }
        if !answer.status.is_success() {
            return Err(fault(DOING, &answer, true));
        }
        renewed(&answer.body).map_err(|reason| CoordError::Unknown { doing: DOING, reason })
    }

    /// Ends a session.
    pub async fn destroy_session(&self, lease: LeaseId, limit: Duration) -> Result<(), CoordError> {
        const DOING: &str = "revoke lease";
        let path = format!("/v1/session/destroy/{}", session_of(lease));
        let answer = self.write(DOING, &path, None, limit).await?;
        if answer.status.is_success() { Ok(()) } else { Err(fault(DOING, &answer, true)) }
    }
}

fn renewed(body: &Bytes) -> Result<Duration, String> {
    let sessions: Vec<Renewed> = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let session = sessions.first().ok_or("its answer has no session")?;
    Ok(session.ttl.as_duration())
}

#[cfg(test)]
mod tests;

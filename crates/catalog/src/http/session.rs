//! `/v1/session/`: sessions.

use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use super::call::Call;
use super::kv::session_id;
use super::reply::{HttpError, Outcome};
use super::{Acl, decode, shape};
use crate::machine::{Command, Reply as Done};
use crate::model::{Access, Behavior, Indexed, Resource, SERF_HEALTH, Session, SessionId};
use crate::query;

const TTL_MIN: Duration = Duration::from_secs(10);
const TTL_MAX: Duration = Duration::from_secs(24 * 60 * 60);
const LOCK_DELAY: Duration = Duration::from_secs(15);
const LOCK_DELAY_MAX: Duration = Duration::from_secs(60);
/// A lock-delay that is a number below this is in seconds, else in nanoseconds.
const LOCK_DELAY_SECONDS_BELOW: u128 = 1000;

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct ServiceCheck {
    #[serde(rename = "ID")]
    id: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct SessionBody {
    name: String,
    node: String,
    #[serde(rename = "TTL")]
    ttl: String,
    lock_delay: Option<decode::Span>,
    behavior: String,
    checks: Option<Vec<String>>,
    node_checks: Option<Vec<String>>,
    service_checks: Option<Vec<ServiceCheck>>,
}

impl SessionBody {
    fn lock_delay(&self) -> Duration {
        let Some(decode::Span(given)) = self.lock_delay else { return LOCK_DELAY };
        // A text is at least a microsecond long or zero; what is shorter was a bare number.
        let seconds = match given.as_nanos() {
            nanos if nanos < LOCK_DELAY_SECONDS_BELOW => Duration::from_secs(nanos as u64),
            _ => given,
        };
        seconds.min(LOCK_DELAY_MAX)
    }

    fn ttl(&self) -> Result<Option<Duration>, HttpError> {
        if self.ttl.is_empty() {
            return Ok(None);
        }
        let text = &self.ttl;
        let ttl = decode::duration(text).map_err(|reason| {
            HttpError::internal(format!("Session TTL '{text}' invalid: {reason}"))
        })?;
        if ttl.is_zero() {
            return Ok(None);
        }
        if !(TTL_MIN..=TTL_MAX).contains(&ttl) {
            let nanos = ttl.as_nanos();
            return Err(HttpError::internal(format!(
                "Invalid Session TTL '{nanos}', must be between [10s=24h0m0s]"
            )));
        }
        Ok(Some(ttl))
    }

    fn behavior(&self) -> Result<Behavior, HttpError> {
        match self.behavior.as_str() {
            "" | "release" => Ok(Behavior::Release),
            "delete" => Ok(Behavior::Delete),
            other => Err(HttpError::internal(format!("Invalid Behavior setting '{other}'"))),
        }
    }

    /// Checks of the node and of services; the old field is for either.
    fn checks(&self) -> (Vec<String>, Vec<String>) {
        let of_services = self.service_checks.iter().flatten().map(|check| check.id.clone());
        let of_nodes = match (&self.checks, &self.node_checks) {
            (None, None) => vec![SERF_HEALTH.to_owned()],
            (old, new) => old.iter().chain(new).flatten().cloned().collect(),
        };
        (of_nodes, of_services.collect())
    }
}

pub(super) async fn create(call: &Call) -> Outcome {
    call.check_datacenter()?;
    let body: SessionBody = match call.body.is_empty() {
        true => SessionBody::default(),
        false => decode::body(&call.body)?,
    };
    let options = call.agent().options();
    let node = if body.node.is_empty() { &options.node_name } else { &body.node };
    call.allow(Resource::Session, node, Access::Write).await?;
    let (node_checks, service_checks) = body.checks();
    let session = Session {
        id: SessionId::random(),
        name: body.name.clone(),
        node: node.clone(),
        lock_delay: body.lock_delay(),
        behavior: body.behavior()?,
        ttl: body.ttl()?,
        ttl_text: body.ttl.clone(),
        grace_percent: call.shared.options.session_grace_percent.min(100),
        node_checks,
        service_checks,
    };
    let id = session.id.to_string();
    call.client().execute(&Command::CreateSession(session)).await?;
    call.json(&json!({ "ID": id }))
}

fn id_of(call: &Call) -> Result<SessionId, HttpError> {
    session_id(call.named(HttpError::bad("Missing session"))?)
}

/// Write access to the session of this id, on whichever node it is.
async fn allow_change(call: &Call, id: SessionId) -> Result<(), HttpError> {
    if call.shared.options.acl == Acl::Off {
        return Ok(());
    }
    let session = call.ask_locally(&query::sessions::session(id)).await?;
    let node = session.map_or_else(String::new, |session| session.value.node);
    call.allow(Resource::Session, &node, Access::Write).await
}

pub(super) async fn renew(call: &Call) -> Outcome {
    call.check_datacenter()?;
    let id = id_of(call)?;
    allow_change(call, id).await?;
    match call.client().execute(&Command::RenewSession(id)).await? {
        Done::Session(Some(session)) => call.json(&[shape::Session::of(&session)]),
        _ => Err(HttpError::missing(format!("Session id '{}' not found", call.tail))),
    }
}

pub(super) async fn destroy(call: &Call) -> Outcome {
    call.check_datacenter()?;
    let id = id_of(call)?;
    allow_change(call, id).await?;
    call.client().execute(&Command::DestroySession(id)).await?;
    call.json(&true)
}

pub(super) async fn info(call: &Call) -> Outcome {
    let id = id_of(call)?;
    let (meta, session) = call.ask(&query::sessions::session(id)).await?;
    let sessions: Vec<_> = session.into_iter().collect();
    call.allow(Resource::Session, node_of(&sessions), Access::Read).await?;
    Ok(shown(call, &sessions)?.meta(meta))
}

fn node_of(sessions: &[Indexed<Session>]) -> &str {
    sessions.first().map_or("", |session| session.value.node.as_str())
}

pub(super) async fn list(call: &Call) -> Outcome {
    let rights = call.rights().await?;
    let (meta, mut sessions) = call.ask(&query::sessions::all()).await?;
    sessions.retain(|session| rights.read(Resource::Session, &session.value.node));
    Ok(shown(call, &sessions)?.meta(meta))
}

pub(super) async fn of_node(call: &Call) -> Outcome {
    let node = call.named(HttpError::bad("Missing node name"))?;
    call.allow(Resource::Session, node, Access::Read).await?;
    let (meta, sessions) = call.ask(&query::sessions::of_node(node)).await?;
    Ok(shown(call, &sessions)?.meta(meta))
}

fn shown(call: &Call, sessions: &[Indexed<Session>]) -> Outcome {
    let shapes: Vec<_> = sessions.iter().map(shape::Session::of).collect();
    call.json(&shapes)
}

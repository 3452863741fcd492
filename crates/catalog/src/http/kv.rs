//! `/v1/kv/`: keys.

use hyper::{Method, StatusCode};

use super::call::Call;
use super::reply::{HttpError, Meta, Outcome, Reply, TEXT};
use super::shape;
use crate::machine::{Command, KvOp, KvVerb, Reply as Done};
use crate::model::{Access, KeyEntry, Resource, SessionId, SessionIdError};
use crate::query;

pub(super) async fn handle(call: &Call) -> Outcome {
    match call.method {
        Method::PUT => put(call).await,
        Method::DELETE => delete(call).await,
        _ => get(call).await,
    }
}

fn no_key() -> HttpError {
    HttpError::bad("Missing key name")
}

async fn get(call: &Call) -> Outcome {
    let key = call.tail.as_str();
    if call.params.has("keys") {
        return names(call).await;
    }
    if call.params.has("recurse") {
        let rights = call.rights().await?;
        let (meta, mut entries) = call.ask(&query::kv::under(key)).await?;
        entries.retain(|entry| rights.read(Resource::Key, &entry.key));
        if entries.is_empty() {
            return Ok(Reply::bare(StatusCode::NOT_FOUND).meta(meta));
        }
        return Ok(entries_json(call, &entries)?.meta(meta));
    }
    let key = call.named(no_key())?;
    call.allow_key(key, Access::Read).await?;
    let (meta, entry) = call.ask(&query::kv::entry(key)).await?;
    match entry {
        None => Ok(Reply::bare(StatusCode::NOT_FOUND).meta(meta)),
        Some(entry) if call.params.has("raw") => Ok(raw(entry, meta)),
        Some(entry) => Ok(entries_json(call, &[entry])?.meta(meta)),
    }
}

fn entries_json(call: &Call, entries: &[KeyEntry]) -> Outcome {
    let shapes: Vec<_> = entries.iter().map(shape::KeyEntry::of).collect();
    call.json(&shapes)
}

/// The bytes. A browser must not take them for a page of ours.
fn raw(entry: KeyEntry, meta: Meta) -> Reply {
    Reply::body(TEXT, entry.value)
        .header("X-Content-Type-Options", "nosniff")
        .header("Content-Security-Policy", "sandbox")
        .meta(meta)
}

async fn names(call: &Call) -> Outcome {
    let prefix = call.tail.as_str();
    let rights = call.rights().await?;
    let misspelt = call.params.get("seperator");
    let separator = match call.params.get("separator") {
        "" => misspelt,
        separator => separator,
    };
    let (meta, names) = call
        .ask(&query::kv::names_of(prefix, separator, move |key| rights.read(Resource::Key, key)))
        .await?;
    if names.is_empty() && !prefix.is_empty() {
        return Ok(Reply::bare(StatusCode::NOT_FOUND).meta(meta));
    }
    Ok(call.json(&names)?.meta(meta))
}

/// Refuses parameters that exclude one another.
fn check_conflicts(call: &Call, names: &[&str]) -> Result<(), HttpError> {
    if names.iter().filter(|name| call.params.has(name)).count() > 1 {
        let text = format!("Conflicting flags: {}", call.params.encoded());
        return Err(HttpError::bad(text));
    }
    Ok(())
}

/// An unsigned number; the error is Go's.
fn number(call: &Call, name: &str) -> Result<u64, HttpError> {
    let text = call.params.get(name);
    text.parse().map_err(|error: std::num::ParseIntError| {
        let reason = match error.kind() {
            std::num::IntErrorKind::PosOverflow => "value out of range",
            _ => "invalid syntax",
        };
        HttpError::internal(format!("strconv.ParseUint: parsing {text:?}: {reason}"))
    })
}

/// A session's id; the errors are those of a look-up in the original.
pub(super) fn session_id(text: &str) -> Result<SessionId, HttpError> {
    if text.is_empty() {
        return Err(HttpError::internal("missing session"));
    }
    text.parse().map_err(|error: SessionIdError| {
        HttpError::internal(format!("failed session lookup: index error: {error}"))
    })
}

async fn put(call: &Call) -> Outcome {
    let key = call.named(no_key())?;
    check_conflicts(call, &["cas", "acquire", "release"])?;
    call.check_datacenter()?;
    call.allow_key(key, Access::Write).await?;
    let flags = if call.params.has("flags") { number(call, "flags")? } else { 0 };
    let set = KvOp::new(KvVerb::Set, key).value(call.body.to_vec()).flags(flags);
    let op = if call.params.has("cas") {
        KvOp { verb: KvVerb::Cas, ..set }.index(number(call, "cas")?)
    } else if call.params.has("acquire") {
        let session = session_id(call.params.get("acquire"))?;
        KvOp { verb: KvVerb::Lock, ..set }.session(session)
    } else if call.params.has("release") {
        match call.params.get("release") {
            "" => return Err(HttpError::internal("missing session")),
            // What is no session holds nothing.
            text => match text.parse() {
                Ok(session) => KvOp { verb: KvVerb::Unlock, ..set }.session(session),
                Err(_) => return call.json(&false),
            },
        }
    } else {
        set
    };
    execute(call, op).await
}

async fn delete(call: &Call) -> Outcome {
    check_conflicts(call, &["recurse", "cas"])?;
    call.check_datacenter()?;
    let op = if call.params.has("recurse") {
        KvOp::new(KvVerb::DeleteTree, call.tail.as_str())
    } else {
        let key = call.named(no_key())?;
        match call.params.has("cas") {
            true => KvOp::new(KvVerb::DeleteCas, key).index(number(call, "cas")?),
            false => KvOp::new(KvVerb::Delete, key),
        }
    };
    if !call.rights().await?.may_do(&op) {
        return Err(HttpError::forbidden());
    }
    execute(call, op).await
}

async fn execute(call: &Call, op: KvOp) -> Outcome {
    let done = matches!(call.client().execute(&Command::Kv(op)).await?, Done::Kv(None));
    call.json(&done)
}

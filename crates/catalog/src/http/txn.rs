//! `/v1/txn`: several deeds on keys, all or nothing.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hyper::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::call::Call;
use super::decode;
use super::reply::{HttpError, Meta, Outcome};
use super::shape;
use crate::machine::{Command, Denial, KvOp, KvVerb, Refusal, Reply as Done};
use crate::model::{KeyEntry, SessionIdError};
use crate::query::kv;

/// Most deeds in one transaction.
const OPS_MAX: usize = 64;

const VERBS: &[(&str, KvVerb)] = &[
    ("set", KvVerb::Set),
    ("cas", KvVerb::Cas),
    ("lock", KvVerb::Lock),
    ("unlock", KvVerb::Unlock),
    ("get", KvVerb::Get),
    ("get-tree", KvVerb::GetTree),
    ("get-or-empty", KvVerb::GetOrEmpty),
    ("check-index", KvVerb::CheckIndex),
    ("check-session", KvVerb::CheckSession),
    ("check-not-exists", KvVerb::CheckNotExists),
    ("delete", KvVerb::Delete),
    ("delete-tree", KvVerb::DeleteTree),
    ("delete-cas", KvVerb::DeleteCas),
];

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct KvBody {
    verb: String,
    key: String,
    value: String,
    flags: u64,
    index: u64,
    session: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct OpBody {
    #[serde(rename = "KV")]
    kv: Option<KvBody>,
    #[serde(rename = "Node")]
    node: Option<Value>,
    #[serde(rename = "Service")]
    service: Option<Value>,
    #[serde(rename = "Check")]
    check: Option<Value>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ErrorShape {
    op_index: usize,
    what: String,
}

/// The value of a deed.
fn value(body: &KvBody) -> Result<Vec<u8>, HttpError> {
    let decoded = BASE64_STANDARD.decode(&body.value);
    decoded.map_err(|error| {
        HttpError::bad(format!("Failed to parse body: illegal base64 data: {error}"))
    })
}

/// A deed, or what is wrong with it. A transaction with a wrong deed is not begun.
fn op(body: &KvBody, value: Vec<u8>) -> Result<KvOp, String> {
    let verb = VERBS.iter().find(|(name, _)| *name == body.verb);
    let Some((_, verb)) = verb else { return Err(format!("unknown KV verb {:?}", body.verb)) };
    let session = match (verb, body.session.as_str()) {
        (KvVerb::Lock | KvVerb::Unlock, "") => return Err(Refusal::MissingSession.to_string()),
        (KvVerb::Lock, text) => Some(text.parse().map_err(|error: SessionIdError| {
            format!("failed session lookup: index error: {error}")
        })?),
        // What is no session holds nothing.
        (KvVerb::Unlock, text) => {
            Some(text.parse().map_err(|_| Denial::NotHeld(body.key.clone()).to_string())?)
        }
        (_, text) => text.parse().ok(),
    };
    let key = body.key.clone();
    Ok(KvOp { verb: *verb, key, value, flags: body.flags, index: body.index, session })
}

fn failed(call: &Call, errors: &[ErrorShape]) -> Outcome {
    let reply = call.json(&json!({ "Results": null, "Errors": errors }))?;
    Ok(reply.status(StatusCode::CONFLICT))
}

pub(super) async fn handle(call: &Call) -> Outcome {
    call.check_datacenter()?;
    let bodies: Vec<OpBody> = decode::parse(&call.body)
        .map_err(|reason| HttpError::bad(format!("Failed to parse body: {reason}")))?;
    if bodies.len() > OPS_MAX {
        return Err(HttpError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("Transaction contains too many operations ({} > {OPS_MAX})", bodies.len()),
        ));
    }
    if bodies.iter().any(|op| op.node.is_some() || op.service.is_some() || op.check.is_some()) {
        return Err(HttpError::not_done(
            "transactions over nodes, services and checks are not carried out here: use \
             /v1/catalog/register and /v1/catalog/deregister",
        ));
    }
    let mut ops = Vec::new();
    let mut errors = Vec::new();
    for (at, body) in bodies.iter().enumerate() {
        let Some(kv) = &body.kv else {
            return Err(HttpError::bad("Failed to parse body: an operation has no KV"));
        };
        match op(kv, value(kv)?) {
            Ok(op) => ops.push(op),
            Err(what) => errors.push(ErrorShape { op_index: at, what }),
        }
    }
    let rights = call.rights().await?;
    if !ops.iter().all(|op| rights.may_do(op)) {
        return Err(HttpError::forbidden());
    }
    if !errors.is_empty() {
        return failed(call, &errors);
    }
    execute(call, ops).await
}

async fn execute(call: &Call, ops: Vec<KvOp>) -> Outcome {
    let reads = ops.iter().all(|op| op.verb.only_reads());
    // The headers of a read: leader and age. A command is never stale, so neither is a read here.
    let meta = match reads && !ops.is_empty() {
        true => {
            call.consistency()?;
            Some(call.ask(&kv::entry("")).await?.0)
        }
        false => None,
    };
    match call.client().execute(&Command::Txn(ops)).await? {
        Done::Txn(Ok(entries)) => done(call, &entries, meta),
        Done::Txn(Err(denials)) => {
            let shape = |(op_index, denial): (usize, Denial)| ErrorShape {
                op_index,
                what: denial.to_string(),
            };
            failed(call, &denials.into_iter().map(shape).collect::<Vec<_>>())
        }
        _ => Err(HttpError::internal("rpc error: the catalog answered something else")),
    }
}

#[derive(Serialize)]
struct ResultShape<'a> {
    #[serde(rename = "KV")]
    kv: shape::KeyEntry<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct DoneShape<'a> {
    results: Vec<ResultShape<'a>>,
    errors: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_contact: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    known_leader: Option<bool>,
}

fn done(call: &Call, entries: &[KeyEntry], meta: Option<Meta>) -> Outcome {
    let results =
        entries.iter().map(|entry| ResultShape { kv: shape::KeyEntry::of(entry) }).collect();
    let reply = call.json(&DoneShape {
        results,
        errors: None,
        index: meta.map(|meta| meta.index),
        last_contact: meta.map(|meta| meta.last_contact),
        known_leader: meta.map(|meta| meta.known_leader),
    })?;
    Ok(match meta {
        Some(meta) => reply.meta(meta),
        None => reply,
    })
}

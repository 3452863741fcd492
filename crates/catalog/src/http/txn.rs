//! `/v1/txn`: several deeds on keys, nodes, services and checks, all or nothing.

use hyper::StatusCode;
use serde::Serialize;
use serde_json::json;

use super::call::{Call, Rights};
use super::decode;
use super::reply::{HttpError, Meta, Outcome};
use super::shape;
use super::txn_body::OpBody;
use crate::machine::{Command, Denial, Reply as Done, Shown, TxnOp};
use crate::model::Resource;
use crate::query::kv;

/// Most deeds in one transaction.
const OPS_MAX: usize = 64;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ErrorShape {
    op_index: usize,
    what: String,
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
    let datacenter = &call.agent().options().datacenter;
    let mut ops = Vec::new();
    let mut errors = Vec::new();
    for (op_index, body) in bodies.into_iter().enumerate() {
        match body.op(datacenter)? {
            Ok(op) => ops.push(op),
            Err(what) => errors.push(ErrorShape { op_index, what }),
        }
    }
    let rights = call.rights().await?;
    if !ops.iter().all(|op| rights.may_transact(op)) {
        return Err(HttpError::forbidden());
    }
    // A transaction with a wrong deed is not begun.
    if !errors.is_empty() {
        return failed(call, &errors);
    }
    execute(call, &rights, ops).await
}

async fn execute(call: &Call, rights: &Rights, ops: Vec<TxnOp>) -> Outcome {
    let reads = ops.iter().all(TxnOp::only_reads);
    // The headers of a read: leader and age. A command is never stale, so neither is a read here.
    let meta = match reads && !ops.is_empty() {
        true => {
            call.consistency()?;
            Some(call.ask(&kv::entry("")).await?.0)
        }
        false => None,
    };
    let outcome = match call.client().execute(&Command::transaction(ops)).await? {
        Done::Txn(outcome) => outcome.map(|entries| entries.into_iter().map(Shown::Key).collect()),
        Done::Transact(outcome) => outcome,
        _ => return Err(HttpError::internal("rpc error: the catalog answered something else")),
    };
    match outcome {
        Ok(mut shown) => {
            shown.retain(|shown| sees(rights, shown));
            done(call, &shown, meta)
        }
        Err(denials) => {
            let shape = |(op_index, denial): (usize, Denial)| ErrorShape {
                op_index,
                what: denial.to_string(),
            };
            failed(call, &denials.into_iter().map(shape).collect::<Vec<_>>())
        }
    }
}

/// Whether a result may be shown. The name of a service is only known once it was read.
fn sees(rights: &Rights, shown: &Shown) -> bool {
    match shown {
        // Whoever may not see a key was refused.
        Shown::Key(_) => true,
        Shown::Node(row) => rights.read(Resource::Node, &row.value.name),
        Shown::Service(row) => rights.read(Resource::Service, &row.value.name),
        Shown::Check(row) => rights.sees(&row.value),
    }
}

#[derive(Serialize)]
enum ResultShape<'a> {
    #[serde(rename = "KV")]
    Key(shape::KeyEntry<'a>),
    Node(shape::Node<'a>),
    Service(shape::Service<'a>),
    Check(shape::Check<'a>),
}

impl<'a> ResultShape<'a> {
    fn of(shown: &'a Shown) -> Self {
        match shown {
            Shown::Key(entry) => Self::Key(shape::KeyEntry::of(entry)),
            Shown::Node(row) => Self::Node(shape::Node::of(row)),
            Shown::Service(row) => Self::Service(shape::Service::of(row)),
            Shown::Check(row) => Self::Check(shape::Check::of(row)),
        }
    }
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

fn done(call: &Call, shown: &[Shown], meta: Option<Meta>) -> Outcome {
    let reply = call.json(&DoneShape {
        results: shown.iter().map(ResultShape::of).collect(),
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

//! Deeds of a transaction as requests say them.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;

use super::agent_services::ServiceBody;
use super::check_body::CheckBody;
use super::reply::HttpError;
use crate::machine::{Denial, Entry, EntryVerb, KvOp, KvVerb, Refusal, TxnOp};
use crate::model::{CheckSpec, Node, SessionIdError, Status};

const KV_VERBS: &[(&str, KvVerb)] = &[
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

const ENTRY_VERBS: &[(&str, EntryVerb)] = &[
    ("set", EntryVerb::Set),
    ("cas", EntryVerb::Cas),
    ("get", EntryVerb::Get),
    ("delete", EntryVerb::Delete),
    ("delete-cas", EntryVerb::DeleteCas),
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
#[serde(default, rename_all = "PascalCase")]
struct NodeBody {
    #[serde(rename = "ID")]
    id: String,
    node: String,
    address: String,
    tagged_addresses: BTreeMap<String, String>,
    meta: BTreeMap<String, String>,
    modify_index: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct NodeOpBody {
    verb: String,
    node: NodeBody,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct ServiceOpBody {
    verb: String,
    node: String,
    service: ServiceBody,
}

/// A check as lists show it: what finds out the status is in a part of its own.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct ListedCheckBody {
    node: String,
    #[serde(rename = "CheckID")]
    id: String,
    name: String,
    status: String,
    notes: String,
    output: String,
    #[serde(rename = "ServiceID")]
    service_id: String,
    definition: CheckBody,
    modify_index: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct CheckOpBody {
    verb: String,
    check: ListedCheckBody,
}

/// One deed.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct OpBody {
    #[serde(rename = "KV")]
    kv: Option<KvBody>,
    #[serde(rename = "Node")]
    node: Option<NodeOpBody>,
    #[serde(rename = "Service")]
    service: Option<ServiceOpBody>,
    #[serde(rename = "Check")]
    check: Option<CheckOpBody>,
}

impl OpBody {
    /// The deed, or what is wrong with it; an error where the request makes no sense at all.
    pub fn op(self, datacenter: &str) -> Result<Result<TxnOp, String>, HttpError> {
        match (self.kv, self.node, self.service, self.check) {
            (Some(kv), None, None, None) => {
                let value = value(&kv)?;
                Ok(key_op(kv, value).map(TxnOp::Kv))
            }
            (None, Some(node), None, None) => Ok(node.op(datacenter)),
            (None, None, Some(service), None) => Ok(service.op()),
            (None, None, None, Some(check)) => Ok(check.op()),
            _ => Err(HttpError::bad(
                "Failed to parse body: an operation has one of KV, Node, Service and Check",
            )),
        }
    }
}

/// The value of a deed on a key.
fn value(body: &KvBody) -> Result<Vec<u8>, HttpError> {
    let decoded = BASE64_STANDARD.decode(&body.value);
    decoded.map_err(|error| {
        HttpError::bad(format!("Failed to parse body: illegal base64 data: {error}"))
    })
}

fn key_op(body: KvBody, value: Vec<u8>) -> Result<KvOp, String> {
    let verb = KV_VERBS.iter().find(|(name, _)| *name == body.verb);
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
    let KvBody { key, flags, index, .. } = body;
    Ok(KvOp { verb: *verb, key, value, flags, index, session })
}

/// The verb of a deed on an entry of this kind.
fn entry_verb(kind: &str, name: &str) -> Result<EntryVerb, String> {
    let verb = ENTRY_VERBS.iter().find(|(known, _)| *known == name);
    verb.map(|(_, verb)| *verb).ok_or_else(|| format!("unknown {kind} verb {name:?}"))
}

const fn writes(verb: EntryVerb) -> bool {
    matches!(verb, EntryVerb::Set | EntryVerb::Cas)
}

fn named(name: &str) -> Result<(), String> {
    if name.is_empty() { Err("Must provide node".to_owned()) } else { Ok(()) }
}

impl NodeOpBody {
    fn op(self, datacenter: &str) -> Result<TxnOp, String> {
        let verb = entry_verb("Node", &self.verb)?;
        let NodeBody { id, node: name, address, tagged_addresses, meta, modify_index } = self.node;
        named(&name)?;
        let datacenter = datacenter.to_owned();
        let node = Node { id, name, address, datacenter, tagged_addresses, meta };
        Ok(TxnOp::Entry { verb, entry: Entry::Node(node), index: modify_index })
    }
}

impl ServiceOpBody {
    fn op(self) -> Result<TxnOp, String> {
        let verb = entry_verb("Service", &self.verb)?;
        named(&self.node)?;
        let (service, index) = (self.service.service(), self.service.modify_index);
        if writes(verb) && service.name.is_empty() {
            return Err("Must provide service name with ID".to_owned());
        }
        Ok(TxnOp::Entry { verb, entry: Entry::Service { node: self.node, service }, index })
    }
}

impl CheckOpBody {
    fn op(self) -> Result<TxnOp, String> {
        let verb = entry_verb("Check", &self.verb)?;
        let body = self.check;
        named(&body.node)?;
        let status = match body.status.as_str() {
            "" => Status::Critical,
            text => text.parse().map_err(|()| "Bad check status".to_owned())?,
        };
        let check = CheckSpec {
            id: if body.id.is_empty() { body.name.clone() } else { body.id },
            name: body.name,
            notes: body.notes,
            service_id: body.service_id,
            status: Some(status),
            output: Some(body.output),
            definition: body.definition.listed_definition(),
        };
        let entry = Entry::Check { node: body.node, check: Box::new(check) };
        Ok(TxnOp::Entry { verb, entry, index: body.modify_index })
    }
}

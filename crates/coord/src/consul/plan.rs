//! Transactions in Consul's words, and what its answers mean. Nothing here sends anything.
//!
//! Consul's transactions are all or nothing and have one branch. So the keys that a transaction
//! looks at are read first, the branch is chosen by what they hold, and the transaction that is
//! sent begins by checking that none of them has changed since; where one has, it begins anew.
//!
//! Format: Consul's HTTP API, KV and Txn endpoints.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use regrow_ids::Revision;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::entry::Entry;
use crate::key::{Key, Prefix};
use crate::lease::LeaseId;
use crate::txn::{Branch, Txn, Write};
use crate::watch::Change;

/// A key as Consul shows it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Pair {
    key: String,
    /// Base64, or nothing for no bytes.
    value: Option<String>,
    session: Option<String>,
    create_index: u64,
    pub modify_index: u64,
}

/// The answer of `/v1/txn`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct TxnAnswer {
    #[serde(default)]
    pub results: Option<Vec<TxnResult>>,
    #[serde(default)]
    pub errors: Option<Vec<TxnError>>,
}

/// What one operation gave.
#[derive(Debug, Deserialize)]
pub struct TxnResult {
    #[serde(rename = "KV")]
    pub kv: Option<Pair>,
}

/// Why one operation failed, and all of them with it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct TxnError {
    #[serde(default)]
    pub op_index: usize,
    #[serde(default)]
    pub what: String,
}

/// A session's name as a lease's.
pub fn lease_of(session: &str) -> Option<LeaseId> {
    Uuid::parse_str(session).ok().map(|id| LeaseId::new(id.as_u128()))
}

/// A lease's name as a session's.
pub fn session_of(lease: LeaseId) -> String {
    Uuid::from_u128(lease.get()).to_string()
}

/// The part of Consul's keys that is ours.
#[derive(Clone, Debug)]
pub struct Names {
    /// What all our keys begin with.
    pub lead: String,
}

impl Names {
    pub fn whole(&self, key: &Key) -> String {
        format!("{}{key}", self.lead)
    }

    pub fn whole_prefix(&self, prefix: &Prefix) -> String {
        format!("{}{prefix}", self.lead)
    }

    /// The path of a key below a server: each byte that could be taken for something else is
    /// written as its number.
    pub fn path(whole: &str) -> String {
        let mut path = String::from("/v1/kv/");
        for byte in whole.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
                path.push(char::from(byte));
            } else {
                path.push_str(&format!("%{byte:02X}"));
            }
        }
        path
    }

    /// The entry of a pair; `None` for a key that is not ours.
    ///
    /// # Errors
    /// The value is not base64.
    pub fn entry(&self, pair: &Pair) -> Result<Option<Entry>, String> {
        let own = pair.key.strip_prefix(&self.lead).and_then(|own| Key::new(own).ok());
        let Some(key) = own else { return Ok(None) };
        let value = STANDARD
            .decode(pair.value.as_deref().unwrap_or_default())
            .map_err(|error| format!("the value of {key} is not base64: {error}"))?;
        Ok(Some(Entry {
            key,
            value: value.into(),
            created: Revision::new(pair.create_index),
            modified: Revision::new(pair.modify_index),
            lease: pair.session.as_deref().and_then(lease_of),
        }))
    }
}

/// The keys that must be read before a transaction can be sent.
pub fn looked_at(txn: &Txn) -> Vec<Key> {
    let mut keys: Vec<_> = txn.compares.iter().map(|compare| compare.key().clone()).collect();
    for branch in [&txn.then, &txn.otherwise] {
        keys.extend(branch.reads.iter().cloned());
        for write in &branch.writes {
            if let Write::Put { key, .. } = write {
                keys.push(key.clone());
            }
        }
    }
    keys.sort();
    keys.dedup();
    keys
}

/// What was read of the keys that a transaction looks at.
pub type Seen = BTreeMap<Key, Option<Entry>>;

/// What is sent.
#[derive(Debug)]
pub struct Plan {
    /// The compares hold.
    pub succeeded: bool,
    /// The entries that the branch reads.
    pub found: Vec<Option<Entry>>,
    /// The body of `/v1/txn`.
    pub operations: Vec<Value>,
    /// How many operations at the beginning only check that nothing changed.
    pub checks: usize,
    /// The lease that each operation takes, where one does.
    pub leases: BTreeMap<usize, LeaseId>,
}

fn operation(verb: &str, key: &str) -> Value {
    json!({"KV": {"Verb": verb, "Key": key}})
}

fn with(mut operation: Value, fields: &[(&str, Value)]) -> Value {
    if let Some(kv) = operation.get_mut("KV").and_then(Value::as_object_mut) {
        for (name, value) in fields {
            kv.insert((*name).to_owned(), value.clone());
        }
    }
    operation
}

/// Chooses the branch by what was read, and says what to send. `mark` differs from write to write:
/// Consul takes a write of what is there already for none, and it must count as one.
pub fn plan(names: &Names, txn: &Txn, seen: &Seen, mark: u64) -> Plan {
    let entry = |key: &Key| seen.get(key).and_then(Option::as_ref);
    let succeeded = txn.compares.iter().all(|compare| compare.holds(entry(compare.key())));
    let branch = if succeeded { &txn.then } else { &txn.otherwise };
    let mut operations: Vec<_> =
        pinned(txn, branch).into_iter().map(|key| check(names, &key, entry(&key))).collect();
    let checks = operations.len();
    let mut leases = BTreeMap::new();
    for write in &branch.writes {
        let old = match write {
            Write::Put { key, .. } => entry(key).and_then(|entry| entry.lease),
            Write::Delete(_) | Write::DeletePrefix(_) => None,
        };
        for (operation, lease) in steps(names, write, old, mark) {
            leases.extend(lease.map(|lease| (operations.len(), lease)));
            operations.push(operation);
        }
    }
    let found = branch.reads.iter().map(|key| entry(key).cloned()).collect();
    Plan { succeeded, found, operations, checks, leases }
}

/// The keys that must not have changed for the branch to be right.
fn pinned(txn: &Txn, branch: &Branch) -> Vec<Key> {
    let only =
        Txn { compares: txn.compares.clone(), then: branch.clone(), otherwise: Branch::default() };
    looked_at(&only)
}

fn check(names: &Names, key: &Key, entry: Option<&Entry>) -> Value {
    let whole = names.whole(key);
    match entry {
        Some(entry) => {
            let index = [("Index", json!(entry.modified.get()))];
            with(operation("check-index", &whole), &index)
        }
        None => operation("check-not-exists", &whole),
    }
}

/// The operations of one write, each with the lease that it takes.
fn steps(
    names: &Names,
    write: &Write,
    old: Option<LeaseId>,
    mark: u64,
) -> Vec<(Value, Option<LeaseId>)> {
    let (key, value, lease) = match write {
        Write::Delete(key) => return vec![(operation("delete", &names.whole(key)), None)],
        Write::DeletePrefix(prefix) => {
            return vec![(operation("delete-tree", &names.whole_prefix(prefix)), None)];
        }
        Write::Put { key, value, lease } => (names.whole(key), value, lease),
    };
    let put = |verb: &str, session: Option<LeaseId>| {
        let mut fields = vec![("Value", json!(STANDARD.encode(value))), ("Flags", json!(mark))];
        fields.extend(session.map(|lease| ("Session", json!(session_of(lease)))));
        with(operation(verb, &key), &fields)
    };
    let mut steps = Vec::new();
    if let Some(old) = old.filter(|old| Some(*old) != *lease) {
        // Without the value: the next step writes it, and twice is more than a body may hold.
        let session = [("Session", json!(session_of(old)))];
        steps.push((with(operation("unlock", &key), &session), None));
    }
    match lease {
        Some(lease) => steps.push((put("lock", Some(*lease)), Some(*lease))),
        None => steps.push((put("set", None), None)),
    }
    steps
}

/// What became of a transaction that was sent.
#[derive(Debug, PartialEq, Eq)]
pub enum Fate {
    /// It was executed; the revision of its writes, unless all of them were deletions.
    Done(Option<Revision>),
    /// A key changed since it was read. Nothing was executed.
    Changed,
    /// There is no such session. Nothing was executed.
    NoLease(LeaseId),
    /// It was refused. Nothing was executed.
    Refused(String),
}

/// Reads the answer to a plan.
pub fn fate(plan: &Plan, answer: TxnAnswer) -> Fate {
    let errors = answer.errors.unwrap_or_default();
    if let Some(error) = errors.iter().find(|error| error.op_index >= plan.checks) {
        return match plan.leases.get(&error.op_index) {
            Some(lease) if error.what.contains("invalid session") => Fate::NoLease(*lease),
            _ => Fate::Refused(error.what.clone()),
        };
    }
    if !errors.is_empty() {
        return Fate::Changed;
    }
    let written = answer.results.unwrap_or_default().into_iter().filter_map(|result| result.kv);
    // Checks answer with what they checked; what was written is newer than all of it.
    let newest = written.map(|pair| pair.modify_index).max();
    let writes = plan.operations.len() > plan.checks;
    Fate::Done(newest.filter(|_| writes).map(Revision::new))
}

/// The difference between two states of a span, as changes.
pub fn differences(known: &BTreeMap<Key, Revision>, entries: &[Entry]) -> Vec<Change> {
    let mut changes: Vec<_> = entries
        .iter()
        .filter(|entry| known.get(&entry.key) != Some(&entry.modified))
        .map(|entry| Change::Put(entry.clone()))
        .collect();
    let there: BTreeSet<_> = entries.iter().map(|entry| &entry.key).collect();
    let gone = known.keys().filter(|key| !there.contains(key));
    changes.extend(gone.map(|key| Change::Delete(key.clone())));
    changes
}

/// Pairs as Consul sends them.
///
/// # Errors
/// They are no pairs.
pub fn pairs(names: &Names, body: &Bytes) -> Result<Vec<Entry>, String> {
    if body.is_empty() {
        return Ok(Vec::new());
    }
    let pairs: Vec<Pair> = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let mut entries = Vec::new();
    for pair in pairs {
        entries.extend(names.entry(&pair)?);
    }
    entries.sort_by(|a: &Entry, b| a.key.cmp(&b.key));
    Ok(entries)
}

#[cfg(test)]
mod tests;

//! Requests and answers of etcd's JSON gateway.
//!
//! Format: etcd 3.4, `rpc.proto` through grpc-gateway: bytes are base64, 64-bit numbers are decimal
//! strings, fields with their default are left out.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use regrow_consensus::{Consistency, Span as ByteSpan};
use regrow_ids::Revision;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use crate::entry::{Entry, Query};
use crate::key::{Key, Span, byte_range};
use crate::lease::LeaseId;
use crate::txn::{Branch, Compare, Txn, Write};

fn base64(bytes: impl AsRef<[u8]>) -> String {
    STANDARD.encode(bytes)
}

/// The part of etcd's keys that is ours.
#[derive(Clone, Debug)]
pub struct Names {
    /// What all our keys begin with.
    pub lead: String,
}

impl Names {
    fn whole(&self, key: &Key) -> String {
        base64(format!("{}{key}", self.lead))
    }

    fn range(&self, span: &Span, after: Option<&Key>) -> (String, String) {
        let ByteSpan { from, to } = byte_range(self.lead.as_bytes(), span, after);
        // A zero byte is etcd's first key, and its word for no end.
        let from = if from.is_empty() { vec![0] } else { from };
        (base64(from), base64(to.unwrap_or_else(|| vec![0])))
    }

    /// Our key in etcd's; `None` for what somebody else put there.
    fn own(&self, whole: &[u8]) -> Option<Key> {
        let own = whole.strip_prefix(self.lead.as_bytes())?;
        Key::new(std::str::from_utf8(own).ok()?).ok()
    }

    /// The body of `/v3/kv/range`.
    pub fn query(&self, query: &Query) -> Value {
        let (key, range_end) = self.range(&query.span, query.after.as_ref());
        json!({
            "key": key,
            "range_end": range_end,
            "limit": i64::try_from(query.limit).unwrap_or(0).to_string(),
            "serializable": query.consistency == Consistency::Stale,
        })
    }

    /// The body of `/v3/watch`. Begins one revision early, so that a revision that etcd compacted
    /// and lost the deletions of is reported as compacted.
    pub fn watch(&self, span: &Span, from: Revision) -> Value {
        let (key, range_end) = self.range(span, None);
        let start = from.get().saturating_sub(1).max(1).to_string();
        json!({"create_request": {
            "key": key, "range_end": range_end, "start_revision": start, "fragment": true,
        }})
    }

    /// How many operations the longer branch of a transaction has for etcd, compares included.
    pub fn operations(txn: &Txn) -> usize {
        let twice = |compare: &&Compare| matches!(compare, Compare::Lease(_, None));
        let compares = txn.compares.len() + txn.compares.iter().filter(twice).count();
        let branch = |branch: &Branch| branch.reads.len() + branch.writes.len();
        compares + branch(&txn.then).max(branch(&txn.otherwise))
    }

    /// The body of `/v3/kv/txn`.
    pub fn txn(&self, txn: &Txn) -> Value {
        let compares: Vec<_> =
            txn.compares.iter().flat_map(|compare| self.compare(compare)).collect();
        json!({
            "compare": compares,
            "success": self.branch(&txn.then),
            "failure": self.branch(&txn.otherwise),
        })
    }

    fn compare(&self, compare: &Compare) -> Vec<Value> {
        let key = self.whole(compare.key());
        let present = || json!({"key": key, "target": "CREATE", "result": "GREATER"});
        let equal = |target: &str, field: &str, value: String| json!({"key": key, "target": target, "result": "EQUAL", field: value});
        match compare {
            Compare::Absent(_) => vec![equal("CREATE", "create_revision", "0".into())],
            Compare::Present(_) => vec![present()],
            Compare::Created(_, revision) => {
                vec![equal("CREATE", "create_revision", revision.to_string())]
            }
            Compare::Modified(_, revision) => {
                vec![equal("MOD", "mod_revision", revision.to_string())]
            }
            // etcd takes no absent key for one with an empty value, but for one without a lease.
            Compare::Value(_, value) => vec![equal("VALUE", "value", base64(value))],
            Compare::Lease(_, None) => vec![present(), equal("LEASE", "lease", "0".into())],
            Compare::Lease(_, Some(lease)) => {
                vec![equal("LEASE", "lease", lease.get().to_string())]
            }
        }
    }

    fn branch(&self, branch: &Branch) -> Vec<Value> {
        let read = |key| json!({"request_range": {"key": self.whole(key)}});
        let reads = branch.reads.iter().map(read);
        reads.chain(branch.writes.iter().map(|write| self.write(write))).collect()
    }

    fn write(&self, write: &Write) -> Value {
        match write {
            Write::Put { key, value, lease } => json!({"request_put": {
                "key": self.whole(key),
                "value": base64(value),
                "lease": lease.map_or(0, LeaseId::get).to_string(),
            }}),
            Write::Delete(key) => json!({"request_delete_range": {"key": self.whole(key)}}),
            Write::DeletePrefix(_) => {
                let (key, range_end) = self.range(&write.span(), None);
                json!({"request_delete_range": {"key": key, "range_end": range_end}})
            }
        }
    }

    /// The entry of a key; `None` for a key that is not ours.
    pub fn entry(&self, pair: Pair) -> Option<Entry> {
        let lease = (pair.lease != 0).then(|| LeaseId::new(u128::from(pair.lease)));
        Some(Entry {
            key: self.own(&pair.key)?,
            value: pair.value.into(),
            created: Revision::new(pair.create_revision),
            modified: Revision::new(pair.mod_revision),
            lease,
        })
    }

    /// The key of a pair that was deleted.
    pub fn key(&self, pair: &Pair) -> Option<Key> {
        self.own(&pair.key)
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Number {
    Text(String),
    Plain(u64),
}

/// A 64-bit number, which the gateway writes as text.
fn number<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    match Number::deserialize(from)? {
        Number::Text(text) => text.parse().map_err(serde::de::Error::custom),
        Number::Plain(number) => Ok(number),
    }
}

fn bytes<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
    STANDARD.decode(String::deserialize(from)?).map_err(serde::de::Error::custom)
}

/// What every answer begins with.
#[derive(Debug, Default, Deserialize)]
pub struct Header {
    /// The newest revision.
    #[serde(default, deserialize_with = "number")]
    pub revision: u64,
}

/// A key and its value.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Pair {
    #[serde(default, deserialize_with = "bytes")]
    key: Vec<u8>,
    #[serde(default, deserialize_with = "bytes")]
    value: Vec<u8>,
    #[serde(default, deserialize_with = "number")]
    create_revision: u64,
    #[serde(default, deserialize_with = "number")]
    pub mod_revision: u64,
    #[serde(default, deserialize_with = "number")]
    lease: u64,
}

/// The answer of `/v3/kv/range`, and of a read in a transaction.
#[derive(Debug, Default, Deserialize)]
pub struct RangeAnswer {
    #[serde(default)]
    pub header: Header,
    #[serde(default)]
    pub kvs: Vec<Pair>,
    #[serde(default)]
    pub more: bool,
}

/// The answer of `/v3/kv/txn`.
#[derive(Debug, Deserialize)]
pub struct TxnAnswer {
    pub header: Header,
    #[serde(default)]
    pub succeeded: bool,
    #[serde(default)]
    pub responses: Vec<OneAnswer>,
}

/// The answer of one operation of a transaction.
#[derive(Debug, Deserialize)]
pub struct OneAnswer {
    pub response_range: Option<RangeAnswer>,
}

/// The answer of `/v3/lease/grant`, and what is inside that of `/v3/lease/keepalive`.
#[derive(Debug, Deserialize)]
pub struct LeaseAnswer {
    #[serde(default, rename = "ID", deserialize_with = "number")]
    pub id: u64,
    /// Seconds; none when the lease is gone.
    #[serde(default, rename = "TTL", deserialize_with = "number")]
    pub ttl: u64,
}

/// One message of a stream.
#[derive(Debug, Deserialize)]
pub struct Streamed<T> {
    pub result: Option<T>,
    pub error: Option<StreamFault>,
}

/// Why a stream ends.
#[derive(Debug, Deserialize)]
pub struct StreamFault {
    #[serde(default)]
    pub message: String,
}

/// One message of a watch.
#[derive(Debug, Deserialize)]
pub struct WatchAnswer {
    #[serde(default)]
    pub created: bool,
    #[serde(default)]
    pub canceled: bool,
    #[serde(default, deserialize_with = "number")]
    pub compact_revision: u64,
    #[serde(default)]
    pub cancel_reason: String,
    /// More of the same message follows.
    #[serde(default)]
    pub fragment: bool,
    #[serde(default)]
    pub events: Vec<Event>,
}

/// One change.
#[derive(Debug, Deserialize)]
pub struct Event {
    #[serde(default, rename = "type")]
    pub kind: EventKind,
    pub kv: Pair,
}

/// What happened to a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum EventKind {
    #[default]
    Put,
    Delete,
}

/// Why a request was not done.
#[derive(Debug, Default, Deserialize)]
pub struct Fault {
    /// A gRPC status.
    #[serde(default)]
    pub code: i64,
    #[serde(default)]
    pub message: String,
}

/// The entry that a read in a transaction found.
pub fn found(names: &Names, answer: OneAnswer) -> Option<Entry> {
    names.entry(answer.response_range?.kvs.pop()?)
}

/// Bytes of a value as they come from JSON.
pub fn parse<T: serde::de::DeserializeOwned>(body: &Bytes) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|error| format!("its answer cannot be read: {error}"))
}

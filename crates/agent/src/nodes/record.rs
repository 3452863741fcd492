//! Records of the cluster and its nodes, and where they lie in the tables.

use std::ops::ControlFlow;

use regrow_codec::versioned::{self, VersionedError};
use regrow_consensus::{Edit, Span, TableError, Time, View};
use regrow_pki::{ClusterId, NodeNumber, Role, TokenId, TokenRecord};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Version of every record here.
pub(crate) const VERSION: u8 = 1;
const CLUSTER: &[u8] = b"cluster";
const NEXT: &[u8] = b"next";
const NODE: &[u8] = b"node/";
const TOKEN: &[u8] = b"token/";
const JOINED: &[u8] = b"joined/";
const REPLACED: &[u8] = b"replaced/";

/// What the cluster knows of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterRecord {
    /// Its id.
    pub id: ClusterId,
    /// When it was founded, milliseconds since 1970 by the founder's clock.
    pub founded_ms: u64,
    /// The authority's record, sealed for servers.
    pub authority: Vec<u8>,
    /// Grows with each change of the authority.
    pub edition: u64,
}

/// What the cluster knows of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRecord {
    /// Its number, given once.
    pub number: NodeNumber,
    /// Its name, no other living node's.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Where it answers, `HOST:PORT`.
    pub address: String,
    /// The leader hears it.
    pub alive: bool,
    /// Since when it is so.
    pub since: Time,
    /// Nothing new is put on it, and its vote goes to another.
    pub draining: bool,
    /// It was removed for ever.
    pub removed: bool,
    /// Edition of the authority whose roots it trusts.
    pub trusts: u64,
}

/// Who joined with a key, kept as long as the token with which it did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct JoinedRecord {
    /// The token that it showed.
    pub(crate) token: TokenId,
    /// The number that it was given.
    pub(crate) number: NodeNumber,
    /// The name that it asked for.
    pub(crate) name: String,
}

/// Which number stands in for a node's that lost what it had acknowledged, kept until the other one is
/// heard of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReplacedRecord {
    /// The other number.
    pub(crate) by: NodeNumber,
    /// SHA-256 of the public key for which it was given.
    pub(crate) key: [u8; 32],
}

fn damaged(what: &'static str) -> impl FnOnce(VersionedError) -> TableError {
    move |error| TableError::Damaged { what, reason: error.to_string() }
}

pub(crate) fn encode<T: Serialize>(what: &'static str, value: &T) -> Result<Vec<u8>, TableError> {
    versioned::encode(VERSION, value).map_err(damaged(what))
}

pub(crate) fn decode<T: DeserializeOwned>(
    what: &'static str,
    bytes: &[u8],
) -> Result<T, TableError> {
    versioned::decode(VERSION, bytes).map_err(damaged(what))
}

fn get<T: DeserializeOwned>(
    view: &dyn View,
    what: &'static str,
    key: &[u8],
) -> Result<Option<T>, TableError> {
    view.get(key)?.map(|bytes| decode(what, &bytes)).transpose()
}

fn node_key(number: NodeNumber) -> Vec<u8> {
    [NODE, &number.get().to_be_bytes()].concat()
}

fn token_key(id: TokenId) -> Vec<u8> {
    [TOKEN, &id.get().to_be_bytes()].concat()
}

pub(crate) fn cluster(view: &dyn View) -> Result<Option<ClusterRecord>, TableError> {
    get(view, "cluster", CLUSTER)
}

pub(crate) fn node(view: &dyn View, number: NodeNumber) -> Result<Option<NodeRecord>, TableError> {
    get(view, "node", &node_key(number))
}

pub(crate) fn token(view: &dyn View, id: TokenId) -> Result<Option<TokenRecord>, TableError> {
    get(view, "token", &token_key(id))
}

fn joined_key(key: &[u8; 32]) -> Vec<u8> {
    [JOINED, key.as_slice()].concat()
}

/// Who joined with the key of this hash.
pub(crate) fn joined(view: &dyn View, key: &[u8; 32]) -> Result<Option<JoinedRecord>, TableError> {
    get(view, "joined", &joined_key(key))
}

fn replaced_key(number: NodeNumber) -> Vec<u8> {
    [REPLACED, &number.get().to_be_bytes()].concat()
}

/// What stands in for a node.
pub(crate) fn replaced(
    view: &dyn View,
    number: NodeNumber,
) -> Result<Option<ReplacedRecord>, TableError> {
    get(view, "replaced", &replaced_key(number))
}

/// The nodes for which `by` stands in.
pub(crate) fn replaced_by(view: &dyn View, by: NodeNumber) -> Result<Vec<NodeNumber>, TableError> {
    let mut found = Ok(Vec::new());
    view.scan(&Span::prefix(REPLACED), &mut |key, bytes| {
        let number = key.strip_prefix(REPLACED).and_then(|number| number.try_into().ok());
        match (decode::<ReplacedRecord>("replaced", bytes), &mut found) {
            (Ok(record), Ok(found)) if record.by == by => {
                found.extend(number.map(|number| NodeNumber::new(u64::from_be_bytes(number))));
            }
            (Ok(_), _) => {}
            (Err(error), _) => found = Err(error),
        }
        if found.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    found
}

pub(crate) fn put_replaced(
    edit: &mut dyn Edit,
    number: NodeNumber,
    record: &ReplacedRecord,
) -> Result<(), TableError> {
    edit.put(&replaced_key(number), &encode("replaced", record)?)
}

pub(crate) fn delete_replaced(edit: &mut dyn Edit, number: NodeNumber) -> Result<(), TableError> {
    edit.delete(&replaced_key(number)).map(drop)
}

pub(crate) fn nodes(view: &dyn View) -> Result<Vec<NodeRecord>, TableError> {
    collect(view, "node", NODE)
}

pub(crate) fn tokens(view: &dyn View) -> Result<Vec<TokenRecord>, TableError> {
    collect(view, "token", TOKEN)
}

fn collect<T: DeserializeOwned>(
    view: &dyn View,
    what: &'static str,
    prefix: &[u8],
) -> Result<Vec<T>, TableError> {
    let mut found = Ok(Vec::new());
    view.scan(&Span::prefix(prefix), &mut |_, bytes| {
        match (decode(what, bytes), &mut found) {
            (Ok(value), Ok(values)) => values.push(value),
            (Err(error), _) => found = Err(error),
            (Ok(_), Err(_)) => {}
        }
        if found.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    found
}

pub(crate) fn put_cluster(edit: &mut dyn Edit, record: &ClusterRecord) -> Result<(), TableError> {
    edit.put(CLUSTER, &encode("cluster", record)?)
}

pub(crate) fn put_node(edit: &mut dyn Edit, record: &NodeRecord) -> Result<(), TableError> {
    edit.put(&node_key(record.number), &encode("node", record)?)
}

pub(crate) fn put_token(edit: &mut dyn Edit, record: &TokenRecord) -> Result<(), TableError> {
    edit.put(&token_key(record.id), &encode("token", record)?)
}

pub(crate) fn put_joined(
    edit: &mut dyn Edit,
    key: &[u8; 32],
    record: &JoinedRecord,
) -> Result<(), TableError> {
    edit.put(&joined_key(key), &encode("joined", record)?)
}

/// Deletes a token and who joined with it; false when there is none.
pub(crate) fn delete_token(edit: &mut dyn Edit, id: TokenId) -> Result<bool, TableError> {
    let mut keys = Vec::new();
    let mut read = Ok(());
    edit.scan(&Span::prefix(JOINED), &mut |key, bytes| {
        match decode::<JoinedRecord>("joined", bytes) {
            Ok(joined) if joined.token == id => keys.push(key.to_vec()),
            Ok(_) => {}
            Err(error) => read = Err(error),
        }
        if read.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    read?;
    for key in keys {
        edit.delete(&key)?;
    }
    edit.delete(&token_key(id))
}

/// The number that is given out next.
pub(crate) fn next_number(view: &dyn View) -> Result<NodeNumber, TableError> {
    let Some(bytes) = view.get(NEXT)? else { return Ok(NodeNumber::new(1)) };
    let eight = <[u8; 8]>::try_from(bytes.as_slice());
    let next =
        eight.map_err(|_| no_number(format!("{} bytes where 8 are expected", bytes.len())))?;
    Ok(NodeNumber::new(u64::from_be_bytes(next)))
}

/// Without the next number nobody can be let in: one of before would be a removed node's.
fn no_number(reason: String) -> TableError {
    TableError::Damaged { what: "the next node number", reason }
}

/// Gives out the next number.
pub(crate) fn take_number(edit: &mut dyn Edit) -> Result<NodeNumber, TableError> {
    let number = next_number(&*edit)?;
    let next = number.get().checked_add(1).ok_or_else(|| no_number("it is the last".to_owned()))?;
    edit.put(NEXT, &next.to_be_bytes())?;
    Ok(number)
}

/// The node of a changed key, if it is one.
pub(crate) fn changed_node(key: &[u8], value: Option<&[u8]>) -> Option<NodeRecord> {
    key.strip_prefix(NODE)?;
    decode("node", value?).ok()
}

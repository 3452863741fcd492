//! What the machine keeps and what it is told: versioned postcard records.
//!
//! Each record is one version byte and its postcard form. A new form gets a new version; programs
//! read the old ones for as long as there may be any.

use std::time::Duration;

use bytes::Bytes;
use regrow_consensus::{TableError, Time};
use regrow_ids::Revision;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::entry::Entry;
use crate::key::Key;
use crate::lease::{Lease, LeaseId};
use crate::txn::{Txn, TxnReply};

/// Version of every record that this program writes.
const VERSION: u8 = 1;

/// What the machine can be told to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Executes a transaction that was checked.
    Transact(Txn),
    /// Makes a lease of this many milliseconds.
    Grant(u64),
    /// Begins a lease's time anew.
    KeepAlive(LeaseId),
    /// Ends a lease.
    Revoke(LeaseId),
    /// Ends the leases whose time has come.
    Expire,
}

/// What the machine answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// A transaction was executed.
    Transacted(TxnReply),
    /// The lease lasts so long from now on.
    Leased(Lease),
    /// Done.
    Done,
    /// Nothing was done: there is no such lease.
    NoLease(LeaseId),
    /// Nothing was done: the command cannot be read or breaks a rule.
    Malformed(String),
}

/// A key's record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// The value.
    pub value: Bytes,
    /// Revision that made it.
    pub created: Revision,
    /// Revision that wrote it last.
    pub modified: Revision,
    /// Its lease.
    pub lease: Option<LeaseId>,
}

impl Stored {
    /// The entry of a key.
    pub fn entry(self, key: Key) -> Entry {
        let Self { value, created, modified, lease } = self;
        Entry { key, value, created, modified, lease }
    }
}

/// A lease's record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// How long it lasts without renewal, in milliseconds.
    pub ttl_millis: u64,
    /// When it ends.
    pub until: Time,
}

impl Held {
    /// The lease as its holder sees it.
    pub const fn lease(&self, id: LeaseId) -> Lease {
        Lease { id, ttl: Duration::from_millis(self.ttl_millis) }
    }
}

/// Why bytes are no record of this program.
#[derive(Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// Another version wrote it.
    Version(Option<u8>),
    /// It does not fit its version.
    Form(String),
}

impl Unreadable {
    /// The error that stops a replica.
    pub fn damaged(self, what: &'static str) -> TableError {
        let reason = match self {
            Self::Version(version) => format!("version {version:?} where {VERSION} is known"),
            Self::Form(reason) => reason,
        };
        TableError::Damaged { what, reason }
    }
}

/// The bytes of a record.
///
/// # Errors
/// It cannot be encoded, which no record of this module is.
pub fn encode<T: Serialize>(what: &'static str, record: &T) -> Result<Vec<u8>, TableError> {
    postcard::to_extend(record, vec![VERSION])
        .map_err(|error| TableError::Damaged { what, reason: error.to_string() })
}

/// The record in some bytes.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Unreadable> {
    match bytes.split_first() {
        Some((&VERSION, form)) => {
            postcard::from_bytes(form).map_err(|error| Unreadable::Form(error.to_string()))
        }
        first => Err(Unreadable::Version(first.map(|(version, _)| *version))),
    }
}

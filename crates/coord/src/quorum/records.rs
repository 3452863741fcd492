//! What the machine keeps and what it is told: versioned postcard records.
//!
//! Each record is one version byte and its postcard form. A new form gets a new version; programs
//! read the old ones for as long as there may be any.

use std::time::Duration;

use bytes::Bytes;
use regrow_codec::versioned::{self, VersionedError};
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

/// The error of bytes that are no record, which stops a replica.
pub fn damaged(what: &'static str) -> impl FnOnce(VersionedError) -> TableError {
    move |error| TableError::Damaged { what, reason: error.to_string() }
}

/// The bytes of a record.
///
/// # Errors
/// It cannot be encoded, which no record of this module is.
pub fn encode<T: Serialize>(what: &'static str, record: &T) -> Result<Vec<u8>, TableError> {
    versioned::encode(VERSION, record).map_err(damaged(what))
}

/// The record in some bytes.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, VersionedError> {
    versioned::decode(VERSION, bytes)
}

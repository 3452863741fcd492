//! Where everything lies in the machine's tables, and how rows become bytes.
//!
//! The first byte of a key names the table. A row is one byte for its version, then `postcard`.
//! Names inside a key end with a zero byte, which no name may hold, so that order is the order of
//! the names. Numbers are big-endian.
//!
//! ```text
//! a hash           token
//! c node 0 check   check                       C node 0 service 0 check   that check's service
//! D due            when it falls due            d time due                 queue of what falls due
//! e index          event
//! g time key       queue of tombstones          t key                      tombstone
//! h session key    the session holds the key
//! i name           index (see `Topic`)
//! k key            key
//! n node           node
//! r node 0 id      service that was removed because it was critical for too long
//! s node 0 id      service                      N name 0 node 0 id         that service by name
//! S session        session                      T node 0 session           that session by node
//! ```

use std::ops::ControlFlow;

use regrow_codec::versioned;
use regrow_consensus::{Edit, Span, TableError, Time, View};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::model::SessionId;

/// First version of all rows.
const FIRST: u8 = 1;
/// Version of what came later: a token with rules for exact names. All else is still written as the
/// first, which this one has all of.
pub(crate) const LATEST: u8 = 2;

pub(crate) const TOKEN: u8 = b'a';
pub(crate) const CHECK: u8 = b'c';
pub(crate) const CHECK_OF_SERVICE: u8 = b'C';
pub(crate) const DUE_AT: u8 = b'D';
pub(crate) const DUE_QUEUE: u8 = b'd';
pub(crate) const EVENT: u8 = b'e';
pub(crate) const GRAVE_QUEUE: u8 = b'g';
pub(crate) const TOMBSTONE: u8 = b't';
pub(crate) const HELD: u8 = b'h';
pub(crate) const INDEX: u8 = b'i';
pub(crate) const KEY: u8 = b'k';
pub(crate) const NODE: u8 = b'n';
pub(crate) const REAPED: u8 = b'r';
pub(crate) const SERVICE: u8 = b's';
pub(crate) const SERVICE_BY_NAME: u8 = b'N';
pub(crate) const SESSION: u8 = b'S';
pub(crate) const SESSION_OF_NODE: u8 = b'T';

/// What remains of a deleted key, so that the index of what was around it does not go back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tombstone {
    /// Index of the command that deleted it.
    pub index: u64,
    /// When the tombstone itself goes away.
    pub until: Time,
}

/// Something that falls due at a time of the cluster's clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Due {
    /// A session ends.
    Session(SessionId),
    /// A TTL check becomes critical.
    Ttl { node: String, check: String },
    /// The service of a critical check goes away.
    Reap { node: String, check: String },
    /// A key can be locked again.
    LockDelay { key: String },
}

impl Due {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        postcard::to_stdvec(self).unwrap_or_default()
    }
}

/// A key of table `table`: the parts one behind the other.
pub(crate) fn key(table: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length = parts.iter().map(|part| part.len()).sum::<usize>();
    let mut key = Vec::with_capacity(length + 1);
    key.push(table);
    for part in parts {
        key.extend_from_slice(part);
    }
    key
}

/// A key of names: all but the last end with a zero byte.
pub(crate) fn named(table: u8, names: &[&str]) -> Vec<u8> {
    let mut key = vec![table];
    for (at, name) in names.iter().enumerate() {
        if at > 0 {
            key.push(0);
        }
        key.extend_from_slice(name.as_bytes());
    }
    key
}

/// What all keys begin with whose first names are these.
pub(crate) fn under(table: u8, names: &[&str]) -> Vec<u8> {
    let mut key = named(table, names);
    key.push(0);
    key
}

fn damaged(what: &'static str, reason: &dyn ToString) -> TableError {
    TableError::Damaged { what, reason: reason.to_string() }
}

/// The bytes of a row.
pub(crate) fn pack<T: Serialize>(row: &T) -> Vec<u8> {
    pack_as(FIRST, row)
}

/// The bytes of a row in the version that has its form.
pub(crate) fn pack_as<T: Serialize>(version: u8, row: &T) -> Vec<u8> {
    // Types of rows have no maps without length and no foreign types: each has a form.
    versioned::encode(version, row).unwrap_or_default()
}

/// The row of some bytes, which may borrow from them.
pub(crate) fn unpack<'r, T: Deserialize<'r>>(bytes: &'r [u8]) -> Result<T, TableError> {
    let version = if bytes.first() == Some(&FIRST) { FIRST } else { LATEST };
    versioned::decode(version, bytes).map_err(|error| damaged("a row of the catalog", &error))
}

/// The row at a key.
pub(crate) fn get<T: DeserializeOwned>(
    view: &dyn View,
    key: &[u8],
) -> Result<Option<T>, TableError> {
    view.get(key)?.map(|bytes| unpack(&bytes)).transpose()
}

/// Sets the row at a key.
pub(crate) fn put<T: Serialize>(
    edit: &mut dyn Edit,
    key: &[u8],
    row: &T,
) -> Result<(), TableError> {
    edit.put(key, &pack(row))
}

/// The rows whose keys begin with `prefix`, in order.
pub(crate) fn list<T: DeserializeOwned>(
    view: &dyn View,
    prefix: &[u8],
) -> Result<Vec<T>, TableError> {
    let mut rows = Vec::new();
    each(view, prefix, |bytes| {
        rows.push(unpack(bytes)?);
        Ok(())
    })?;
    Ok(rows)
}

/// Takes the bytes of each row whose key begins with `prefix`, in order, until one is refused.
pub(crate) fn each(
    view: &dyn View,
    prefix: &[u8],
    mut take: impl FnMut(&[u8]) -> Result<(), TableError>,
) -> Result<(), TableError> {
    let mut taken = Ok(());
    view.scan(&Span::prefix(prefix), &mut |_, bytes| {
        taken = take(bytes);
        if taken.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    taken
}

/// What stands behind `prefix` in the keys that begin with it, in order.
pub(crate) fn rests(view: &dyn View, prefix: &[u8]) -> Result<Vec<Vec<u8>>, TableError> {
    let mut rests = Vec::new();
    view.scan(&Span::prefix(prefix), &mut |key, _| {
        rests.push(key.get(prefix.len()..).unwrap_or_default().to_vec());
        ControlFlow::Continue(())
    })?;
    Ok(rests)
}

/// True when there is a key that begins with `prefix`.
pub(crate) fn any(view: &dyn View, prefix: &[u8]) -> Result<bool, TableError> {
    Ok(view.first(&Span::prefix(prefix))?.is_some())
}

/// A time as part of a key.
pub(crate) fn time_bytes(time: Time) -> [u8; 8] {
    time.as_millis().to_be_bytes()
}

/// The time at the start of what stands behind a queue's first byte.
pub(crate) fn time_of(bytes: &[u8]) -> Option<(Time, &[u8])> {
    let (time, rest) = bytes.split_first_chunk::<8>()?;
    Some((Time::from_millis(u64::from_be_bytes(*time)), rest))
}

/// The text of a part of a key.
pub(crate) fn text(bytes: &[u8]) -> Result<String, TableError> {
    String::from_utf8(bytes.to_vec()).map_err(|error| damaged("a key of the catalog", &error))
}

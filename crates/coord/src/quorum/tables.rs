//! Where the machine keeps what: the layout of its tables.
//!
//! | key | value |
//! |---|---|
//! | `r` | the newest revision, 8 bytes big-endian |
//! | `n` | the newest lease id, likewise |
//! | `k` key | [`Stored`] |
//! | `l` lease | [`Held`] |
//! | `t` time, lease | nothing: the leases in the order in which they end |
//! | `a` lease, key | nothing: the keys of a lease |
//!
//! Leases and times are 8 bytes big-endian, so that their order is that of their bytes.

use std::ops::ControlFlow;

use regrow_consensus::{Edit, Span as Bytes, TableError, Time, View};
use regrow_ids::Revision;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::key::{Key, Span, byte_range};
use crate::lease::LeaseId;
use crate::quorum::records::{self, Held, Stored};

/// Key of the newest revision.
pub const REVISION: &[u8] = b"r";
const NEWEST_LEASE: &[u8] = b"n";
const TIMES: &[u8] = b"t";

/// Key of a key's record.
pub fn entry_key(key: &Key) -> Vec<u8> {
    [b"k", key.as_str().as_bytes()].concat()
}

/// The key whose record has this key; `None` where it is something else's.
pub fn key_of(table_key: &[u8]) -> Option<Result<Key, TableError>> {
    let text = table_key.strip_prefix(b"k")?;
    Some(parse_key(text))
}

fn parse_key(text: &[u8]) -> Result<Key, TableError> {
    let text = String::from_utf8_lossy(text).into_owned();
    Key::new(text).map_err(|error| TableError::Damaged { what: "key", reason: error.to_string() })
}

fn lease_bytes(lease: LeaseId) -> [u8; 8] {
    // Leases are numbered from 1 by this machine; a larger number is nobody's.
    u64::try_from(lease.get()).unwrap_or(u64::MAX).to_be_bytes()
}

fn lease_key(lease: LeaseId) -> Vec<u8> {
    [b"l", &lease_bytes(lease)[..]].concat()
}

fn time_key(until: Time, lease: LeaseId) -> Vec<u8> {
    [TIMES, &until.as_millis().to_be_bytes(), &lease_bytes(lease)].concat()
}

fn attached_prefix(lease: LeaseId) -> Vec<u8> {
    [b"a", &lease_bytes(lease)[..]].concat()
}

fn attached_key(lease: LeaseId, key: &Key) -> Vec<u8> {
    [&attached_prefix(lease), key.as_str().as_bytes()].concat()
}

/// The table keys of a span; those behind `after` only.
pub fn bytes_of(span: &Span, after: Option<&Key>) -> Bytes {
    byte_range(b"k", span, after)
}

fn counter(view: &dyn View, key: &[u8]) -> Result<u64, TableError> {
    let Some(bytes) = view.get(key)? else { return Ok(0) };
    counter_of(&bytes)
}

/// The number in the record of a counter.
pub fn counter_of(bytes: &[u8]) -> Result<u64, TableError> {
    let bytes: [u8; 8] = bytes.try_into().map_err(|_| TableError::Damaged {
        what: "counter",
        reason: format!("{} bytes where 8 are expected", bytes.len()),
    })?;
    Ok(u64::from_be_bytes(bytes))
}

fn record<T: DeserializeOwned>(
    view: &dyn View,
    key: &[u8],
    what: &'static str,
) -> Result<Option<T>, TableError> {
    let Some(bytes) = view.get(key)? else { return Ok(None) };
    records::decode(&bytes).map(Some).map_err(records::damaged(what))
}

fn put<T: Serialize>(
    tables: &mut dyn Edit,
    key: &[u8],
    what: &'static str,
    value: &T,
) -> Result<(), TableError> {
    tables.put(key, &records::encode(what, value)?)
}

/// The newest revision.
pub fn revision(view: &dyn View) -> Result<Revision, TableError> {
    counter(view, REVISION).map(Revision::new)
}

/// Says which revision is the newest.
pub fn set_revision(tables: &mut dyn Edit, revision: Revision) -> Result<(), TableError> {
    tables.put(REVISION, &revision.get().to_be_bytes())
}

/// The record of a key.
pub fn stored(view: &dyn View, key: &Key) -> Result<Option<Stored>, TableError> {
    record(view, &entry_key(key), "entry")
}

/// Writes the record of a key.
pub fn set_stored(tables: &mut dyn Edit, key: &Key, stored: &Stored) -> Result<(), TableError> {
    put(tables, &entry_key(key), "entry", stored)
}

/// The keys of a span.
pub fn keys(view: &dyn View, span: &Span) -> Result<Vec<Key>, TableError> {
    collect(view, &bytes_of(span, None), 1, usize::MAX, parse_key)
}

/// Collects what `parse` makes of the table keys of a range, without their first `skip` bytes.
fn collect<T>(
    view: &dyn View,
    span: &Bytes,
    skip: usize,
    limit: usize,
    parse: impl Fn(&[u8]) -> Result<T, TableError>,
) -> Result<Vec<T>, TableError> {
    let mut found = Ok(Vec::new());
    view.scan(span, &mut |key, _| {
        let Ok(some) = &mut found else { return ControlFlow::Break(()) };
        match parse(key.get(skip..).unwrap_or_default()) {
            Ok(one) => some.push(one),
            Err(error) => found = Err(error),
        }
        match &found {
            Ok(some) if some.len() < limit => ControlFlow::Continue(()),
            _ => ControlFlow::Break(()),
        }
    })?;
    found
}

/// The decoded record of a change.
pub fn stored_of(bytes: &[u8]) -> Result<Stored, TableError> {
    records::decode(bytes).map_err(records::damaged("entry"))
}

/// A lease number that was never given before.
pub fn new_lease(tables: &mut dyn Edit) -> Result<LeaseId, TableError> {
    let next = counter(&*tables, NEWEST_LEASE)?.checked_add(1).ok_or_else(|| {
        let reason = "it has reached its end, and a lease is not numbered twice".to_owned();
        TableError::Damaged { what: "counter", reason }
    })?;
    tables.put(NEWEST_LEASE, &next.to_be_bytes())?;
    Ok(LeaseId::new(u128::from(next)))
}

/// The record of a lease.
pub fn held(view: &dyn View, lease: LeaseId) -> Result<Option<Held>, TableError> {
    record(view, &lease_key(lease), "lease")
}

/// Writes the record of a lease, and the time at which it ends.
pub fn set_held(tables: &mut dyn Edit, lease: LeaseId, new: &Held) -> Result<(), TableError> {
    if let Some(old) = held(&*tables, lease)? {
        tables.delete(&time_key(old.until, lease))?;
    }
    tables.put(&time_key(new.until, lease), b"")?;
    put(tables, &lease_key(lease), "lease", new)
}

/// Forgets a lease. Its keys are the caller's business.
pub fn remove_held(tables: &mut dyn Edit, lease: LeaseId) -> Result<bool, TableError> {
    let Some(old) = held(&*tables, lease)? else { return Ok(false) };
    tables.delete(&time_key(old.until, lease))?;
    tables.delete(&lease_key(lease))
}

/// The first leases that end at `now` or before, at most `limit`.
pub fn ended(view: &dyn View, now: Time, limit: usize) -> Result<Vec<LeaseId>, TableError> {
    let behind = now.as_millis().saturating_add(1).to_be_bytes();
    let span = Bytes::between(TIMES, &[TIMES, &behind].concat());
    collect(view, &span, TIMES.len() + 8, limit, |lease| {
        counter_of(lease).map(|raw| LeaseId::new(u128::from(raw)))
    })
}

/// When the first lease ends.
pub fn first_end(view: &dyn View) -> Result<Option<Time>, TableError> {
    let time = |key: &[u8]| counter_of(key.get(..8).unwrap_or_default()).map(Time::from_millis);
    Ok(collect(view, &Bytes::prefix(TIMES), TIMES.len(), 1, time)?.pop())
}

/// The keys of a lease.
pub fn attached(view: &dyn View, lease: LeaseId) -> Result<Vec<Key>, TableError> {
    let prefix = attached_prefix(lease);
    collect(view, &Bytes::prefix(&prefix), prefix.len(), usize::MAX, parse_key)
}

/// Moves a key from one lease to another.
pub fn attach(
    tables: &mut dyn Edit,
    key: &Key,
    old: Option<LeaseId>,
    new: Option<LeaseId>,
) -> Result<(), TableError> {
    if old == new {
        return Ok(());
    }
    if let Some(old) = old {
        tables.delete(&attached_key(old, key))?;
    }
    match new {
        Some(new) => tables.put(&attached_key(new, key), b""),
        None => Ok(()),
    }
}

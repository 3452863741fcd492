//! The state machine of the world: a small store with transactions, sessions that expire, locks with
//! fences, and a ledger of everything that was ever executed.
//!
//! Keys: `k/KEY` holds value and revision; `l/ID` the index at which a request was executed and whether
//! it changed something; `d/ID` marks a request that was executed twice; `s/SESSION` its end, `t/END,
//! SESSION` the same in the order of ends; `o/LOCK` fence and session of the holder; `a/INDEX` an act
//! for the judge of fences. Numbers in keys are big-endian.

use std::sync::Arc;
use std::time::Duration;

use regrow_consensus::{At, Change, Edit, Machine, Span, TableError, Time, View};
use serde::{Deserialize, Serialize};

use super::canary::Canary;
use super::observer::Observer;
use crate::judges::fence::Act;
use crate::models::store::{Compare, Found, StoreOp, StoreReply};

/// What the machine is asked to do, once.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Command {
    /// Names the request; no two have the same.
    pub id: u64,
    /// What.
    pub what: What,
}

/// What is asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum What {
    /// An operation on the store that may change it.
    Store(StoreOp),
    /// Makes a session, or prolongs one.
    Renew {
        /// Its number.
        session: u64,
        /// Its time to live in milliseconds.
        ttl: u64,
        /// Whether it may be made.
        create: bool,
    },
    /// Takes a lock for a session.
    Lock {
        /// The lock.
        lock: u64,
        /// The session.
        session: u64,
    },
    /// Records an intent under a fence.
    Intent {
        /// The lock.
        lock: u64,
        /// The fence.
        fence: u64,
    },
    /// Ends the sessions whose time has come.
    Expire,
}

/// What the machine replies.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Told {
    /// Of the store, and whether something changed.
    Store(StoreReply, bool),
    /// Whether the session is alive.
    Renewed(bool),
    /// A session of this number, which the machine gave, was made.
    Granted(u64),
    /// The fence, where the lock was free and the session alive.
    Locked(Option<u64>),
    /// Whether the fence was the newest.
    Intended(bool),
    /// It is no command, or nobody waits for the answer.
    Nothing,
}

/// The machine on one node.
pub struct SimMachine {
    /// What it tells of changes.
    pub observer: Arc<Observer>,
    /// The bug that it has.
    pub canary: Option<Canary>,
}

fn numbered(prefix: &[u8], parts: &[u64]) -> Vec<u8> {
    let mut key = prefix.to_vec();
    parts.iter().for_each(|part| key.extend_from_slice(&part.to_be_bytes()));
    key
}

fn number(bytes: &[u8], at: usize) -> u64 {
    let part = bytes.get(at * 8..at * 8 + 8).and_then(|part| part.try_into().ok());
    part.map_or(0, u64::from_be_bytes)
}

/// Where a key of the store is kept.
fn store_key(key: &str) -> Vec<u8> {
    [b"k/", key.as_bytes()].concat()
}

/// Where it is kept that a request was executed.
pub fn ledger_key(id: u64) -> Vec<u8> {
    numbered(b"l/", &[id])
}

/// What the ledger says of a request: its index, and whether it changed something.
pub fn ledger(tables: &dyn View, id: u64) -> Result<Option<(u64, bool)>, TableError> {
    let found = tables.get(&ledger_key(id))?;
    Ok(found.map(|bytes| (number(&bytes, 0), number(&bytes, 1) == 1)))
}

/// Requests that were executed more than once.
pub fn doubled(tables: &dyn View) -> Result<Vec<u64>, TableError> {
    let found = tables.list(&Span::prefix(b"d/"), usize::MAX)?;
    Ok(found.iter().map(|(key, _)| number(&key[2..], 0)).collect())
}

/// All requests in the ledger.
pub fn executed(tables: &dyn View) -> Result<Vec<u64>, TableError> {
    let found = tables.list(&Span::prefix(b"l/"), usize::MAX)?;
    Ok(found.iter().map(|(key, _)| number(&key[2..], 0)).collect())
}

/// The acts in the order of the log.
pub fn acts(tables: &dyn View) -> Result<Vec<Act>, TableError> {
    let found = tables.list(&Span::prefix(b"a/"), usize::MAX)?;
    Ok(found.iter().map(|(_, act)| decode_act(act)).collect())
}

/// The session that a changed key ends, if it does.
pub fn ended_session(change: &Change) -> Option<u64> {
    let session = change.key.strip_prefix(b"s/")?;
    change.value.is_none().then(|| number(session, 0))
}

fn encode_act(kind: u64, lock: u64, fence: u64) -> Vec<u8> {
    numbered(b"", &[kind, lock, fence])
}

fn decode_act(bytes: &[u8]) -> Act {
    let (lock, fence) = (format!("lock-{}", number(bytes, 1)), number(bytes, 2));
    if number(bytes, 0) == 0 { Act::Grant { lock, fence } } else { Act::Intent { lock, fence } }
}

fn found(tables: &dyn View, key: &str) -> Result<Option<Found>, TableError> {
    let bytes = tables.get(&store_key(key))?;
    Ok(bytes.map(|bytes| Found {
        value: number(&bytes, 0).cast_signed(),
        revision: Some(number(&bytes, 1)),
    }))
}

/// Answers what changes nothing.
pub fn read(tables: &dyn View, op: &StoreOp) -> Result<Option<StoreReply>, TableError> {
    match op {
        StoreOp::Get { key } => Ok(Some(StoreReply::Get(found(tables, key)?))),
        StoreOp::Range { from, to } => {
            let span = Span::between(&store_key(from), &store_key(to));
            let entries = tables.list(&span, usize::MAX)?.into_iter().map(|(key, bytes)| {
                let name = String::from_utf8_lossy(&key[2..]).into_owned();
                (name, number(&bytes, 0).cast_signed())
            });
            Ok(Some(StoreReply::Range(entries.collect())))
        }
        _ => Ok(None),
    }
}

fn holds(tables: &dyn View, compare: &Compare) -> Result<bool, TableError> {
    Ok(match compare {
        Compare::Value(key, value) => found(tables, key)?.map(|found| found.value) == *value,
        Compare::Revision(key, revision) => {
            found(tables, key)?.and_then(|found| found.revision).unwrap_or(0) == *revision
        }
    })
}

/// The machine at one command.
struct Step<'t> {
    at: At,
    tables: &'t mut dyn Edit,
    changed: bool,
}

impl Step<'_> {
    fn store(&mut self, op: &StoreOp) -> Result<StoreReply, TableError> {
        match op {
            StoreOp::Put { key, value } => {
                let entry = numbered(b"", &[value.cast_unsigned(), self.at.index]);
                self.tables.put(&store_key(key), &entry)?;
                self.changed = true;
                Ok(StoreReply::Put)
            }
            StoreOp::Delete { key } => {
                let there = self.tables.delete(&store_key(key))?;
                self.changed |= there;
                Ok(StoreReply::Delete(there))
            }
            StoreOp::Txn { when, then, otherwise } => {
                let mut all = true;
                for compare in when {
                    all &= holds(self.tables, compare)?;
                }
                let branch = if all { then } else { otherwise };
                let replies: Result<Vec<_>, _> = branch.iter().map(|op| self.store(op)).collect();
                Ok(StoreReply::Txn(all, replies?))
            }
            StoreOp::Get { .. } | StoreOp::Range { .. } => {
                Ok(read(self.tables, op)?.unwrap_or(StoreReply::Get(None)))
            }
        }
    }

    fn renew(
        &mut self,
        session: u64,
        now: Time,
        ttl: u64,
        create: bool,
    ) -> Result<Told, TableError> {
        let key = numbered(b"s/", &[session]);
        match self.tables.get(&key)? {
            None if !create => return Ok(Told::Renewed(false)),
            None => {}
            Some(old) => _ = self.tables.delete(&numbered(b"t/", &[number(&old, 0), session]))?,
        }
        let end = now.after(Duration::from_millis(ttl)).as_millis();
        self.tables.put(&key, &end.to_be_bytes())?;
        self.tables.put(&numbered(b"t/", &[end, session]), b"")?;
        Ok(Told::Renewed(true))
    }

    fn lock(&mut self, lock: u64, session: u64) -> Result<Told, TableError> {
        let key = numbered(b"o/", &[lock]);
        let alive = self.tables.get(&numbered(b"s/", &[session]))?.is_some();
        if !alive || self.tables.get(&key)?.is_some() {
            return Ok(Told::Locked(None));
        }
        let fence = self.at.index;
        self.tables.put(&key, &numbered(b"", &[fence, session]))?;
        self.act(0, lock, fence)?;
        Ok(Told::Locked(Some(fence)))
    }

    fn intent(&mut self, lock: u64, fence: u64, blind: bool) -> Result<Told, TableError> {
        let holder = self.tables.get(&numbered(b"o/", &[lock]))?;
        let newest = blind || holder.is_some_and(|holder| number(&holder, 0) == fence);
        if newest {
            self.act(1, lock, fence)?;
        }
        Ok(Told::Intended(newest))
    }

    fn act(&mut self, kind: u64, lock: u64, fence: u64) -> Result<(), TableError> {
        self.tables.put(&numbered(b"a/", &[self.at.index]), &encode_act(kind, lock, fence))
    }

    fn expire(&mut self, now: Time) -> Result<Told, TableError> {
        let due = Span::between(b"t/", &numbered(b"t/", &[now.as_millis() + 1]));
        for (key, _) in self.tables.list(&due, usize::MAX)? {
            let session = number(&key[2..], 1);
            self.tables.delete(&key)?;
            self.tables.delete(&numbered(b"s/", &[session]))?;
            for (lock, holder) in self.tables.list(&Span::prefix(b"o/"), usize::MAX)? {
                if number(&holder, 1) == session {
                    self.tables.delete(&lock)?;
                }
            }
        }
        Ok(Told::Nothing)
    }

    fn note(&mut self, id: u64) -> Result<(), TableError> {
        let key = ledger_key(id);
        if self.tables.get(&key)?.is_some() {
            return self.tables.put(&numbered(b"d/", &[id]), b"");
        }
        self.tables.put(&key, &numbered(b"", &[self.at.index, u64::from(self.changed)]))
    }
}

impl SimMachine {
    /// The clock that ends sessions: the cluster's, or with the canary this node's own.
    fn now(&self, at: At) -> Time {
        match self.canary {
            Some(Canary::WallClockLease) => Time::from_millis(self.observer.wall_millis()),
            _ => at.time,
        }
    }
}

impl Machine for SimMachine {
    fn apply(&self, at: At, command: &[u8], tables: &mut dyn Edit) -> Result<Vec<u8>, TableError> {
        let skips = self.canary == Some(Canary::SkippedEntry);
        if skips && self.observer.node == 2 && at.index.is_multiple_of(97) {
            return Ok(encode(&Told::Nothing));
        }
        let Ok(Command { id, what }) = serde_json::from_slice(command) else {
            return Ok(encode(&Told::Nothing));
        };
        let mut step = Step { at, tables, changed: false };
        let told = match what {
            What::Store(op) => {
                let reply = step.store(&op)?;
                Told::Store(reply, step.changed)
            }
            What::Renew { session, ttl, create } => {
                step.renew(session, self.now(at), ttl, create)?
            }
            What::Lock { lock, session } => step.lock(lock, session)?,
            What::Intent { lock, fence } => {
                step.intent(lock, fence, self.canary == Some(Canary::IgnoredFence))?
            }
            What::Expire => return Ok(encode(&step.expire(self.now(at))?)),
        };
        step.note(id)?;
        Ok(encode(&told))
    }

    fn deadline(&self, tables: &dyn View) -> Result<Option<Time>, TableError> {
        let first = tables.first(&Span::prefix(b"t/"))?;
        Ok(first.map(|(key, _)| Time::from_millis(number(&key[2..], 0))))
    }

    fn expire(&self) -> Vec<u8> {
        encode(&Command { id: 0, what: What::Expire })
    }

    fn committed(&self, last: At, changes: &[Change]) {
        self.observer.committed(last, changes);
    }

    fn replaced(&self, last: At, _: &dyn View) {
        self.observer.replaced(last);
    }
}

/// As bytes; empty for what has no form, which is nothing of ours.
pub fn encode(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

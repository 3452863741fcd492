//! What the judges say of the catalog: sessions, locks and their delays, held against the changes that
//! were committed.

use std::collections::BTreeMap;

use regrow_catalog::model::{Indexed, KeyEntry, Session, SessionId};
use regrow_codec::versioned;

use super::observer::{Changed, Sights};
use super::on_keys::number_of;
use super::verdict::Ledger;
use crate::judges::fence::Act;

/// Version of the rows.
const VERSION: u8 = 1;

/// What is wrong with the catalog.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CatalogViolation {
    /// Bytes are not what is stored there.
    #[error("index {0}: a row cannot be read")]
    Row(u64),
    /// A lock was given to a session that is not there.
    #[error("index {index}: {key} is locked by session {session}, which is not there")]
    Ghost {
        /// The index.
        index: u64,
        /// The key.
        key: String,
        /// The session.
        session: SessionId,
    },
    /// A lock changed hands without being free in between.
    #[error("index {index}: {key} went from session {from} to {to}")]
    Snatched {
        /// The index.
        index: u64,
        /// The key.
        key: String,
        /// Who had it.
        from: SessionId,
        /// Who got it.
        to: SessionId,
    },
    /// A lock was given before its delay was over, by the cluster's clock.
    #[error("index {index}: {key} was locked at {at}, and nobody could lock it before {due}")]
    Hasty {
        /// The index.
        index: u64,
        /// The key.
        key: String,
        /// Milliseconds of the cluster's clock.
        at: u64,
        /// The same.
        due: u64,
    },
}

/// What the committed changes come to.
#[derive(Default)]
pub struct Replay {
    /// Acts for the judge of fences.
    pub acts: Vec<Act>,
    sessions: BTreeMap<SessionId, Session>,
    /// Who holds each lock.
    holders: BTreeMap<String, SessionId>,
    /// Until when nobody gets a lock.
    delayed: BTreeMap<String, u64>,
}

impl Replay {
    /// Goes through all changes in the order of the log.
    ///
    /// # Errors
    /// The first violation.
    pub fn run(
        changes: &BTreeMap<u64, Vec<Changed>>,
        sights: &Sights,
    ) -> Result<Self, CatalogViolation> {
        let mut replay = Self::default();
        for (index, changes) in changes {
            let now = sights.stamps.get(index).map_or(0, |stamp| stamp.time.as_millis());
            // Sessions first: what their end does to keys is in the same command.
            for (key, value) in changes {
                if let Some((b'S', id)) = key.split_first() {
                    replay.session(*index, now, id, value.as_deref())?;
                }
            }
            for (key, value) in changes {
                if let Some((b'k', key)) = key.split_first() {
                    replay.key(*index, now, key, value.as_deref())?;
                }
            }
        }
        Ok(replay)
    }

    fn session(
        &mut self,
        index: u64,
        now: u64,
        id: &[u8],
        value: Option<&[u8]>,
    ) -> Result<(), CatalogViolation> {
        let id: [u8; 16] = id.try_into().map_err(|_| CatalogViolation::Row(index))?;
        let id = SessionId(u128::from_be_bytes(id));
        if let Some(value) = value {
            let row: Indexed<Session> =
                versioned::decode(VERSION, value).map_err(|_| CatalogViolation::Row(index))?;
            self.sessions.insert(id, row.value);
        } else if let Some(session) = self.sessions.remove(&id) {
            let delay = u64::try_from(session.lock_delay.as_millis()).unwrap_or(u64::MAX);
            let held = self.holders.iter().filter(|(_, holder)| **holder == id);
            self.delayed.extend(held.map(|(key, _)| (key.clone(), now + delay)));
            self.holders.retain(|_, holder| *holder != id);
        }
        Ok(())
    }

    fn key(
        &mut self,
        index: u64,
        now: u64,
        key: &[u8],
        value: Option<&[u8]>,
    ) -> Result<(), CatalogViolation> {
        let name = String::from_utf8_lossy(key).into_owned();
        let Some(value) = value else {
            self.holders.remove(&name);
            return Ok(());
        };
        let entry: KeyEntry =
            versioned::decode(VERSION, value).map_err(|_| CatalogViolation::Row(index))?;
        if let Some(lock) = name.strip_prefix("act/") {
            let fence = number_of(&entry.value).unwrap_or_default();
            self.acts.push(Act::Intent { lock: lock.into(), fence });
        }
        let before = self.holders.remove(&name);
        let Some(session) = entry.session else { return Ok(()) };
        if !self.sessions.contains_key(&session) {
            return Err(CatalogViolation::Ghost { index, key: name, session });
        }
        if let Some(from) = before.filter(|before| *before != session) {
            return Err(CatalogViolation::Snatched { index, key: name, from, to: session });
        }
        let due = self.delayed.get(&name).copied().unwrap_or_default();
        if before.is_none() && now < due {
            return Err(CatalogViolation::Hasty { index, key: name, at: now, due });
        }
        if let Some(lock) = name.strip_prefix("lock/") {
            self.acts.push(Act::Grant { lock: lock.into(), fence: index });
        }
        self.holders.insert(name, session);
        Ok(())
    }
}

/// The ledger of requests in a key's row.
pub fn ledger(key: &[u8], value: &[u8]) -> Option<(u64, Ledger)> {
    let name = std::str::from_utf8(key.strip_prefix(b"k")?).ok()?;
    let id = name.strip_prefix("did/")?.parse().ok()?;
    let entry: KeyEntry = versioned::decode(VERSION, value).ok()?;
    let (at, twice) = (entry.indexes.modified, entry.indexes.created != entry.indexes.modified);
    Some((id, Ledger { at, changed: true, twice }))
}

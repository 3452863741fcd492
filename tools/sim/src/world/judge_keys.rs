//! What the judges say of the coordination keys: watchers, leases, locks and elections, all held against
//! the changes that were committed.

use std::collections::BTreeMap;

use bytes::Bytes;
use regrow_codec::versioned;
use regrow_coord::{Change, Entry, Key, LeaseId};
use regrow_ids::Revision;
use serde::Deserialize;

use super::candidates::{Belief, EFFECT, NAME};
use super::observer::{Changed, Sights};
use super::on_keys::number_of;
use super::verdict::Ledger;
use crate::judges::fence::Act;
use crate::judges::watch::Committed;

/// Version of the records.
const VERSION: u8 = 1;

/// A key's record as `regrow_coord` stores it; its own tests hold that form with samples.
#[derive(Deserialize)]
struct Stored {
    value: Bytes,
    created: Revision,
    modified: Revision,
    lease: Option<LeaseId>,
}

/// A lease's record.
#[derive(Deserialize)]
struct Held {
    #[expect(dead_code, reason = "the form has it")]
    ttl_millis: u64,
    until: u64,
}

/// What is wrong with the coordination keys.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeysViolation {
    /// Bytes are not what is stored there.
    #[error("index {0}: a record cannot be read")]
    Record(u64),
    /// Revisions have a gap or go back.
    #[error("index {index}: revision {revision} comes after {before}")]
    Revision {
        /// The index.
        index: u64,
        /// Its revision.
        revision: u64,
        /// The one before.
        before: u64,
    },
    /// A lease was ended before its time, by the cluster's clock.
    #[error("index {index}: lease {lease} ended at {at}, due at {due}")]
    Early {
        /// The index.
        index: u64,
        /// The lease.
        lease: u64,
        /// Milliseconds of the cluster's clock.
        at: u64,
        /// The same.
        due: u64,
    },
    /// A key is there although its lease is not.
    #[error("index {index}: key {key} outlives its lease {lease}")]
    Outlives {
        /// The index.
        index: u64,
        /// The key.
        key: String,
        /// The lease.
        lease: u64,
    },
    /// Somebody acted who did not lead.
    #[error("index {index}: an effect under fence {fence} while {leader:?} leads")]
    Usurped {
        /// The index.
        index: u64,
        /// The fence of the effect.
        fence: u64,
        /// The fence of who leads.
        leader: Option<u64>,
    },
    /// Two believe at once that they lead.
    #[error("node {} believes at {} to lead under fence {}, and fence {newer} was won at {since}",
        .belief.node, .belief.at, .belief.fence)]
    Both {
        /// The older one's belief.
        belief: Belief,
        /// The newer fence.
        newer: u64,
        /// When it began to be believed.
        since: u64,
    },
}

/// What the committed changes come to.
#[derive(Default)]
pub struct Replay {
    /// Changes of keys by revision, in the order of the keys.
    pub log: Vec<Committed<Change>>,
    /// Acts for the judge of fences.
    pub acts: Vec<Act>,
    revision: u64,
    /// Keys that hang on leases.
    leased: BTreeMap<String, u64>,
    /// Leases and when they end.
    leases: BTreeMap<u64, u64>,
    /// Fences of candidates, by their keys.
    candidates: BTreeMap<String, u64>,
}

fn stored(key: &[u8], bytes: &[u8]) -> Option<Entry> {
    let Stored { value, created, modified, lease } = versioned::decode(VERSION, bytes).ok()?;
    let key = Key::new(String::from_utf8(key.to_vec()).ok()?).ok()?;
    Some(Entry { key, value, created, modified, lease })
}

fn number(bytes: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(bytes.try_into().ok()?))
}

fn lease_of(entry: &Entry) -> Option<u64> {
    entry.lease.and_then(|lease| u64::try_from(lease.get()).ok())
}

impl Replay {
    /// Goes through all changes in the order of the log.
    ///
    /// # Errors
    /// The first violation.
    pub fn run(
        changes: &BTreeMap<u64, Vec<Changed>>,
        sights: &Sights,
    ) -> Result<Self, KeysViolation> {
        let mut replay = Self::default();
        for (index, changes) in changes {
            replay.command(*index, changes, sights)?;
        }
        Ok(replay)
    }

    fn command(
        &mut self,
        index: u64,
        changes: &[Changed],
        sights: &Sights,
    ) -> Result<(), KeysViolation> {
        let mut of_keys = Vec::new();
        for (key, value) in changes {
            match (key.split_first(), value) {
                (Some((b'r', [])), Some(value)) => self.step(index, value)?,
                (Some((b'l', lease)), value) => {
                    let lease = number(lease).ok_or(KeysViolation::Record(index))?;
                    self.lease(index, lease, value.as_deref(), sights)?;
                }
                (Some((b'k', key)), Some(value)) => {
                    let entry = stored(key, value).ok_or(KeysViolation::Record(index))?;
                    of_keys.push(Change::Put(entry));
                }
                (Some((b'k', key)), None) => {
                    let key = String::from_utf8_lossy(key).into_owned();
                    let key = Key::new(key).map_err(|_| KeysViolation::Record(index))?;
                    of_keys.push(Change::Delete(key));
                }
                _ => {}
            }
        }
        of_keys.sort_by(|left, right| left.key().cmp(right.key()));
        of_keys.iter().for_each(|change| self.key(change));
        self.judge_effect(index, &of_keys)?;
        if let Some((key, lease)) =
            self.leased.iter().find(|(_, lease)| !self.leases.contains_key(lease))
        {
            let (key, lease) = (key.clone(), *lease);
            return Err(KeysViolation::Outlives { index, key, lease });
        }
        if !of_keys.is_empty() {
            self.log.push(Committed { revision: self.revision, changes: of_keys });
        }
        Ok(())
    }

    fn step(&mut self, index: u64, value: &[u8]) -> Result<(), KeysViolation> {
        let before = self.revision;
        self.revision = number(value).ok_or(KeysViolation::Record(index))?;
        if self.revision != before + 1 {
            return Err(KeysViolation::Revision { index, revision: self.revision, before });
        }
        Ok(())
    }

    fn lease(
        &mut self,
        index: u64,
        lease: u64,
        value: Option<&[u8]>,
        sights: &Sights,
    ) -> Result<(), KeysViolation> {
        let Some(value) = value else {
            let due = self.leases.remove(&lease).unwrap_or_default();
            let stamp = sights.stamps.get(&index).filter(|stamp| stamp.expiry);
            let at = stamp.map_or(u64::MAX, |stamp| stamp.time.as_millis());
            return if at < due {
                Err(KeysViolation::Early { index, lease, at, due })
            } else {
                Ok(())
            };
        };
        let held: Held =
            versioned::decode(VERSION, value).map_err(|_| KeysViolation::Record(index))?;
        self.leases.insert(lease, held.until);
        Ok(())
    }

    fn key(&mut self, change: &Change) {
        let name = change.key().as_str();
        match change {
            Change::Put(entry) => {
                self.leased.remove(name);
                self.leased.extend(lease_of(entry).map(|lease| (name.to_owned(), lease)));
                self.act(entry);
            }
            Change::Delete(_) => {
                self.leased.remove(name);
                self.candidates.remove(name);
            }
        }
    }

    fn act(&mut self, entry: &Entry) {
        let (name, created) = (entry.key.as_str(), entry.created.get());
        let fence = number_of(&entry.value).unwrap_or_default();
        let act = if let Some(lock) = name.strip_prefix("lock/") {
            Act::Grant { lock: lock.into(), fence: created }
        } else if let Some(lock) = name.strip_prefix("act/") {
            Act::Intent { lock: lock.into(), fence }
        } else if name.starts_with(&format!("elections/{NAME}/")) {
            if self.candidates.insert(name.into(), created).is_some() {
                return;
            }
            Act::Grant { lock: NAME.into(), fence: created }
        } else if name == EFFECT {
            Act::Effect { resource: EFFECT.into(), lock: NAME.into(), fence }
        } else {
            return;
        };
        self.acts.push(act);
    }

    /// Who acts must be the first of the candidates.
    fn judge_effect(&self, index: u64, changes: &[Change]) -> Result<(), KeysViolation> {
        for change in changes {
            let Change::Put(entry) = change else { continue };
            if entry.key.as_str() != EFFECT {
                continue;
            }
            let fence = number_of(&entry.value).unwrap_or_default();
            let leader = self.candidates.values().min().copied();
            if leader != Some(fence) {
                return Err(KeysViolation::Usurped { index, fence, leader });
            }
        }
        Ok(())
    }
}

/// Whether one still believed that it leads after a newer one began to.
///
/// # Errors
/// The first belief that was wrong.
pub fn beliefs(beliefs: &[Belief], window: u64) -> Result<(), KeysViolation> {
    let mut since: BTreeMap<u64, u64> = BTreeMap::new();
    for belief in beliefs {
        let first = since.entry(belief.fence).or_insert(belief.at);
        *first = belief.at.min(*first);
    }
    for belief in beliefs {
        let newer = since.range(belief.fence + 1..).find(|(_, at)| **at + window < belief.at);
        if let Some((newer, since)) = newer {
            return Err(KeysViolation::Both { belief: *belief, newer: *newer, since: *since });
        }
    }
    Ok(())
}

/// The ledger of requests in a key's record.
pub fn ledger(key: &[u8], value: &[u8]) -> Option<(u64, Ledger)> {
    let entry = stored(key.strip_prefix(b"k")?, value)?;
    let id = entry.key.as_str().strip_prefix("did/")?.parse().ok()?;
    let (at, twice) = (entry.modified.get(), entry.created != entry.modified);
    Some((id, Ledger { at, changed: true, twice }))
}

//! Keys: writes, deletes, locks.

use std::time::Duration;

use regrow_consensus::Span;

use super::command::{KvOp, KvVerb};
use super::refusal::{Denial, Refusal};
use super::rows::{self, Due, Tombstone};
use super::topic::Topic;
use super::work::{KEY_BYTES_MAX, Step, VALUE_BYTES_MAX, Work};
use crate::model::{Behavior, Indexed, Indexes, KeyEntry, Session, SessionId};

/// How long a tombstone stays, in cluster time: a reader that waits longer between two looks sees
/// the index of its prefix jump, and nothing else.
const TOMBSTONE_LIFE: Duration = Duration::from_secs(15 * 60);

/// What a deed comes to: entries to show, or why it was denied.
pub(super) type Deed = Result<Vec<KeyEntry>, Denial>;

fn row(key: &str) -> Vec<u8> {
    rows::key(rows::KEY, &[key.as_bytes()])
}

fn held(session: SessionId, key: &str) -> Vec<u8> {
    rows::key(rows::HELD, &[&session.0.to_be_bytes(), key.as_bytes()])
}

/// A written entry as transactions show it.
fn shown(entry: KeyEntry) -> Deed {
    Ok(vec![KeyEntry { value: Vec::new(), ..entry }])
}

impl Work<'_> {
    /// One deed. Denied deeds have changed nothing.
    pub fn kv(&mut self, op: &KvOp) -> Step<Deed> {
        check(op)?;
        let before: Option<KeyEntry> = match op.verb {
            KvVerb::DeleteTree | KvVerb::GetTree => None,
            _ => self.get(&row(&op.key))?,
        };
        match op.verb {
            KvVerb::Set => self.set(op, before).map(shown),
            KvVerb::Cas => self.cas(op, before),
            KvVerb::Lock => self.lock(op, before),
            KvVerb::Unlock => self.unlock(op, before),
            KvVerb::Delete => self.delete_key(before).map(|()| Ok(Vec::new())),
            KvVerb::DeleteCas => self.delete_cas(op, before),
            KvVerb::DeleteTree => self.delete_tree(&op.key),
            KvVerb::Get => {
                Ok(before.map(|entry| vec![entry]).ok_or(Denial::Absent(op.key.clone())))
            }
            KvVerb::GetOrEmpty => Ok(Ok(vec![before.unwrap_or_else(|| empty(op))])),
            KvVerb::GetTree => Ok(Ok(rows::list(self.view(), &row(&op.key))?)),
            KvVerb::CheckIndex => Ok(check_index(op, before)),
            KvVerb::CheckSession => Ok(check_session(op, before)),
            KvVerb::CheckNotExists => Ok(match before {
                None => Ok(Vec::new()),
                Some(_) => Err(Denial::Present(op.key.clone())),
            }),
        }
    }

    /// Writes value and flags; the lock stays as it is.
    fn set(&mut self, op: &KvOp, before: Option<KeyEntry>) -> Step<KeyEntry> {
        let (session, lock_index) =
            before.as_ref().map_or((None, 0), |entry| (entry.session, entry.lock_index));
        self.write(op, before, session, lock_index)
    }

    /// Writes an entry, unless all of it is there already.
    fn write(
        &mut self,
        op: &KvOp,
        before: Option<KeyEntry>,
        session: Option<SessionId>,
        lock_index: u64,
    ) -> Step<KeyEntry> {
        let indexes = Indexes::write(before.as_ref().map(|entry| entry.indexes), self.at.index);
        let entry = KeyEntry {
            key: op.key.clone(),
            value: op.value.clone(),
            flags: op.flags,
            lock_index,
            session,
            indexes,
        };
        if let Some(before) = before {
            let same = KeyEntry { indexes: before.indexes, ..entry.clone() } == before;
            if same {
                return Ok(before);
            }
        }
        self.put_entry(&entry)?;
        Ok(entry)
    }

    fn put_entry(&mut self, entry: &KeyEntry) -> Step {
        self.put(&row(&entry.key), entry)?;
        self.delete(&rows::key(rows::TOMBSTONE, &[entry.key.as_bytes()]))?;
        self.bump(&Topic::Keys)
    }

    fn cas(&mut self, op: &KvOp, before: Option<KeyEntry>) -> Step<Deed> {
        let current = before.as_ref().map_or(0, |entry| entry.indexes.modified);
        if current != op.index {
            return Ok(Err(Denial::StaleSet(op.key.clone())));
        }
        self.set(op, before).map(shown)
    }

    fn lock(&mut self, op: &KvOp, before: Option<KeyEntry>) -> Step<Deed> {
        let session = op.session.ok_or(Refusal::MissingSession)?;
        if !super::sessions::exists(self, session)? {
            return Err(Refusal::InvalidSession(session.to_string()).into());
        }
        if before.as_ref().and_then(|entry| entry.session) == Some(session) {
            return self.set(op, before).map(shown);
        }
        if before.as_ref().is_some_and(|entry| entry.session.is_some()) {
            return Ok(Err(Denial::Held(op.key.clone())));
        }
        let delay = self.due(&Due::LockDelay { key: op.key.clone() })?;
        if delay.is_some_and(|until| until > self.at.time) {
            return Ok(Err(Denial::LockDelay(op.key.clone())));
        }
        let lock_index = before.as_ref().map_or(0, |entry| entry.lock_index) + 1;
        self.mark(&held(session, &op.key))?;
        self.write(op, before, Some(session), lock_index).map(shown)
    }

    fn unlock(&mut self, op: &KvOp, before: Option<KeyEntry>) -> Step<Deed> {
        let session = op.session.ok_or(Refusal::MissingSession)?;
        match before {
            Some(entry) if entry.session == Some(session) => {
                self.delete(&held(session, &op.key))?;
                let lock_index = entry.lock_index;
                self.write(op, Some(entry), None, lock_index).map(shown)
            }
            _ => Ok(Err(Denial::NotHeld(op.key.clone()))),
        }
    }

    fn delete_cas(&mut self, op: &KvOp, before: Option<KeyEntry>) -> Step<Deed> {
        match &before {
            None => Ok(Ok(Vec::new())),
            Some(entry) if entry.indexes.modified == op.index => {
                self.delete_key(before).map(|()| Ok(Vec::new()))
            }
            Some(_) => Ok(Err(Denial::StaleDelete(op.key.clone()))),
        }
    }

    fn delete_tree(&mut self, prefix: &str) -> Step<Deed> {
        let entries: Vec<KeyEntry> = rows::list(self.view(), &row(prefix))?;
        for entry in entries {
            self.delete_key(Some(entry))?;
        }
        Ok(Ok(Vec::new()))
    }

    fn delete_key(&mut self, entry: Option<KeyEntry>) -> Step {
        let Some(entry) = entry else { return Ok(()) };
        if let Some(session) = entry.session {
            self.delete(&held(session, &entry.key))?;
        }
        self.delete(&row(&entry.key))?;
        let until = self.at.time.after(TOMBSTONE_LIFE);
        let tombstone = Tombstone { index: self.at.index, until };
        let key = entry.key.as_bytes();
        self.put(&rows::key(rows::TOMBSTONE, &[key]), &tombstone)?;
        self.mark(&rows::key(rows::GRAVE_QUEUE, &[&rows::time_bytes(until), key]))?;
        self.bump(&Topic::Keys)
    }

    /// Lets go of all keys of a session that ended, in its own way, and begins their lock-delay.
    pub fn let_go(&mut self, session: &Session) -> Step {
        let prefix = rows::key(rows::HELD, &[&session.id.0.to_be_bytes()]);
        for key in rows::rests(self.view(), &prefix)? {
            let name = rows::text(&key)?;
            if !session.lock_delay.is_zero() {
                let until = self.at.time.after(session.lock_delay);
                self.schedule(&Due::LockDelay { key: name.clone() }, until)?;
            }
            let entry: Option<KeyEntry> = self.get(&row(&name))?;
            match session.behavior {
                Behavior::Delete => self.delete_key(entry)?,
                Behavior::Release => {
                    self.delete(&held(session.id, &name))?;
                    if let Some(mut entry) = entry {
                        entry.session = None;
                        entry.indexes.modified = self.at.index;
                        self.put_entry(&entry)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Removes up to `limit` tombstones whose time has come.
    pub fn reap_tombstones(&mut self, limit: usize) -> Step {
        let ripe = rows::key(rows::GRAVE_QUEUE, &[&rows::time_bytes(self.at.time)]);
        let mut to = ripe;
        to.push(u8::MAX); // no key begins so: everything up to this millisecond
        let span = Span::between(&[rows::GRAVE_QUEUE], &to);
        let before: u64 = self.get(&super::topic::graves_row())?.unwrap_or(0);
        let mut highest = before;
        for (place, _) in self.view().list(&span, limit)? {
            self.delete(&place)?;
            let Some((until, key)) = rows::time_of(place.get(1..).unwrap_or_default()) else {
                continue;
            };
            let grave = rows::key(rows::TOMBSTONE, &[key]);
            // The key may have been made and deleted again: then a later entry is for its tombstone.
            if let Some(tombstone) = self.get::<Tombstone>(&grave)?
                && tombstone.until == until
            {
                highest = highest.max(tombstone.index);
                self.delete(&grave)?;
            }
        }
        if highest == before {
            return Ok(());
        }
        self.put(&super::topic::graves_row(), &highest)
    }
}

fn check(op: &KvOp) -> Step {
    if op.key.len() > KEY_BYTES_MAX {
        return Err(Refusal::Name { what: "key".to_owned(), limit: KEY_BYTES_MAX }.into());
    }
    let bytes = op.value.len();
    if bytes > VALUE_BYTES_MAX {
        let key = op.key.clone();
        return Err(Refusal::ValueTooLarge { key, bytes, limit: VALUE_BYTES_MAX }.into());
    }
    Ok(())
}

fn empty(op: &KvOp) -> KeyEntry {
    KeyEntry {
        key: op.key.clone(),
        value: Vec::new(),
        flags: 0,
        lock_index: 0,
        session: None,
        indexes: Indexes::default(),
    }
}

fn check_index(op: &KvOp, before: Option<KeyEntry>) -> Deed {
    let key = op.key.clone();
    match before {
        None => Err(Denial::NoIndex(key)),
        Some(entry) if entry.indexes.modified == op.index => shown(entry),
        Some(entry) => {
            Err(Denial::OtherIndex { key, current: entry.indexes.modified, wanted: op.index })
        }
    }
}

fn check_session(op: &KvOp, before: Option<KeyEntry>) -> Deed {
    let key = op.key.clone();
    match before {
        None => Err(Denial::NoSession(key)),
        Some(entry) if op.session.is_some() && entry.session == op.session => shown(entry),
        Some(entry) => {
            let text = |id: Option<SessionId>| id.map_or_else(String::new, |id| id.to_string());
            Err(Denial::OtherSession {
                key,
                current: text(entry.session),
                wanted: text(op.session),
            })
        }
    }
}

/// A session with its indexes, as stored.
pub(super) type SessionRow = Indexed<Session>;

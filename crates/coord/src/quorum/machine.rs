//! The deterministic machine behind the quorum backend.
//!
//! Revisions are its own counter, one for each command that changed a key, not positions in the log:
//! so they go on growing where the tables are restored into a new log, and fences with them.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use regrow_codec::versioned::VersionedError;
use regrow_consensus::{At, Change as Edited, Edit, Machine, TableError, Time, View};
use regrow_ids::Revision;

use crate::coordinator::Limits;
use crate::entry::Entry;
use crate::key::{Key, Span};
use crate::lease::{Lease, LeaseId};
use crate::quorum::history::{Bounds, History};
use crate::quorum::records::{self, Command, Held, Reply, Stored};
use crate::quorum::tables;
use crate::txn::{Branch, Compare, Txn, TxnReply, Write};
use crate::watch::{Batch, Change};

/// Leases that one command ends at most; the rest end with the next one.
const EXPIRE_AT_ONCE: usize = 1_000;

/// Keys, leases and revisions as a state machine. Keeps the newest changes for watchers.
pub struct KeyMachine {
    history: Arc<History>,
}

impl KeyMachine {
    /// A machine that keeps so many changes for watchers.
    pub fn new(bounds: Bounds) -> Self {
        Self { history: Arc::new(History::new(bounds)) }
    }

    pub(crate) const fn history(&self) -> &Arc<History> {
        &self.history
    }
}

/// The bytes of the command that ends leases.
fn expire() -> Vec<u8> {
    records::encode("command", &Command::Expire).unwrap_or_default()
}

impl Machine for KeyMachine {
    fn apply(&self, at: At, command: &[u8], tables: &mut dyn Edit) -> Result<Vec<u8>, TableError> {
        let reply = match records::decode(command) {
            Ok(command) => Work::begin(tables)?.execute(at.time, command)?,
            // A newer program's command: replicas that know it change their tables by it.
            Err(error @ VersionedError::Version { .. }) => {
                return Err(records::damaged("command")(error));
            }
            Err(error) => Reply::Malformed(error.to_string()),
        };
        records::encode("reply", &reply)
    }

    fn deadline(&self, tables: &dyn View) -> Result<Option<Time>, TableError> {
        tables::first_end(tables)
    }

    fn expire(&self) -> Vec<u8> {
        expire()
    }

    fn committed(&self, _: At, changes: &[Edited]) {
        match batches(changes) {
            Ok(batches) => self.history.add(batches),
            Err(error) => {
                // Watchers must not miss it: they are sent to the tables.
                tracing::error!(%error, "read changes for watchers");
                self.history.forget();
            }
        }
    }

    fn replaced(&self, _: At, tables: &dyn View) {
        match tables::revision(tables) {
            Ok(revision) => self.history.restart(revision),
            Err(error) => {
                tracing::error!(%error, "read revision for watchers");
                self.history.forget();
            }
        }
    }
}

/// The changes of tables as changes of keys, a batch for each command that made a revision.
fn batches(changes: &[Edited]) -> Result<Vec<Batch>, TableError> {
    let mut by_command: BTreeMap<u64, (Option<Revision>, Vec<Change>)> = BTreeMap::new();
    for change in changes {
        let (revision, seen) = by_command.entry(change.index).or_default();
        if change.key == tables::REVISION {
            let bytes = change.value.as_deref().unwrap_or_default();
            *revision = Some(Revision::new(tables::counter_of(bytes)?));
        } else if let Some(key) = tables::key_of(&change.key) {
            let key = key?;
            seen.push(match &change.value {
                Some(bytes) => Change::Put(tables::stored_of(bytes)?.entry(key)),
                None => Change::Delete(key),
            });
        }
    }
    let batch = |(revision, changes): (Option<Revision>, _)| {
        revision.map(|revision| Batch { revision, changes })
    };
    Ok(by_command.into_values().filter_map(batch).collect())
}

/// One command at work on the tables.
struct Work<'t> {
    tables: &'t mut dyn Edit,
    /// The newest revision before the command.
    before: Revision,
    /// The command changed a key.
    changed: bool,
}

impl<'t> Work<'t> {
    fn begin(tables: &'t mut dyn Edit) -> Result<Self, TableError> {
        let before = tables::revision(&*tables)?;
        Ok(Self { tables, before, changed: false })
    }

    fn execute(mut self, now: Time, command: Command) -> Result<Reply, TableError> {
        let mut reply = match command {
            Command::Transact(txn) => self.transact(&txn)?,
            Command::Grant(ttl_millis) => Reply::Leased(self.grant(now, ttl_millis)?),
            Command::KeepAlive(lease) => self.keep_alive(now, lease)?,
            Command::Revoke(lease) => self.end(lease)?,
            Command::Expire => self.expire(now)?,
        };
        if self.changed {
            tables::set_revision(self.tables, self.before.next())?;
            if let Reply::Transacted(done) = &mut reply {
                done.revision = self.before.next();
            }
        }
        Ok(reply)
    }

    fn entry(&self, key: &Key) -> Result<Option<Entry>, TableError> {
        let stored = tables::stored(&*self.tables, key)?;
        Ok(stored.map(|stored| stored.entry(key.clone())))
    }

    fn transact(&mut self, txn: &Txn) -> Result<Reply, TableError> {
        // Proposers check too; a command that came another way must not break the tables.
        if let Err(error) = txn.check(&Limits::LARGEST) {
            return Ok(Reply::Malformed(error.to_string()));
        }
        let succeeded = self.all_hold(&txn.compares)?;
        let branch = if succeeded { &txn.then } else { &txn.otherwise };
        if let Some(lease) = self.missing_lease(branch)? {
            return Ok(Reply::NoLease(lease));
        }
        let found = branch.reads.iter().map(|key| self.entry(key)).collect::<Result<_, _>>()?;
        for write in &branch.writes {
            self.write(write)?;
        }
        Ok(Reply::Transacted(TxnReply { succeeded, revision: self.before, found }))
    }

    fn all_hold(&self, compares: &[Compare]) -> Result<bool, TableError> {
        for compare in compares {
            if !compare.holds(self.entry(compare.key())?.as_ref()) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn missing_lease(&self, branch: &Branch) -> Result<Option<LeaseId>, TableError> {
        for write in &branch.writes {
            if let Write::Put { lease: Some(lease), .. } = write
                && tables::held(&*self.tables, *lease)?.is_none()
            {
                return Ok(Some(*lease));
            }
        }
        Ok(None)
    }

    fn write(&mut self, write: &Write) -> Result<(), TableError> {
        match write {
            Write::Put { key, value, lease } => self.put(key, value, *lease),
            Write::Delete(key) => self.delete(key),
            Write::DeletePrefix(prefix) => {
                for key in tables::keys(&*self.tables, &Span::Prefix(prefix.clone()))? {
                    self.delete(&key)?;
                }
                Ok(())
            }
        }
    }

    fn put(&mut self, key: &Key, value: &Bytes, lease: Option<LeaseId>) -> Result<(), TableError> {
        let modified = self.before.next();
        let old = tables::stored(&*self.tables, key)?;
        let (created, old_lease) =
            old.map_or((modified, None), |stored| (stored.created, stored.lease));
        tables::attach(self.tables, key, old_lease, lease)?;
        let stored = Stored { value: value.clone(), created, modified, lease };
        tables::set_stored(self.tables, key, &stored)?;
        self.changed = true;
        Ok(())
    }

    fn delete(&mut self, key: &Key) -> Result<(), TableError> {
        let Some(old) = tables::stored(&*self.tables, key)? else { return Ok(()) };
        tables::attach(self.tables, key, old.lease, None)?;
        self.changed |= self.tables.delete(&tables::entry_key(key))?;
        Ok(())
    }

    fn grant(&mut self, now: Time, ttl_millis: u64) -> Result<Lease, TableError> {
        let lease = tables::new_lease(self.tables)?;
        self.renew(now, lease, ttl_millis)
    }

    fn renew(&mut self, now: Time, lease: LeaseId, ttl_millis: u64) -> Result<Lease, TableError> {
        let until = Time::from_millis(now.as_millis().saturating_add(ttl_millis));
        let held = Held { ttl_millis, until };
        tables::set_held(self.tables, lease, &held)?;
        Ok(held.lease(lease))
    }

    fn keep_alive(&mut self, now: Time, lease: LeaseId) -> Result<Reply, TableError> {
        let Some(held) = tables::held(&*self.tables, lease)? else {
            return Ok(Reply::NoLease(lease));
        };
        self.renew(now, lease, held.ttl_millis).map(Reply::Leased)
    }

    fn end(&mut self, lease: LeaseId) -> Result<Reply, TableError> {
        if !tables::remove_held(self.tables, lease)? {
            return Ok(Reply::NoLease(lease));
        }
        for key in tables::attached(&*self.tables, lease)? {
            self.delete(&key)?;
        }
        Ok(Reply::Done)
    }

    fn expire(&mut self, now: Time) -> Result<Reply, TableError> {
        for lease in tables::ended(&*self.tables, now, EXPIRE_AT_ONCE)? {
            self.end(lease)?;
        }
        Ok(Reply::Done)
    }
}

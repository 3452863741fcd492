//! The machines of a group and their tables, as the engine sees them.
//!
//! Commands are applied without waiting for the disk: after a crash the log has them still, since it
//! is purged only up to what a snapshot made durable. A snapshot is the tables themselves at one
//! moment: making one means flushing them, and nothing is copied until a member needs it.

use std::collections::BTreeSet;
use std::io;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use futures::{Stream, StreamExt as _};
use openraft::RaftSnapshotBuilder;
use openraft::storage::{ApplyResponder, EntryResponder, RaftStateMachine};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::machine::{At, Change, Machines, Time};
use crate::raft::image::{Put, read_image};
use crate::raft::record::{Position, StoredMembershipRecord, decode, encode, log_id, position};
use crate::raft::{
    Addresses, Command, Entry, LogId, RaftSnapshot, SnapshotMeta, Spool, StoredMembership, Types,
};
use crate::tables::{Batch, Edit as _, Flush, Span, TableError, Tables, TablesView, View};

/// Where the store keeps what it has applied. Scope zero is the replica's own.
const APPLIED: &[u8] = b"\0applied";
/// Nodes that were removed from the group, each a key.
const RETIRED: &[u8] = b"\0retired/";
/// First byte of the replica's own commands; scopes of machines are others.
const OWN: u8 = 0;
/// Most commands in one batch of the tables.
const BATCH: usize = 512;
/// How long applied commands may wait for the disk. They are in the log all the while; this bounds
/// what a restart applies again.
const FLUSH_EVERY: Duration = Duration::from_secs(5);
/// The weight of changes after which they are flushed earlier: all wait for a flush, so it must be
/// short.
const FLUSH_WEIGHT: usize = 4 << 20;
/// What a change weighs beside its bytes: a part of the pages that it makes new.
const CHANGE_WEIGHT: usize = 128;
/// How often a member whose disk is full looks whether there is room again.
const FULL_AGAIN: Duration = Duration::from_millis(200);

/// Where it is remembered that a node was removed.
fn retired_key(node: u64) -> Vec<u8> {
    [RETIRED, &node.to_be_bytes()].concat()
}

fn load_retired(view: &dyn View) -> Result<BTreeSet<u64>, TableError> {
    let mut nodes = BTreeSet::new();
    view.scan(&Span::prefix(RETIRED), &mut |key, _| {
        let node = key.strip_prefix(RETIRED).and_then(|node| node.try_into().ok());
        nodes.extend(node.map(u64::from_be_bytes));
        ControlFlow::Continue(())
    })?;
    Ok(nodes)
}

/// A command of the replica itself.
#[derive(Serialize, Deserialize)]
enum OwnCommand {
    /// Refuses a node for ever.
    Retire(u64),
}

/// What the tables show.
#[derive(Clone, Debug, Default)]
pub(crate) struct Applied {
    /// The newest entry.
    pub(crate) id: Option<LogId>,
    /// The cluster's clock at it.
    pub(crate) time: Time,
    /// The members.
    pub(crate) membership: StoredMembership,
}

#[derive(Serialize, Deserialize)]
struct AppliedRecord {
    at: Option<Position>,
    time: Time,
    membership: StoredMembershipRecord,
}

impl Applied {
    /// The newest entry as machines know it.
    pub(crate) fn at(&self) -> At {
        At { index: self.id.map_or(0, |id| id.index), time: self.time }
    }

    pub(super) fn encode(&self) -> io::Result<bytes::Bytes> {
        encode(&AppliedRecord {
            at: self.id.as_ref().map(position),
            time: self.time,
            membership: (&self.membership).into(),
        })
    }

    /// As the tables tell.
    pub(crate) fn load(view: &dyn View) -> io::Result<Self> {
        let Some(bytes) = view.get(APPLIED).map_err(io::Error::other)? else {
            return Ok(Self::default());
        };
        let record: AppliedRecord = decode("applied state", &bytes)?;
        Ok(Self {
            id: record.at.map(log_id),
            time: record.time,
            membership: record.membership.try_into()?,
        })
    }
}

/// An image of the tables: ours at one moment, or another member's as it arrived.
#[derive(Debug, Clone)]
pub(crate) enum Image {
    Ours(Arc<TablesView>),
    Theirs(Arc<Spool>),
}

impl Image {
    /// Calls `put` with each key and value, in order.
    fn each(&self, put: Put<'_>) -> io::Result<()> {
        match self {
            Self::Theirs(spool) => read_image(&mut *spool.reader()?, put),
            Self::Ours(view) => {
                let mut done = Ok(());
                let scanned = view.scan(&Span::all(), &mut |key, value| {
                    done = put(key, value);
                    if done.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
                });
                scanned.map_err(io::Error::other).and(done)
            }
        }
    }
}

/// Machines, tables, and what they show.
#[derive(Clone)]
pub(crate) struct Store {
    pub(crate) tables: Tables,
    pub(crate) machines: Machines,
    /// Where images arrive; in memory where there is no folder.
    pub(crate) spool: Option<PathBuf>,
    /// Follows the members that are applied.
    pub(crate) addresses: Addresses,
    applied: Arc<Mutex<Applied>>,
    retired: Arc<RwLock<BTreeSet<u64>>>,
    index: watch::Sender<u64>,
    flushed: Instant,
    /// Weight of the changes since then.
    unflushed: usize,
    /// Who writes the tables: flushing takes long, and whoever applies waits here for it instead of in
    /// the tables, where it would hold a thread.
    writing: Arc<tokio::sync::Mutex<()>>,
}

impl Store {
    /// Opens the machines on their tables.
    pub(crate) fn open(
        tables: Tables,
        machines: Machines,
        spool: Option<PathBuf>,
    ) -> io::Result<Self> {
        let view = tables.view().map_err(io::Error::other)?;
        let applied = Applied::load(&view)?;
        machines.replaced(applied.at(), &view);
        let index = watch::Sender::new(applied.at().index);
        let addresses = Addresses::default();
        addresses.update(&applied.membership);
        let retired = Arc::new(RwLock::new(load_retired(&view).map_err(io::Error::other)?));
        let applied = Arc::new(Mutex::new(applied));
        let (flushed, writing) = (Instant::now(), Arc::default());
        Ok(Self {
            tables,
            machines,
            spool,
            addresses,
            applied,
            retired,
            index,
            flushed,
            unflushed: 0,
            writing,
        })
    }

    /// Nodes that were removed from the group.
    pub(crate) fn retired(&self) -> RwLockReadGuard<'_, BTreeSet<u64>> {
        self.retired.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn retire_again(&self, view: &dyn View) -> Result<(), TableError> {
        *self.retired.write().unwrap_or_else(PoisonError::into_inner) = load_retired(view)?;
        Ok(())
    }

    /// What the tables show now.
    pub(crate) fn applied(&self) -> Applied {
        self.applied.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Index of the newest entry that readers see.
    pub(crate) fn index(&self) -> watch::Receiver<u64> {
        self.index.subscribe()
    }

    /// A view and what it shows.
    pub(crate) fn view(&self) -> Result<(Applied, TablesView), TableError> {
        let view = self.tables.view()?;
        let applied = Applied::load(&view).map_err(|error| TableError::Damaged {
            what: "applied state",
            reason: error.to_string(),
        })?;
        Ok((applied, view))
    }

    /// Makes everything that was applied durable.
    pub(crate) async fn flush(&self) -> io::Result<()> {
        let tables = self.tables.clone();
        if tables.volatile() {
            return Ok(());
        }
        let blocks = tables.blocks();
        let _writing = self.writing.lock().await;
        let flush = move || tables.write(Flush::Now, |_| Ok(())).map(|_| ());
        // The only place that waits for this file's disk.
        let flushed = if blocks {
            tokio::task::spawn_blocking(flush).await.map_err(io::Error::other)?
        } else {
            flush()
        };
        flushed.map_err(io::Error::other)
    }

    /// Waits until the disk has room. The log has all that waits.
    async fn room(&self) {
        let mut told = false;
        while !self.tables.has_room(0) {
            if !told {
                tracing::error!(
                    "no space for the tables: this member waits; free space on its disk"
                );
                told = true;
            }
            tokio::time::sleep(FULL_AGAIN).await;
        }
    }

    fn apply_batch(&mut self, batch: Vec<Waiting>) -> io::Result<()> {
        let mut applied = self.applied();
        let mut replies = Vec::with_capacity(batch.len());
        let written = self.tables.write(Flush::Later, |tables| {
            for (entry, waiting) in batch {
                let reply = self.apply_entry(&mut applied, &entry, tables)?;
                replies.extend(waiting.map(|waiting| (waiting, reply)));
            }
            let record = applied.encode().map_err(|error| TableError::Store {
                doing: "write applied state",
                reason: error.to_string(),
            })?;
            tables.put(APPLIED, &record)
        });
        let ((), mut changes) = written.map_err(io::Error::other)?;
        self.unflushed += changes.iter().map(weight).sum::<usize>();
        let at = applied.at();
        if applied.membership.log_id() != self.applied().membership.log_id() {
            self.addresses.update(&applied.membership);
        }
        if changes.iter().any(|change| change.key.starts_with(RETIRED)) {
            let view = self.tables.view().map_err(io::Error::other)?;
            self.retire_again(&view).map_err(io::Error::other)?;
        }
        changes.retain(|change| change.key.first() != Some(&OWN));
        *self.applied.lock().unwrap_or_else(PoisonError::into_inner) = applied;
        self.machines.committed(at, changes);
        self.index.send_replace(at.index);
        for (waiting, reply) in replies {
            waiting.send(reply);
        }
        Ok(())
    }

    fn apply_entry(
        &self,
        applied: &mut Applied,
        entry: &Entry,
        tables: &mut Batch<'_>,
    ) -> Result<Vec<u8>, TableError> {
        applied.id = Some(entry.log_id);
        match &entry.payload {
            openraft::EntryPayload::Blank => Ok(Vec::new()),
            openraft::EntryPayload::Membership(membership) => {
                applied.membership = StoredMembership::new(Some(entry.log_id), membership.clone());
                Ok(Vec::new())
            }
            openraft::EntryPayload::Normal(Command { time, bytes }) => {
                // Commands of one leader may have been stamped in another order than written.
                applied.time = applied.time.max(*time);
                tables.at(entry.log_id.index);
                match bytes.split_first() {
                    Some((&OWN, own)) => apply_own(own, tables),
                    _ => self.machines.apply(applied.at(), bytes, tables),
                }
            }
        }
    }

    /// The command that refuses a node for ever.
    pub(crate) fn retire(node: u64) -> Vec<u8> {
        let mut command = vec![OWN];
        // Plain numbers always have a form.
        command.extend(encode(&OwnCommand::Retire(node)).unwrap_or_default());
        command
    }

    fn install(&self, meta: &SnapshotMeta, image: &Image) -> io::Result<Applied> {
        let mut fault = None;
        let written = self.tables.write(Flush::Now, |tables| {
            tables.clear()?;
            image.each(&mut |key, value| tables.put(key, value).map_err(io::Error::other)).map_err(
                |error| {
                    let reason = error.to_string();
                    fault = Some(error);
                    TableError::Store { doing: "install image", reason }
                },
            )
        });
        if let Some(fault) = fault {
            return Err(fault);
        }
        written.map_err(io::Error::other)?;
        let view = self.tables.view().map_err(io::Error::other)?;
        let applied = Applied::load(&view)?;
        if applied.id != meta.last_log_id {
            return Err(io::Error::other("install image: it shows another moment than it says"));
        }
        self.addresses.update(&applied.membership);
        self.retire_again(&view).map_err(io::Error::other)?;
        *self.applied.lock().unwrap_or_else(PoisonError::into_inner) = applied.clone();
        self.machines.replaced(applied.at(), &view);
        Ok(applied)
    }

    fn snapshot(&self) -> io::Result<RaftSnapshot> {
        let (applied, view) = self.view().map_err(io::Error::other)?;
        let meta = SnapshotMeta { last_log_id: applied.id, last_membership: applied.membership };
        Ok(RaftSnapshot { meta, snapshot: Image::Ours(Arc::new(view)) })
    }
}

fn weight(change: &Change) -> usize {
    CHANGE_WEIGHT + change.key.len() + change.value.as_ref().map_or(0, Vec::len)
}

fn apply_own(command: &[u8], tables: &mut Batch<'_>) -> Result<Vec<u8>, TableError> {
    let command = decode("the replica's own command", command);
    match command.map_err(|error| TableError::Damaged {
        what: "the replica's own command",
        reason: error.to_string(),
    })? {
        OwnCommand::Retire(node) => tables.put(&retired_key(node), &[])?,
    }
    Ok(Vec::new())
}

type Waiting = (Entry, Option<ApplyResponder<Types>>);

impl RaftStateMachine<Types> for Store {
    type SnapshotData = Image;
    type SnapshotBuilder = Self;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        let applied = self.applied();
        Ok((applied.id, applied.membership))
    }

    async fn apply<S>(&mut self, entries: S) -> io::Result<()>
    where
        S: Stream<Item = Result<EntryResponder<Types>, io::Error>> + Unpin + Send,
    {
        let mut batches = entries.ready_chunks(BATCH);
        while let Some(batch) = batches.next().await {
            let batch: io::Result<Vec<Waiting>> = batch.into_iter().collect();
            self.room().await;
            {
                let writing = self.writing.clone();
                let _writing = writing.lock().await;
                self.apply_batch(batch?)?;
            }
            if self.unflushed >= FLUSH_WEIGHT || self.flushed.elapsed() >= FLUSH_EVERY {
                self.flush().await?;
                (self.flushed, self.unflushed) = (Instant::now(), 0);
            }
        }
        Ok(())
    }

    async fn try_create_snapshot_builder(&mut self, _: bool) -> Option<Self> {
        Some(self.clone())
    }

    async fn get_snapshot_builder(&mut self) -> Self {
        self.clone()
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, image: Image) -> io::Result<()> {
        let writing = self.writing.clone();
        let _writing = writing.lock().await;
        let (store, meta) = (self.clone(), meta.clone());
        let install = move || store.install(&meta, &image);
        let applied = if self.tables.blocks() {
            tokio::task::spawn_blocking(install).await.map_err(io::Error::other)??
        } else {
            install()?
        };
        self.index.send_replace(applied.at().index);
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<RaftSnapshot>> {
        let snapshot = self.snapshot()?;
        Ok(snapshot.meta.last_log_id.is_some().then_some(snapshot))
    }
}

impl RaftSnapshotBuilder<Types> for Store {
    type SnapshotData = Image;

    async fn build_snapshot(&mut self) -> io::Result<RaftSnapshot> {
        let snapshot = self.snapshot()?;
        // The log is purged up to the snapshot next, so what it shows must be on disk.
        self.room().await;
        self.flush().await?;
        Ok(snapshot)
    }
}

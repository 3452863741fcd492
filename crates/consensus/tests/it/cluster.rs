//! Groups in one process, joined by queues that can be cut.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use regrow_consensus::group::MemberChange;
use regrow_consensus::transport::{Ask, Chunks, Peer, Transport, TransportError};
use regrow_consensus::{
    Consistency, Group, GroupOptions, Machines, Replica, Scope, Scoped, Storage, Tables,
};
use regrow_journal::disk::memory::MemoryDisk;
use regrow_journal::{Journal, Mode, Options, StreamId};

use crate::tally::{Ask as Tell, Tally, key, reply};

/// The wires between nodes.
#[derive(Default)]
pub struct Net {
    groups: Mutex<BTreeMap<u64, Arc<Group>>>,
    cut: Mutex<BTreeSet<(u64, u64)>>,
    /// Nodes whose machine is gone without a word: what is sent to them, or by them, is never answered.
    vanished: Mutex<BTreeSet<u64>>,
    /// Bytes that a request takes a millisecond for; 0 for as many as there are.
    speed: AtomicUsize,
}

impl Net {
    /// Cuts or joins both directions between two nodes.
    pub fn cut(&self, one: u64, other: u64, cut: bool) {
        let mut wires = self.cut.lock().expect("lock");
        for wire in [(one, other), (other, one)] {
            if cut {
                wires.insert(wire);
            } else {
                wires.remove(&wire);
            }
        }
    }

    /// Cuts or joins a node and all others.
    pub fn isolate(&self, node: u64, cut: bool) {
        let others: Vec<u64> = self.groups.lock().expect("lock").keys().copied().collect();
        for other in others.into_iter().filter(|other| *other != node) {
            self.cut(node, other, cut);
        }
    }

    /// Lets a node's machine vanish, or come back.
    pub fn vanish(&self, node: u64, vanished: bool) {
        let mut nodes = self.vanished.lock().expect("lock");
        if vanished {
            nodes.insert(node);
        } else {
            nodes.remove(&node);
        }
    }

    /// Makes all wires slow: bytes a millisecond.
    pub fn slow_down(&self, speed: usize) {
        self.speed.store(speed, Ordering::Relaxed);
    }

    /// Takes the time that a request is under way: for ever where one end vanished.
    async fn travel(&self, from: u64, to: u64, bytes: usize) {
        let speed = self.speed.load(Ordering::Relaxed);
        let time = 1 + bytes.checked_div(speed).unwrap_or(0);
        tokio::time::sleep(Duration::from_millis(time as u64)).await;
        let vanished =
            [from, to].iter().any(|node| self.vanished.lock().expect("lock").contains(node));
        if vanished {
            std::future::pending::<()>().await;
        }
    }

    fn reach(&self, from: u64, to: u64) -> Result<Arc<Group>, TransportError> {
        let lost = |reason: &str| TransportError::NotSent { node: to, reason: reason.into() };
        if self.cut.lock().expect("lock").contains(&(from, to)) {
            return Err(lost("cut"));
        }
        self.groups.lock().expect("lock").get(&to).cloned().ok_or_else(|| lost("gone"))
    }
}

/// One node's end of the wires.
struct End {
    node: u64,
    net: Arc<Net>,
}

#[async_trait]
impl Transport for End {
    async fn call(
        &self,
        to: &Peer,
        _: u32,
        ask: Ask,
        body: Bytes,
        within: Duration,
    ) -> Result<Bytes, TransportError> {
        let unknown = |reason: String| TransportError::Unknown { node: to.node, reason };
        let answered = tokio::time::timeout(within, async {
            self.net.travel(self.node, to.node, body.len()).await;
            let group = self.net.reach(self.node, to.node)?;
            let answer = group.answer(self.node, ask, body).await;
            self.net.travel(to.node, self.node, 0).await;
            Ok::<_, TransportError>(answer)
        });
        let answer = answered.await.map_err(|late| unknown(late.to_string()))??;
        let answer = answer.map_err(|error| unknown(error.to_string()))?;
        self.net.reach(to.node, self.node).map_err(|error| unknown(error.to_string()))?;
        Ok(answer)
    }

    async fn send_image(
        &self,
        to: &Peer,
        _: u32,
        head: Bytes,
        chunks: Chunks,
        _: Duration,
    ) -> Result<Bytes, TransportError> {
        let group = self.net.reach(self.node, to.node)?;
        group
            .answer_image(self.node, head, chunks)
            .await
            .map_err(|error| TransportError::Unknown { node: to.node, reason: error.to_string() })
    }
}

/// What a node keeps when its process ends.
struct Machine {
    disk: Arc<MemoryDisk>,
    tables: Tables,
}

/// A cluster of nodes 1, 2, 3, ….
pub struct Cluster {
    pub net: Arc<Net>,
    machines: BTreeMap<u64, Machine>,
    /// Of the nodes that run: a journal closes when it is dropped.
    journals: BTreeMap<u64, Journal>,
    /// Changes the options of members that are started.
    pub options: fn(&mut GroupOptions),
}

pub const SCOPE: Scope = Scope::new(7).expect("not zero");

impl Cluster {
    pub fn new() -> Self {
        let (machines, journals) = (BTreeMap::new(), BTreeMap::new());
        Self { net: Arc::default(), machines, journals, options: |_| {} }
    }

    /// Node 1 alone, then the others up to `count` as voters.
    pub async fn of(count: u64) -> Self {
        let mut cluster = Self::new();
        cluster.start(1).await.bootstrap("node-1").await.expect("bootstrap");
        for node in 2..=count {
            cluster.start(node).await;
            cluster.join(node).await;
        }
        cluster
    }

    /// The disk of a node's log.
    pub fn disk(&self, node: u64) -> Arc<MemoryDisk> {
        self.machines.get(&node).expect("a node").disk.clone()
    }

    /// What a node keeps, opened.
    pub fn storage(&mut self, node: u64) -> (Journal, Storage) {
        let kept = self.machines.entry(node).or_insert_with(|| Machine {
            disk: Arc::new(MemoryDisk::new()),
            tables: Tables::memory().expect("tables"),
        });
        let inline = Options { mode: Mode::Inline, segment_bytes: 1 << 20, ..Options::default() };
        let (journal, _) = Journal::open_on(kept.disk.clone(), inline).expect("journal");
        let log = journal.stream(StreamId(1));
        (journal, Storage { log, tables: kept.tables.clone(), spool: None })
    }

    /// Starts a node on what it kept.
    pub async fn start(&mut self, node: u64) -> Arc<Group> {
        let (journal, storage) = self.storage(node);
        let machines = Machines::new().with(SCOPE, Arc::new(Tally::default())).expect("scope");
        let mut options = GroupOptions::new(1, node);
        (self.options)(&mut options);
        let end = Arc::new(End { node, net: self.net.clone() });
        let group = Group::start(options, storage, machines, end).await.expect("start");
        self.net.groups.lock().expect("lock").insert(node, group.clone());
        self.journals.insert(node, journal);
        group
    }

    /// Ends a node's process. What it kept stays, or with `wipe` goes too.
    pub async fn stop(&mut self, node: u64, wipe: bool) {
        let group = self.net.groups.lock().expect("lock").remove(&node).expect("runs");
        group.shutdown().await;
        self.journals.remove(&node);
        if wipe {
            self.machines.remove(&node);
        }
    }

    /// Index of the first entry that a node's log has.
    pub fn log_begins(&self, node: u64) -> u64 {
        let journal = self.journals.get(&node).expect("runs");
        journal.stream(StreamId(1)).first().unwrap_or(0)
    }

    pub fn group(&self, node: u64) -> Arc<Group> {
        self.net.groups.lock().expect("lock").get(&node).cloned().expect("runs")
    }

    pub fn any(&self) -> Arc<Group> {
        self.net.groups.lock().expect("lock").values().next().cloned().expect("one runs")
    }

    /// Makes a started node a voter.
    pub async fn join(&self, node: u64) {
        let group = self.any();
        let add = MemberChange::Add { node, address: format!("node-{node}") };
        group.change_members(&add).await.expect("add");
        group.change_members(&MemberChange::Promote { node }).await.expect("promote");
    }

    /// The node that leads, once there is one among those that run and are reached.
    pub async fn leader(&self) -> u64 {
        for _ in 0..1_000 {
            let groups: Vec<_> = self.net.groups.lock().expect("lock").values().cloned().collect();
            let leading = groups
                .iter()
                .map(|group| group.status())
                .filter(|status| status.leadership.leading);
            if let Some(status) = leading.max_by_key(|status| status.leadership.term) {
                return status.node;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("no leader in 20 s");
    }
}

/// Adds to a number by way of `group`.
pub async fn add(group: &Arc<Group>, name: &str, more: u64) -> u64 {
    let replica = Scoped::new(group.clone(), SCOPE);
    let done = replica.propose(Tell::Add(name.into(), more).bytes()).await.expect("propose");
    reply(&done.reply)
}

/// Reads a number by way of `group`.
pub async fn value(group: &Arc<Group>, name: &str, consistency: Consistency) -> Option<u64> {
    let snapshot = Scoped::new(group.clone(), SCOPE).read(consistency).await.expect("read");
    snapshot.view().get(&key(name)).expect("get").map(|bytes| reply(&bytes))
}

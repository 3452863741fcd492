//! One node of the world: a member with its disk, its clock, and a runtime of its own.
//!
//! Each node has a tokio runtime with a clock that stands still unless the world moves it. So a node can
//! be killed (the runtime is dropped, with every task in it), frozen (it is not run), and have a clock
//! that is too fast or too slow.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream;
use regrow_catalog::machine::CatalogMachine;
use regrow_catalog::query::Client;
use regrow_consensus::group::GroupError;
use regrow_consensus::{
    Consistency, Group, GroupOptions, Machine, Machines, MemoryFile, Replica as _, Scoped,
    Snapshot, Storage, Tables,
};
use regrow_coord::{Bounds, Coordinator as _, KeyMachine, Quorum};
use regrow_journal::disk::Disk;
use regrow_journal::disk::memory::MemoryDisk;
use regrow_journal::{Journal, Mode, Options, Slot, StreamId};
use tokio::runtime::{Builder, Runtime};
use tokio::time::Instant;

use super::canary::Canary;
use super::candidates;
use super::clients::{Server, Spotted, serve};
use super::kind::Kind;
use super::lying::LyingDisk;
use super::machine::SimMachine;
use super::net::{Answer, Body, Message, Place};
use super::observer::{Observer, Shared, Window};
use super::on_catalog::OnCatalog;
use super::on_keys::{self, OnKeys};
use super::orderly::Orderly;
use super::port::Port;
use super::watched::Watched;
use crate::seed::{Random, SeedTree};

const STREAM: StreamId = StreamId(1);
/// Where a member keeps its vote.
const VOTE: Slot = Slot(1);

/// How all members of a world are set up.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Commands after which a snapshot is made.
    pub snapshot_every: u64,
    /// Entries that stay behind a snapshot.
    pub keep: u64,
    /// How long a command looks for a leader.
    pub within: Duration,
    /// Size of the journal's segments.
    pub segment_bytes: u32,
    /// The machine.
    pub kind: Kind,
    /// How new the clients' reads of the product's machines are.
    pub reads: Consistency,
    /// Revisions of coordination keys that are kept for watchers.
    pub history: usize,
    /// The bug that this world has.
    pub canary: Option<Canary>,
}

/// What runs.
struct Life {
    // Dropped in this order: tasks first, then what they used.
    runtime: Runtime,
    group: Arc<Group>,
    journal: Journal,
    port: Arc<Port>,
    server: Arc<Server>,
    began: Instant,
    /// How far its clock has come, in microseconds.
    clock: u64,
}

/// How a node is stopped. Times are of the world, in microseconds.
#[derive(Clone, Copy, Debug)]
pub struct Frozen {
    /// Since when.
    pub since: u64,
    /// Until when.
    pub until: u64,
    /// Whether its clock stands meanwhile, as that of a machine that is suspended; that of a process
    /// that is stopped goes on.
    pub stands: bool,
}

/// The product's machine of a world.
enum Product {
    None,
    Keys(Arc<KeyMachine>),
    Catalog(Arc<CatalogMachine>),
}

/// A node, running or not.
pub struct Node {
    /// Its id.
    pub id: u64,
    /// How often it was started.
    pub lives: u64,
    /// Set while it is stopped.
    pub frozen: Option<Frozen>,
    /// How fast its clock goes, in percent.
    pub rate: u64,
    /// The journal's disk.
    pub disk: MemoryDisk,
    /// The tables' file.
    pub file: MemoryFile,
    /// What it told its watchers.
    pub observer: Arc<Observer>,
    setup: Setup,
    random: Random,
    chance: u64,
    life: Option<Life>,
    old_vote: Option<bytes::Bytes>,
}

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its journal cannot be used.
    #[error("open the journal: {0}")]
    Journal(#[from] regrow_journal::OpenError),
    /// Its tables cannot be used.
    #[error("open the tables: {0}")]
    Tables(#[from] regrow_consensus::TableError),
    /// The member does not start.
    #[error(transparent)]
    Group(#[from] GroupError),
    /// There is no runtime.
    #[error("make a runtime: {0}")]
    Runtime(#[from] io::Error),
    /// Two machines share a scope.
    #[error(transparent)]
    Machines(#[from] regrow_consensus::MachinesError),
}

impl Node {
    /// A node that was never started.
    pub fn new(id: u64, setup: Setup, seed: SeedTree, shared: Shared) -> Self {
        let mut random = seed.member("node", id).random();
        let skew = random.between(0, 7_200_000).cast_signed() - 3_600_000;
        Self {
            id,
            lives: 0,
            frozen: None,
            rate: 100,
            disk: MemoryDisk::new(),
            file: MemoryFile::new(),
            observer: Arc::new(Observer::new(id, skew, setup.kind, shared)),
            setup,
            chance: random.next_u64(),
            random,
            life: None,
            old_vote: None,
        }
    }

    /// Whether it runs.
    pub fn runs(&self) -> bool {
        self.life.is_some()
    }

    /// Its member, where it runs.
    pub fn group(&self) -> Option<&Arc<Group>> {
        self.life.as_ref().map(|life| &life.group)
    }

    /// Why it stopped by itself, if it did.
    pub fn halted(&self) -> Option<String> {
        self.group()?.halted()
    }

    /// Everything in its tables now.
    pub fn tables(&self) -> Option<Snapshot> {
        let life = self.life.as_ref()?;
        life.runtime.block_on(life.group.read(Consistency::Stale)).ok()
    }

    /// Starts it on what its disks hold, at world time `now`.
    ///
    /// # Errors
    /// Its disks cannot be used.
    pub fn start(&mut self, now: u64, bootstrap: bool) -> Result<(), StartError> {
        self.lives += 1;
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build()?;
        let lies = self.setup.canary == Some(Canary::AckBeforeFlush);
        let disk: Arc<dyn Disk> =
            if lies { Arc::new(LyingDisk(self.disk.clone())) } else { Arc::new(self.disk.clone()) };
        let options = Options {
            mode: Mode::Inline,
            segment_bytes: self.setup.segment_bytes,
            ..Options::default()
        };
        let (journal, _) = Journal::open_on(disk, options)?;
        self.tamper(&journal);
        self.old_vote = journal.stream(STREAM).load(VOTE);
        let tables = Tables::in_memory_file(&self.file)?;
        let storage = Storage { log: journal.stream(STREAM), tables, spool: None };
        let (machine, product) = self.machine();
        let machines = Machines::new().with(self.setup.kind.scope(), machine)?;
        let port = Arc::new(Port::new(self.id, self.lives, self.setup.canary));
        let mut options = GroupOptions::new(1, self.id);
        options.snapshot_every = self.setup.snapshot_every;
        options.keep = self.setup.keep;
        options.within = self.setup.within;
        let before = regrow_consensus::chance::seed(Some(self.chance));
        let started = runtime.block_on(async {
            let began = Instant::now();
            self.observer.begin(Window { began: now, local: began, rate: self.rate });
            let group = Group::start(options, storage, machines, port.clone()).await?;
            if bootstrap {
                group.bootstrap(&address(self.id)).await?;
            }
            let server = Arc::new(self.server(&group, &port, product));
            Ok::<_, GroupError>((group, server, began))
        });
        self.chance = regrow_consensus::chance::seed(before).unwrap_or(self.chance);
        let (group, server, began) = started?;
        self.life = Some(Life { runtime, group, journal, port, server, began, clock: 0 });
        Ok(())
    }

    /// The machine of this world, and a handle to it where it is the product's.
    fn machine(&self) -> (Arc<dyn Machine>, Product) {
        let (observer, canary) = (self.observer.clone(), self.setup.canary);
        let watched = |inner: Arc<dyn Machine>| -> Arc<dyn Machine> {
            Arc::new(Watched { inner, observer: observer.clone(), canary })
        };
        match self.setup.kind {
            Kind::Store => {
                (Arc::new(SimMachine { observer: observer.clone(), canary }), Product::None)
            }
            Kind::Keys => {
                let bounds = Bounds { revisions: self.setup.history, ..Bounds::default() };
                let machine = Arc::new(KeyMachine::new(bounds));
                (watched(machine.clone()), Product::Keys(machine))
            }
            Kind::Catalog => {
                let machine = Arc::new(CatalogMachine::new());
                (watched(machine.clone()), Product::Catalog(machine))
            }
        }
    }

    /// Who answers the clients of this node. On coordination keys a candidate runs beside it.
    fn server(&self, group: &Arc<Group>, port: &Arc<Port>, product: Product) -> Server {
        let Setup { kind, reads, within, canary, .. } = self.setup;
        let orderly = Orderly { group: group.clone(), port: port.clone() };
        let replica = Scoped::new(Arc::new(orderly), kind.scope());
        match product {
            Product::None => Server::Store,
            Product::Keys(machine) => {
                let quorum = Quorum::new(replica, &machine, within);
                tokio::spawn(candidates::campaign(quorum.clone(), self.observer.clone(), canary));
                Server::Keys(OnKeys { quorum, reads })
            }
            Product::Catalog(machine) => {
                let client = Client::new(Arc::new(replica), machine.hub());
                Server::Catalog(OnCatalog { client, reads })
            }
        }
    }

    /// What a watch of all coordination keys from this revision on delivers at once.
    pub fn spot(&self, from: u64) -> Option<Spotted> {
        let life = self.life.as_ref()?;
        let Server::Keys(keys) = &*life.server else { return None };
        let mut spotted = Spotted::default();
        life.runtime.block_on(async {
            let span = regrow_coord::Span::all();
            let from = regrow_ids::Revision::new(from);
            let Ok(mut watch) = keys.quorum.watch(&span, from).await else { return };
            spotted = on_keys::spot(&mut watch, Duration::from_millis(1)).await;
        });
        Some(spotted)
    }

    /// What some bugs do to the log while the node is down.
    fn tamper(&mut self, journal: &Journal) {
        let stream = journal.stream(STREAM);
        match self.setup.canary {
            Some(Canary::DroppedTail) if self.random.chance(50) => {
                let floor = stream.purged().unwrap_or(0);
                let keep = stream.last().map(|last| last.saturating_sub(3).max(floor));
                if let Some(keep) = keep {
                    stream.truncate_after(Some(keep), |_| {});
                }
            }
            Some(Canary::ForgottenVote) => {
                if let Some(vote) = self.old_vote.take() {
                    stream.save(VOTE, vote, |_| {});
                }
            }
            _ => {}
        }
    }

    /// Ends it without a word. With `power` what was not flushed is lost, all or in part; without,
    /// only the process is gone and the operating system keeps what was written.
    pub fn kill(&mut self, power: bool) {
        let mut fate = self.random.clone();
        let seed = match self.random.below(4) {
            _ if !power => u64::MAX,
            0 => 0,
            _ => self.random.next_u64(),
        };
        self.disk.crash(seed);
        let lies = self.setup.canary == Some(Canary::TablesNotFlushed);
        let all = seed == u64::MAX;
        if !lies || all {
            self.file.cut(|| all || (seed != 0 && fate.chance(50)));
        }
        if lies && power {
            self.file = MemoryFile::new();
        }
        self.end();
    }

    /// Takes everything away that it had on its disks.
    pub fn wipe(&mut self) {
        self.end();
        self.disk = MemoryDisk::new();
        self.file = MemoryFile::new();
    }

    fn end(&mut self) {
        if let Some(Life { runtime, group, journal, port, server, .. }) = self.life.take() {
            drop(runtime);
            drop((group, port, server));
            drop(journal);
        }
        self.frozen = None;
    }

    /// Runs it from world time `from` to `until` with what arrives meanwhile; returns what it sends,
    /// with the time of each.
    pub fn run(
        &mut self,
        from: u64,
        until: u64,
        inbox: Vec<(u64, Message)>,
    ) -> Vec<(u64, Message)> {
        let rate = self.rate;
        let Some(life) = &mut self.life else { return Vec::new() };
        let before = regrow_consensus::chance::seed(Some(self.chance));
        let local = life.began + whole_millis(life.clock);
        let window = Window { began: from, local, rate };
        self.observer.begin(window);
        life.port.begin(window);
        life.clock += (until - from) * rate / 100;
        let end = life.began + whole_millis(life.clock);
        let (group, port, server) = (&life.group, &life.port, &life.server);
        life.runtime.block_on(async {
            for (at, message) in inbox {
                let due = local + Duration::from_micros((at.max(from) - from) * rate / 100);
                let (group, port, server) = (group.clone(), port.clone(), server.clone());
                tokio::spawn(async move {
                    tokio::time::sleep_until(due).await;
                    receive(&group, &port, &server, message).await;
                });
            }
            tokio::time::sleep_until(end).await;
        });
        self.chance = regrow_consensus::chance::seed(before).unwrap_or(self.chance);
        let mut sent = life.port.take();
        sent.iter_mut().for_each(|(at, _)| *at = (*at).clamp(from, until - 1));
        sent
    }

    /// Lets it go on after it was stopped, at world time `now`: its clock jumps ahead where it did not
    /// stand.
    pub fn thaw(&mut self, now: u64) {
        let rate = self.rate;
        let by = match self.frozen.take() {
            Some(Frozen { since, stands: false, .. }) => now - since,
            _ => return,
        };
        let Some(life) = &mut self.life else { return };
        let from = life.began + whole_millis(life.clock);
        life.clock += by * rate / 100;
        let to = life.began + whole_millis(life.clock);
        life.runtime.block_on(tokio::time::advance(to - from));
    }
}

/// Where a node is reached.
pub fn address(node: u64) -> String {
    format!("node-{node}:7400")
}

fn whole_millis(micros: u64) -> Duration {
    Duration::from_millis(micros / 1_000)
}

/// Does what a message asks.
async fn receive(group: &Arc<Group>, port: &Arc<Port>, server: &Server, message: Message) {
    let Message { from, life, call, body, .. } = message;
    let sender = match from {
        Place::Node(node) => node,
        Place::Client(_) => 0,
    };
    let answer = match body {
        Body::Answer(answer) => return port.answered(life, call, answer),
        Body::Ask(ask, bytes) => group.answer(sender, ask, bytes).await,
        Body::Image(head, chunks) => {
            // One that was cut off on the way is for the member to notice.
            let chunks = stream::iter(chunks.into_iter().map(Ok)).boxed();
            group.answer_image(sender, head, chunks).await
        }
        Body::Request(request) => {
            let reply = serve(group, port, server, request).await;
            return port.send(from, life, call, Body::Reply(reply));
        }
        Body::Reply(_) => return,
    };
    let answer = match answer {
        Ok(bytes) => Answer::Done(bytes),
        Err(error) => Answer::Failed(error.to_string()),
    };
    port.send(from, life, call, Body::Answer(answer));
}

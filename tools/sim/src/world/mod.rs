//! A simulated world: members of a Raft group with disks, clocks and a network that fail, clients that
//! record what they see, and a verdict.
//!
//! The product's own code runs: [`Group`](regrow_consensus::Group) on the journal and its tables, and by
//! [`Kind`] the coordination keys with their client and their election, or the catalog, or a small store
//! of the world's own that sees more of consensus itself. Only what is below and around it belongs to
//! the world. Everything is drawn from one seed, one thread runs it, and no real time passes, so that a
//! seed is a run.
//!
//! Time goes in windows of [`WINDOW`]: in each, one node after the other runs alone. Since no message
//! takes less than a window, none can miss what another says in the same one.
//!
//! A run has two phases. In the first the [`nemesis`] strikes. Then everything is healed, and the group
//! must serve again within ten election time-outs, have everything that it acknowledged, and be equal
//! on all members.
//!
//! **What it does not show.** The journal runs inline, so a slow disk is a node that stops for moments and
//! appended entries are never still on their way to the disk while the member goes on; wall clocks matter
//! to nobody below; there is one version of commands only, so nobody runs another one beside it; a wait of
//! the catalog ends when its client gives up, since its own end is drawn by chance; and tokio decides by chance in which order several tasks wake that wait for one
//! `watch`, which this world makes irrelevant (see [`net`] and `port`) rather than repeatable.

pub mod canary;
mod candidates;
mod clients;
mod crowd;
mod damage;
pub mod fault;
mod holders;
mod judge_catalog;
mod judge_keys;
mod keys;
pub mod kind;
mod look;
mod lying;
mod machine;
pub mod nemesis;
pub mod net;
mod node;
mod observer;
mod on_catalog;
mod on_keys;
mod operator;
mod orderly;
mod outcome;
mod port;
mod sleepers;
mod verdict;
mod watched;
mod watchers;

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use regrow_consensus::Consistency;
use regrow_consensus::group::MemberChange;

use canary::Canary;
use clients::{Request, Wish};
use crowd::Crowd;
use fault::Fault;
use keys::Record;
use kind::Kind;
use machine::What;
use nemesis::Nemesis;
use net::{Body, LEAST_DELAY, Message, Net, Place};
use node::{Node, Setup};
use observer::Shared;
use operator::Operator;

use crate::models::store::StoreOp;
use crate::seed::{Random, SeedTree};

pub use outcome::{Outcome, Stats, Violation};

/// How long a node runs alone, in microseconds.
pub const WINDOW: u64 = LEAST_DELAY;
/// Ten election time-outs: a write must have succeeded by then after everything was healed.
const SERVES_WITHIN: u64 = 20_000_000;
const SECOND: u64 = 1_000_000;
/// The client that asks whether the group serves.
const PROBE: u64 = 900;
const OPERATOR: u64 = 901;

/// What a run depends on beside its seed.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long faults go on, in seconds of the world.
    pub seconds: u64,
    /// The machine that the world runs. A canary brings its own.
    pub kind: Kind,
    /// The bug that the world is given.
    pub canary: Option<Canary>,
    /// The faults that exist; drawn from the seed where this is none.
    pub faults: Option<Vec<Fault>>,
}

impl Default for Options {
    fn default() -> Self {
        Self { seconds: 30, kind: Kind::Store, canary: None, faults: None }
    }
}

/// Runs the world of a seed.
pub fn run(seed: u64, options: &Options) -> Outcome {
    let mut world = World::new(seed, options);
    world.begin();
    world.suffer(options.seconds * SECOND);
    world.recover();
    world.close();
    world.judge()
}

/// All there is.
pub struct World {
    seed: u64,
    tree: SeedTree,
    now: u64,
    setup: Setup,
    nodes: BTreeMap<u64, Node>,
    /// Nodes that belong to the group, as the operator knows: who asks, asks one of them.
    joined: BTreeSet<u64>,
    /// Nodes that were removed from the group.
    removed: BTreeSet<u64>,
    /// Nodes that cannot be started any more.
    dead: BTreeSet<u64>,
    /// Nodes whose disk may be damaged.
    damaged: BTreeSet<u64>,
    net: Net,
    nemesis: Nemesis,
    crowd: Crowd,
    operator: Operator,
    record: Record,
    shared: Shared,
    choice: Random,
    /// Which node each client's open request went to.
    asked: BTreeMap<u64, u64>,
    closing: bool,
    /// The fastest clock that there was, in percent.
    fastest: u64,
    probed: Option<u64>,
    /// Times in which something disturbed the group, from and to.
    rough: Vec<(u64, u64)>,
    /// The newest term in which somebody led.
    term: u64,
    trace: u64,
    violations: Vec<Violation>,
    notes: Vec<String>,
}

impl World {
    fn new(seed: u64, options: &Options) -> Self {
        let tree = SeedTree::new(seed).branch("world");
        let mut random = tree.branch("setup").random();
        let kind = options.canary.map_or(options.kind, Canary::kind);
        let mut setup = Setup {
            snapshot_every: *random.pick(&[30, 200, 2_000]).unwrap_or(&200),
            keep: *random.pick(&[0, 20, 200]).unwrap_or(&20),
            within: Duration::from_millis(random.between(2_000, 8_000)),
            segment_bytes: *random.pick(&[64 << 10, 256 << 10, 1 << 20]).unwrap_or(&(64 << 10)),
            kind,
            reads: Consistency::Linearizable,
            history: usize::MAX,
            canary: options.canary,
        };
        let mut record = Record::default();
        let clients = tree.branch("clients");
        let count = random.between(2, 6);
        let crowd = Crowd::new(kind, count, clients, &mut record);
        let nemesis =
            Nemesis::new(kind, tree.branch("nemesis"), options.faults.as_deref(), &mut setup);
        let mut world = Self {
            seed,
            tree,
            now: 0,
            setup,
            nodes: BTreeMap::new(),
            joined: BTreeSet::from([1]),
            removed: BTreeSet::new(),
            dead: BTreeSet::new(),
            damaged: BTreeSet::new(),
            net: Net::new(tree.branch("net")),
            nemesis,
            crowd,
            operator: Operator::new(OPERATOR),
            record,
            shared: Shared::default(),
            choice: tree.branch("choice").random(),
            asked: BTreeMap::new(),
            closing: false,
            fastest: 100,
            probed: None,
            rough: Vec::new(),
            term: 0,
            trace: 0,
            violations: Vec::new(),
            notes: Vec::new(),
        };
        let nodes = if random.chance(60) { 3 } else { 5 };
        (0..nodes).for_each(|_| _ = world.add_node());
        world
    }

    /// Forms the group, undisturbed.
    fn begin(&mut self) {
        for node in self.ids().into_iter().skip(1) {
            let address = node::address(node);
            self.operator.plan.push_back(MemberChange::Add { node, address });
            self.operator.plan.push_back(MemberChange::Promote { node });
        }
        let late = self.now + 60 * SECOND;
        while !self.operator.plan.is_empty() && self.now < late {
            self.tick();
        }
        if !self.operator.plan.is_empty() {
            self.violations.push(Violation::NotServing("the group was not formed".into()));
        }
    }

    fn suffer(&mut self, time: u64) {
        let until = self.now + time;
        while self.now < until && self.violations.is_empty() {
            self.strike();
            self.tick();
        }
    }

    /// Heals everything and waits for the group to serve.
    fn recover(&mut self) {
        self.note("heal");
        self.heal();
        let late = self.now + SERVES_WITHIN;
        let mut next = self.now;
        while self.probed.is_none() && self.now < late {
            if self.now >= next {
                next += SECOND / 2;
                let op = StoreOp::Put { key: "probe".into(), value: 1 };
                let id = (PROBE << 40) | (self.now / WINDOW);
                self.ask(PROBE, Request { id, wish: Wish::Do(What::Store(op)) });
            }
            self.tick();
        }
        if self.probed.is_none() {
            let reason = format!("no write succeeded within {SERVES_WITHIN} us after the heal");
            self.violations.push(Violation::NotServing(reason));
        }
    }

    /// Lets everybody finish, and all members become equal.
    fn close(&mut self) {
        let late = self.now + 60 * SECOND;
        while self.now < late && self.violations.is_empty() {
            self.closing = self.operator.plan.is_empty();
            self.tick();
            let idle = self.closing && self.crowd.keys.iter().all(|client| !client.waits());
            if idle && self.now.is_multiple_of(SECOND) && self.is_settled() {
                return;
            }
        }
        if self.violations.is_empty() {
            let reason = "members did not become equal within 60 s after the heal";
            self.violations.push(Violation::NotServing(reason.into()));
        }
    }

    fn mix(&mut self, what: &impl Hash) {
        let mut hasher = DefaultHasher::new();
        (self.trace, what).hash(&mut hasher);
        self.trace = hasher.finish();
    }

    /// A node that was never there, running.
    fn add_node(&mut self) -> u64 {
        let id = self.nodes.keys().last().map_or(1, |last| last + 1);
        let node =
            Node::new(id, self.setup.clone(), self.tree.branch("nodes"), self.shared.clone());
        self.nodes.insert(id, node);
        self.start(id);
        id
    }

    fn start(&mut self, id: u64) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        if node.runs() || self.removed.contains(&id) || self.dead.contains(&id) {
            return;
        }
        self.nemesis.sick.remove(&id);
        let bootstrap = id == 1 && node.lives == 0;
        self.notes.push(format!("{:>10} start node {id}", self.now));
        if let Err(error) = node.start(self.now, bootstrap) {
            let reason = error.to_string();
            self.note(&format!("node {id} does not start: {reason}"));
            if self.damaged.contains(&id) {
                self.nemesis.lost = Some(id);
                self.dead.insert(id);
            } else {
                self.violations.push(Violation::Halted { node: id, reason });
            }
        }
    }

    fn kill(&mut self, id: u64, power: bool) {
        let Some(node) = self.nodes.get_mut(&id).filter(|node| node.runs()) else { return };
        node.kill(power);
        self.notes.push(format!("{:>10} kill node {id}, power {power}", self.now));
        // Connections of clients break.
        let waiting: Vec<u64> =
            self.asked.iter().filter(|(_, node)| **node == id).map(|(client, _)| *client).collect();
        for client in waiting {
            self.asked.remove(&client);
            let now = self.now;
            self.crowd.lost(now, client, &mut self.record);
            if client == OPERATOR {
                self.operator.lost(now);
            }
        }
    }

    /// Sends a client's request to one of the nodes.
    fn ask(&mut self, client: u64, request: Request) {
        let joined: Vec<u64> = self.joined.iter().copied().collect();
        let Some(node) = self.choice.pick(&joined).copied() else { return };
        self.asked.insert(client, node);
        let (from, to) = (Place::Client(client), Place::Node(node));
        let message = Message { from, life: 0, to, call: 0, body: Body::Request(request) };
        self.net.send(self.now, message);
    }

    /// One window.
    fn tick(&mut self) {
        let until = self.now + WINDOW;
        self.let_clients_ask();
        let mut sent = Vec::new();
        for id in self.nodes.keys().copied().collect::<Vec<_>>() {
            sent.extend(self.run_node(id, until));
        }
        for (at, message) in sent {
            self.net.send(at, message);
        }
        self.now = until;
        self.note_leader();
        self.note_calm();
        for client in self.net.awaited(until) {
            for (_, message) in self.net.arrivals(Place::Client(client), until) {
                if let Body::Reply(reply) = message.body {
                    self.answer(client, reply);
                }
            }
        }
    }

    fn let_clients_ask(&mut self) {
        let (now, closing) = (self.now, self.closing);
        let mut requests = self.crowd.step(now, closing, &mut self.record);
        requests.extend(self.operator.step(now).map(|request| (OPERATOR, request)));
        for (client, request) in requests {
            self.ask(client, request);
        }
    }

    fn run_node(&mut self, id: u64, until: u64) -> Vec<(u64, Message)> {
        let Some(node) = self.nodes.get_mut(&id) else { return Vec::new() };
        if !node.runs() {
            for (at, message) in self.net.arrivals(Place::Node(id), until) {
                self.net.refuse(at, &message);
            }
            return Vec::new();
        }
        if node.frozen.is_some_and(|frozen| self.now < frozen.until) {
            return Vec::new();
        }
        node.thaw(self.now);
        let inbox = self.net.arrivals(Place::Node(id), until);
        let sent = node.run(self.now, until, inbox);
        let halted = node.halted();
        if let Some(reason) = halted
            && !self.nemesis.sick.contains(&id)
            && !self.damaged.contains(&id)
            && !self.violations.iter().any(|known| known.is_halt_of(id))
        {
            self.violations.push(Violation::Halted { node: id, reason });
        }
        sent
    }

    fn answer(&mut self, client: u64, reply: clients::Reply) {
        let now = self.now;
        self.asked.remove(&client);
        if client == OPERATOR {
            self.note(&format!("operator: {:?}", reply.told));
            match self.operator.hear(now, &reply) {
                Some(MemberChange::Add { node, .. }) => _ = self.joined.insert(node),
                Some(MemberChange::Remove { node }) => {
                    self.removed.insert(node);
                    self.joined.remove(&node);
                }
                _ => {}
            }
        } else if client == PROBE {
            if matches!(reply.told, clients::Outcome::Done(..)) {
                self.probed.get_or_insert(now);
            }
        } else {
            self.crowd.hear(now, client, reply, &mut self.record);
        }
    }
}

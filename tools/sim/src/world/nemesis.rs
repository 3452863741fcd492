//! The nemesis: which faults exist in a run, and when each strikes.
//!
//! Faults stay within what the group promises to survive: what was flushed is there after a power cut
//! even of all; disks are damaged one node at a time, and the next only after that node was replaced.

use std::collections::{BTreeMap, BTreeSet};

use regrow_consensus::group::MemberChange;
use regrow_journal::disk::Disk as _;
use regrow_journal::disk::memory::Faults;

use super::World;
use super::canary::Canary;
use super::net::Weather;
use super::node::Frozen;
use crate::seed::Random;

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// A process ends; it is started again later.
    Kill,
    /// A node loses power; what it had not flushed is gone, in part or in whole.
    Power,
    /// All lose power at once.
    PowerOfAll,
    /// The power goes at one of the next operations of a disk, most often in a write or flush.
    PowerInFlush,
    /// A node is stopped and goes on later, its clock with it or ahead of it.
    Freeze,
    /// Two parts do not hear each other.
    Halves,
    /// Two parts share one node only.
    Bridge,
    /// One node is heard and does not hear, or the other way round.
    OneWay,
    /// The leader is alone.
    LeaderAlone,
    /// Messages are lost, late, doubled, spoilt.
    Weather,
    /// A node's clock is too fast or too slow.
    Drift,
    /// A write or flush fails.
    DiskError,
    /// A disk is full.
    DiskFull,
    /// A bit of a journal flips while its node is down.
    BitFlip,
    /// Nodes come and go.
    Members,
    /// Another node is told to lead.
    Transfer,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::Kill,
        Self::Power,
        Self::PowerOfAll,
        Self::PowerInFlush,
        Self::Freeze,
        Self::Halves,
        Self::Bridge,
        Self::OneWay,
        Self::LeaderAlone,
        Self::Weather,
        Self::Drift,
        Self::DiskError,
        Self::DiskFull,
        Self::BitFlip,
        Self::Members,
        Self::Transfer,
    ];
}

/// What ends a fault.
#[derive(Clone, Copy, Debug)]
enum Ending {
    Start(u64),
    Join,
    Calm,
    Clock(u64),
}

/// The faults of one run.
pub struct Nemesis {
    /// Which exist.
    pub faults: BTreeSet<Fault>,
    random: Random,
    next: u64,
    endings: BTreeMap<(u64, u64), Ending>,
    count: u64,
    /// Disk operations of nodes at which their power goes.
    cuts: BTreeMap<u64, u64>,
    /// Nodes whose disk was given a fault since they were started last.
    pub sick: BTreeSet<u64>,
    /// A node that cannot be started any more, and waits to be replaced.
    pub lost: Option<u64>,
    /// Faults that struck.
    pub struck: u64,
}

const SECOND: u64 = 1_000_000;

impl Nemesis {
    /// Draws which faults exist.
    pub fn new(mut random: Random, only: Option<&[Fault]>) -> Self {
        let share = *random.pick(&[0, 20, 40, 70]).unwrap_or(&40);
        let mut faults: BTreeSet<Fault> =
            Fault::ALL.into_iter().filter(|_| random.chance(share)).collect();
        if let Some(only) = only {
            faults = only.iter().copied().collect();
        }
        Self {
            faults,
            random,
            next: 0,
            endings: BTreeMap::new(),
            count: 0,
            cuts: BTreeMap::new(),
            sick: BTreeSet::new(),
            lost: None,
            struck: 0,
        }
    }

    fn later(&mut self, at: u64, ending: Ending) {
        self.count += 1;
        self.endings.insert((at, self.count), ending);
    }

    fn span(&mut self, most: u64) -> u64 {
        self.random.between(SECOND / 5, most * SECOND)
    }
}

impl World {
    /// Ends what has lasted long enough, and begins what is due.
    pub(super) fn strike(&mut self) {
        while let Some(entry) = self.nemesis.endings.first_entry() {
            if entry.key().0 > self.now {
                break;
            }
            let ending = entry.remove();
            self.end_fault(ending);
        }
        self.watch_cuts();
        if self.now < self.nemesis.next {
            return;
        }
        self.nemesis.next = self.now + self.nemesis.span(5);
        let faults: Vec<Fault> = self.nemesis.faults.iter().copied().collect();
        if let Some(fault) = self.nemesis.random.pick(&faults).copied() {
            self.nemesis.struck += 1;
            self.note(&format!("{fault:?}"));
            self.begin_fault(fault);
        }
    }

    /// Ends all faults and brings everybody back who can come back.
    pub(super) fn heal(&mut self) {
        self.net.heal();
        self.net.weather = Weather { jitter: 3_000, ..Weather::default() };
        self.nemesis.endings.clear();
        self.nemesis.cuts.clear();
        let now = self.now;
        for node in self.ids() {
            if let Some(node) = self.nodes.get_mut(&node) {
                node.rate = 100;
                node.disk.set_faults(Faults::default());
                node.thaw(now);
            }
            if self.nemesis.sick.contains(&node) {
                self.kill(node, false);
            }
            self.start(node);
        }
        if self.nemesis.lost.is_some() {
            self.replace_lost();
        }
    }

    fn end_fault(&mut self, ending: Ending) {
        match ending {
            Ending::Start(node) => {
                self.start(node);
                if self.nemesis.lost == Some(node) {
                    self.replace_lost();
                }
            }
            Ending::Join => self.net.heal(),
            Ending::Calm => {
                self.net.weather = Weather { jitter: 3_000, ..Weather::default() };
            }
            Ending::Clock(node) => {
                if let Some(node) = self.nodes.get_mut(&node) {
                    node.rate = 100;
                }
            }
        }
    }

    /// Kills nodes whose disk lost its power.
    fn watch_cuts(&mut self) {
        for (node, at) in self.nemesis.cuts.clone() {
            let reached =
                self.nodes.get(&node).is_some_and(|node| node.disk.counts().operations >= at);
            if reached {
                self.nemesis.cuts.remove(&node);
                self.down(node, true);
            }
        }
        // Who stopped by itself because of its disk is started again by its operator.
        for node in self.ids() {
            if self.nemesis.sick.contains(&node)
                && self.nodes.get(&node).is_some_and(|node| node.halted().is_some())
            {
                self.down(node, false);
            }
        }
    }

    /// Kills a node and starts it again later.
    fn down(&mut self, node: u64, power: bool) {
        self.kill(node, power);
        if self.setup.canary == Some(Canary::WipedNode) && self.nemesis.lost.is_none() {
            self.nodes.entry(node).and_modify(super::node::Node::wipe);
        }
        let at = self.now + self.nemesis.span(8);
        self.nemesis.later(at, Ending::Start(node));
    }

    fn victim(&mut self) -> Option<u64> {
        let running: Vec<u64> =
            self.ids().into_iter().filter(|node| self.nodes[node].runs()).collect();
        self.nemesis.random.pick(&running).copied()
    }

    fn begin_fault(&mut self, fault: Fault) {
        let Some(node) = self.victim() else { return };
        match fault {
            Fault::Kill => self.down(node, false),
            Fault::Power => self.down(node, true),
            Fault::PowerOfAll => {
                let all: Vec<u64> =
                    self.ids().into_iter().filter(|node| self.nodes[node].runs()).collect();
                all.into_iter().for_each(|node| self.down(node, true));
            }
            Fault::PowerInFlush => {
                let more = self.nemesis.random.between(1, 12);
                let disk = &self.nodes[&node].disk;
                let at = disk.counts().operations + more;
                disk.set_faults(Faults { cut_at: Some(at), ..Faults::default() });
                self.nemesis.sick.insert(node);
                self.nemesis.cuts.insert(node, at);
            }
            Fault::Freeze => self.freeze(node),
            Fault::Halves | Fault::Bridge | Fault::OneWay | Fault::LeaderAlone => {
                self.part(fault, node);
            }
            Fault::Weather => self.storm(),
            Fault::Drift => {
                let rate = *self.nemesis.random.pick(&[50, 80, 110, 150, 300]).unwrap_or(&100);
                self.nodes.entry(node).and_modify(|node| node.rate = rate);
                self.fastest = self.fastest.max(rate);
                let at = self.now + self.nemesis.span(10);
                self.nemesis.later(at, Ending::Clock(node));
            }
            Fault::DiskError | Fault::DiskFull => self.sicken(fault, node),
            Fault::BitFlip => self.flip(node),
            Fault::Members => self.change_members(node),
            Fault::Transfer => {
                self.operator.plan.push_back(MemberChange::Transfer { node });
            }
        }
    }

    fn freeze(&mut self, node: u64) {
        let node =
            if self.nemesis.random.chance(50) { self.leader().unwrap_or(node) } else { node };
        let (since, until) = (self.now, self.now + self.nemesis.span(6));
        let stands = self.nemesis.random.chance(50);
        let frozen = Frozen { since, until, stands };
        self.nodes.entry(node).and_modify(|node| node.frozen = node.frozen.or(Some(frozen)));
    }

    fn part(&mut self, fault: Fault, node: u64) {
        let mut ids = self.ids();
        self.nemesis.random.shuffle(&mut ids);
        let half = ids.len() / 2;
        let (left, right) = ids.split_at(half);
        let alone = if fault == Fault::LeaderAlone { self.leader().unwrap_or(node) } else { node };
        let one_way = self.nemesis.random.chance(50);
        let cut = |from: u64, to: u64| match fault {
            Fault::Halves => left.contains(&from) != left.contains(&to),
            // The first of the right part hears everybody.
            Fault::Bridge => {
                let bridge = right.first();
                Some(&from) != bridge
                    && Some(&to) != bridge
                    && left.contains(&from) != left.contains(&to)
            }
            Fault::OneWay => (if one_way { from } else { to }) == alone,
            _ => from == alone || to == alone,
        };
        let pairs = ids.iter().flat_map(|from| ids.iter().map(move |to| (*from, *to)));
        for (from, to) in pairs.filter(|(from, to)| from != to && cut(*from, *to)) {
            self.net.cut(from, to);
        }
        let at = self.now + self.nemesis.span(10);
        self.nemesis.later(at, Ending::Join);
    }

    fn storm(&mut self) {
        let random = &mut self.nemesis.random;
        let mut some = |most| if random.chance(60) { random.below(most) } else { 0 };
        self.net.weather = Weather {
            jitter: 3_000 + some(60_000),
            loss: some(25),
            late: some(20),
            double: some(20),
            spoil: some(60),
        };
        let at = self.now + self.nemesis.span(12);
        self.nemesis.later(at, Ending::Calm);
    }

    fn sicken(&mut self, fault: Fault, node: u64) {
        let disk = &self.nodes[&node].disk;
        let counts = disk.counts();
        let random = &mut self.nemesis.random;
        let (writes, syncs) =
            (counts.writes + random.between(1, 5), counts.syncs + random.between(1, 5));
        let faults = match random.below(3) {
            _ if fault == Fault::DiskFull => Faults { capacity: Some(0), ..Faults::default() },
            0 => Faults { fail_write: Some(writes), ..Faults::default() },
            1 => Faults { short_write: Some(writes), ..Faults::default() },
            _ => Faults { fail_sync: Some(syncs), ..Faults::default() },
        };
        disk.set_faults(faults);
        self.nemesis.sick.insert(node);
    }

    fn flip(&mut self, node: u64) {
        let whole = self.nemesis.lost.is_none() && self.operator.plan.is_empty();
        let voters = self.voters();
        // One that is down after a flip may turn out to be lost.
        let sound = |voter: &u64| !self.damaged.contains(voter) || self.nodes[voter].runs();
        let others = voters.iter().all(|voter| !self.dead.contains(voter) && sound(voter));
        if !whole || !others || voters.len() < 3 || !voters.contains(&node) {
            return;
        }
        self.kill(node, false);
        let disk = &self.nodes[&node].disk;
        let names = disk.list().unwrap_or_default();
        if let Some(name) = self.nemesis.random.pick(&names) {
            let (place, bit) = (self.nemesis.random.next_u64(), self.nemesis.random.below(8));
            disk.edit(name, |bytes| {
                let at = (place % (bytes.len() as u64).max(1)) as usize;
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << bit;
                }
            });
        }
        self.damaged.insert(node);
        self.nemesis.later(self.now + SECOND, Ending::Start(node));
    }

    /// Puts a new node in the place of the one that cannot be started.
    fn replace_lost(&mut self) {
        if let Some(lost) = self.nemesis.lost.take() {
            self.operator.plan.push_back(MemberChange::Remove { node: lost });
            self.join_another();
        }
    }

    fn join_another(&mut self) {
        let node = self.add_node();
        let address = super::node::address(node);
        self.operator.plan.push_back(MemberChange::Add { node, address });
        self.operator.plan.push_back(MemberChange::Promote { node });
    }

    fn change_members(&mut self, node: u64) {
        if self.operator.plan.len() > 2 {
            return;
        }
        let voters = self.voters();
        match self.nemesis.random.below(4) {
            0 | 1 if voters.len() <= 3 => self.join_another(),
            0 | 1 => self.operator.plan.push_back(MemberChange::Remove { node }),
            2 if voters.len() > 3 => {
                self.operator.plan.push_back(MemberChange::Demote { node });
            }
            _ => self.operator.plan.push_back(MemberChange::Promote { node }),
        }
    }
}

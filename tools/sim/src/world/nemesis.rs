//! The nemesis: which faults exist in a run, and when each strikes.
//!
//! Faults stay within what the group promises to survive: what was flushed is there after a power cut
//! even of all; disks are damaged one node at a time, and the next only after that node was replaced.

use std::collections::{BTreeMap, BTreeSet};

use regrow_consensus::Consistency;
use regrow_consensus::group::MemberChange;
use regrow_journal::disk::memory::Faults;

use super::World;
use super::canary::Canary;
use super::fault::Fault;
use super::kind::Kind;
use super::net::Weather;
use super::node::{Frozen, Setup};
use crate::seed::{Random, SeedTree};

/// What ends a fault.
#[derive(Clone, Copy, Debug)]
enum Ending {
    Start(u64),
    Join,
    Calm,
    Clock(u64),
    Disk(u64),
    Papers(u64),
}

/// The faults of one run.
pub struct Nemesis {
    /// Which exist.
    pub faults: BTreeSet<Fault>,
    pub(super) random: Random,
    next: u64,
    endings: BTreeMap<(u64, u64), Ending>,
    count: u64,
    /// Disk operations of nodes at which their power goes.
    cuts: BTreeMap<u64, u64>,
    /// Nodes whose disk was given a fault since they were started last.
    pub sick: BTreeSet<u64>,
    /// Rates of clocks that may be.
    rates: &'static [u64],
    /// Whether clocks may stand while their nodes are stopped.
    stands: bool,
    /// Nodes whose clocks change their rates, and when next.
    strobing: BTreeMap<u64, u64>,
    /// Nodes whose disks are slow.
    slow: BTreeSet<u64>,
    /// A node that cannot be started any more, and waits to be replaced.
    pub lost: Option<u64>,
    /// Faults that struck.
    pub struck: u64,
}

const SECOND: u64 = 1_000_000;

/// Rates of clocks in percent, where nobody trusts them.
const FAR: &[u64] = &[50, 80, 110, 150, 300];
/// Rates of clocks in percent, under which the leader's lease is worth nothing.
const WILD: &[u64] = &[10, 25, 400];
/// Rates of clocks in percent, where the leader's lease is trusted: a follower waits half as long again
/// as a leader trusts its lease, so none may be half as fast again as another.
const NEAR: &[u64] = &[85, 95, 105, 115, 125];

impl Nemesis {
    /// Draws which faults exist in a world of this kind, and whether its clients trust the leader's
    /// lease: then clocks keep within `NEAR` and do not stand.
    pub fn new(kind: Kind, seed: SeedTree, only: Option<&[Fault]>, setup: &mut Setup) -> Self {
        let mut random = seed.random();
        let share = *random.pick(&[0, 20, 40, 70]).unwrap_or(&40);
        let known = if kind == Kind::Store { Fault::FIRST } else { Fault::ALL.len() };
        let faults = Fault::ALL[..known].iter().copied();
        let mut faults: BTreeSet<Fault> = faults.filter(|_| random.chance(share)).collect();
        if let Some(only) = only {
            faults = only.iter().copied().collect();
        }
        let (mut rates, mut stands) = (FAR, true);
        if kind != Kind::Store {
            setup.history = *random.pick(&[20, 200, 10_000]).unwrap_or(&200);
            let drifts = setup.canary == Some(Canary::LeaseReadDrift);
            if drifts || (setup.canary.is_none() && random.chance(50)) {
                setup.reads = Consistency::Lease;
                (rates, stands) = if drifts { (WILD, true) } else { (NEAR, false) };
            }
            if drifts {
                faults = [Fault::Drift, Fault::LeaderAlone, Fault::Freeze].into();
            }
        }
        Self {
            faults,
            random,
            next: 0,
            endings: BTreeMap::new(),
            count: 0,
            cuts: BTreeMap::new(),
            sick: BTreeSet::new(),
            rates,
            stands,
            strobing: BTreeMap::new(),
            slow: BTreeSet::new(),
            lost: None,
            struck: 0,
        }
    }

    /// Whether clocks kept so close to one another that a holder's margin was enough.
    pub fn keeps_time(&self) -> bool {
        let clocks = [Fault::Drift, Fault::Strobe, Fault::Freeze];
        !clocks.iter().any(|fault| self.faults.contains(fault))
    }

    /// Whether something is wrong with this node's disk or clock.
    pub fn ails(&self, node: u64) -> bool {
        self.sick.contains(&node)
            || self.cuts.contains_key(&node)
            || self.slow.contains(&node)
            || self.strobing.contains_key(&node)
    }

    fn later(&mut self, at: u64, ending: Ending) {
        self.count += 1;
        self.endings.insert((at, self.count), ending);
    }

    /// Starts a node again at some time.
    pub(super) fn start_later(&mut self, at: u64, node: u64) {
        self.later(at, Ending::Start(node));
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
        self.strobe();
        self.stutter();
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
        self.net.weather = Weather::calm();
        self.nemesis.endings.clear();
        self.nemesis.cuts.clear();
        self.nemesis.strobing.clear();
        self.nemesis.slow.clear();
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
            Ending::Join => self.net.join(),
            Ending::Calm => {
                self.net.weather = Weather::calm();
            }
            Ending::Disk(node) => _ = self.nemesis.slow.remove(&node),
            Ending::Papers(node) => self.net.accept(node),
            Ending::Clock(node) => {
                self.nemesis.strobing.remove(&node);
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
                self.set_rate(node);
                let at = self.now + self.nemesis.span(10);
                self.nemesis.later(at, Ending::Clock(node));
            }
            Fault::DiskError | Fault::DiskFull => self.sicken(fault, node),
            Fault::BitFlip | Fault::Misdirected => self.damage(fault, node),
            Fault::Members => self.change_members(node),
            Fault::Transfer => {
                self.operator.plan.push_back(MemberChange::Transfer { node });
            }
            Fault::SlowDisk => {
                self.nemesis.slow.insert(node);
                let at = self.now + self.nemesis.span(10);
                self.nemesis.later(at, Ending::Disk(node));
            }
            Fault::Strobe => {
                self.nemesis.strobing.insert(node, self.now);
                let at = self.now + self.nemesis.span(6);
                self.nemesis.later(at, Ending::Clock(node));
            }
            Fault::Refused => {
                self.net.refuse_all(node);
                let at = self.now + self.nemesis.span(8);
                self.nemesis.later(at, Ending::Papers(node));
            }
        }
    }

    fn set_rate(&mut self, node: u64) {
        let rate = *self.nemesis.random.pick(self.nemesis.rates).unwrap_or(&100);
        self.nodes.entry(node).and_modify(|node| node.rate = rate);
        self.fastest = self.fastest.max(rate);
    }

    fn strobe(&mut self) {
        let due = self.nemesis.strobing.iter().filter(|(_, at)| **at <= self.now);
        for node in due.map(|(node, _)| *node).collect::<Vec<_>>() {
            self.set_rate(node);
            let at = self.now + self.nemesis.random.between(10_000, 200_000);
            self.nemesis.strobing.insert(node, at);
        }
    }

    /// Slow disks hold up their nodes.
    fn stutter(&mut self) {
        for node in self.nemesis.slow.clone() {
            if self.nemesis.random.chance(90) {
                continue;
            }
            let until = self.now + self.nemesis.random.between(10_000, 400_000);
            let frozen = Frozen { since: self.now, until, stands: false };
            self.nodes.entry(node).and_modify(|node| node.frozen = node.frozen.or(Some(frozen)));
        }
    }

    fn freeze(&mut self, node: u64) {
        let node =
            if self.nemesis.random.chance(50) { self.leader().unwrap_or(node) } else { node };
        let (since, until) = (self.now, self.now + self.nemesis.span(6));
        let stands = self.nemesis.random.chance(50) && self.nemesis.stands;
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

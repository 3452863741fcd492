//! How everybody in the world stands, and the notes of a run for people.

use std::collections::BTreeSet;

use regrow_consensus::Replica as _;

use super::World;
use super::node::Node;

/// How long a disturbance counts after its end, in microseconds: a command under way waits for an answer
/// that was lost, and the leader looks for what expired only after it.
const AFTERMATH: u64 = 3_000_000;

impl World {
    /// Whether all members have applied the same.
    pub(super) fn is_settled(&self) -> bool {
        let members = self.members();
        let applied = |node: &u64| {
            let group = self.nodes.get(node).and_then(Node::group);
            group.map(|group| *group.applied().borrow())
        };
        let indexes: BTreeSet<Option<u64>> = members.iter().map(applied).collect();
        indexes.len() == 1 && !indexes.contains(&None)
    }

    /// Nodes that were not removed.
    pub(super) fn ids(&self) -> Vec<u64> {
        self.nodes.keys().copied().filter(|node| !self.removed.contains(node)).collect()
    }

    /// Voters and learners as the newest leader knows them.
    pub(super) fn members(&self) -> Vec<u64> {
        let newest = self
            .nodes
            .values()
            .filter_map(Node::group)
            .map(|group| group.status())
            .max_by_key(|status| (status.leadership.leading, status.leadership.term));
        newest.map_or_else(Vec::new, |status| [status.voters, status.learners].concat())
    }

    pub(super) fn voters(&self) -> Vec<u64> {
        let leader = self.leader().and_then(|node| self.nodes.get(&node)?.group());
        leader.map_or_else(Vec::new, |group| group.status().voters)
    }

    pub(super) fn leader(&self) -> Option<u64> {
        let groups = self.nodes.values().filter_map(Node::group);
        let leading = groups.map(|group| group.status()).filter(|status| status.leadership.leading);
        leading.max_by_key(|status| status.leadership.term).map(|status| status.node)
    }

    /// Notes whether anything disturbs the group now.
    pub(super) fn note_calm(&mut self) {
        if self.is_calm() {
            return;
        }
        // What disturbed it may hold something up for a moment longer.
        let until = self.now + AFTERMATH;
        match self.rough.last_mut() {
            Some((_, end)) if *end >= self.now => *end = until,
            _ => self.rough.push((self.now, until)),
        }
    }

    /// Whether a leader leads, everybody runs on a right clock, and nothing is cut, sick or changing.
    fn is_calm(&self) -> bool {
        let well = |id: &u64| {
            let node = self.nodes.get(id).filter(|node| node.runs() && node.frozen.is_none());
            node.is_some_and(|node| node.rate == 100) && !self.nemesis.ails(*id)
        };
        self.net.is_calm()
            && self.operator.plan.is_empty()
            && self.joined.iter().all(well)
            && self.leader().is_some()
    }

    /// How much of the time between two moments was disturbed, in microseconds.
    pub(super) fn rough_time(&self, from: u64, to: u64) -> u64 {
        let inside = |(begin, end): &(u64, u64)| (*end).min(to).saturating_sub((*begin).max(from));
        self.rough.iter().map(inside).sum()
    }

    /// How everybody stands, for a person who looks into a bad run.
    pub(super) fn note_all(&mut self) {
        for (id, node) in &self.nodes {
            let status = node.group().map(|group| (group.status(), group.halted()));
            self.notes.push(format!("{:>10} node {id}: {status:?}", self.now));
        }
    }

    pub(super) fn note_leader(&mut self) {
        let leads = self.nodes.values().filter_map(Node::group).map(|group| group.status());
        let leads = leads.filter(|status| status.leadership.leading);
        let newest = leads.max_by_key(|status| status.leadership.term);
        if let Some(status) = newest
            && self.term < status.leadership.term
        {
            self.term = status.leadership.term;
            self.note(&format!("node {} leads in term {}", status.node, self.term));
        }
    }

    pub(super) fn note(&mut self, what: &str) {
        self.notes.push(format!("{:>10} {what}", self.now));
        self.mix(&(self.now, what));
    }
}

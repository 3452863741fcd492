//! What the leader does next about the members of the control group: a pure decision over the nodes
//! that are known and the members that there are.

use std::time::Duration;

use regrow_consensus::group::{MemberChange, MemberStatus};
use regrow_pki::{NodeNumber, Role};

use crate::nodes::NodeRecord;

/// What the operator wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wishes {
    /// How many servers have a vote, if there are so many. Default 3.
    pub voters: usize,
    /// A server that was dead for so long loses its vote to another node, which is made a server if
    /// need be. `None`: never. Default 10 min.
    pub replace_after: Option<Duration>,
}

impl Default for Wishes {
    fn default() -> Self {
        Self { voters: 3, replace_after: Some(Duration::from_secs(600)) }
    }
}

/// One thing to do. The leader does one, and looks again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Changes the members.
    Members(MemberChange),
    /// Makes a worker a server, so that it may get a vote.
    Promote(NodeNumber),
}

/// A node with how long the leader has not heard of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// What is known of it.
    pub record: NodeRecord,
    /// Zero while it is heard of.
    pub silent: Duration,
}

/// What to do next; `None` when all is as it should be. `leader` is the node that asks.
pub fn next(
    leader: NodeNumber,
    nodes: &[Seen],
    members: &[MemberStatus],
    wishes: Wishes,
) -> Option<Step> {
    removals(leader, nodes, members)
        .or_else(|| additions(nodes, members))
        .or_else(|| votes(leader, nodes, members, wishes))
}

fn member(members: &[MemberStatus], number: NodeNumber) -> Option<&MemberStatus> {
    members.iter().find(|member| member.node == number.get())
}

fn removals(leader: NodeNumber, nodes: &[Seen], members: &[MemberStatus]) -> Option<Step> {
    let gone = nodes
        .iter()
        .map(|seen| &seen.record)
        .find(|record| record.removed && member(members, record.number).is_some())?;
    let node = gone.number.get();
    if gone.number == leader {
        // Somebody else must lead first; that one removes this node.
        return heir(leader, nodes, members)
            .map(|heir| Step::Members(MemberChange::Transfer { node: heir.get() }));
    }
    Some(Step::Members(MemberChange::Remove { node }))
}

fn heir(leader: NodeNumber, nodes: &[Seen], members: &[MemberStatus]) -> Option<NodeNumber> {
    let fit = |seen: &&Seen| {
        let record = &seen.record;
        let voter = member(members, record.number).is_some_and(|member| member.voter);
        record.number != leader && voter && record.alive && !record.removed && !record.draining
    };
    nodes.iter().find(fit).map(|seen| seen.record.number)
}

fn additions(nodes: &[Seen], members: &[MemberStatus]) -> Option<Step> {
    nodes.iter().map(|seen| &seen.record).filter(|record| !record.removed && record.alive).find_map(
        |record| {
            let known = member(members, record.number);
            if known.is_some_and(|member| member.address == record.address) {
                return None;
            }
            let (node, address) = (record.number.get(), record.address.clone());
            Some(Step::Members(MemberChange::Add { node, address }))
        },
    )
}

fn votes(
    leader: NodeNumber,
    nodes: &[Seen],
    members: &[MemberStatus],
    wishes: Wishes,
) -> Option<Step> {
    let votes =
        |record: &NodeRecord| member(members, record.number).is_some_and(|member| member.voter);
    let lost = |seen: &&Seen| {
        let late = wishes.replace_after.is_some_and(|after| seen.silent >= after);
        votes(&seen.record) && (late || leaving(&seen.record))
    };
    let lost = nodes.iter().filter(|seen| !seen.record.removed).find(lost);
    let voters = members.iter().filter(|member| member.voter).count();
    let wanted = wishes.voters.max(1);
    let spare = candidate(nodes, members);
    match (lost, spare) {
        // The replacement first, so that there are never fewer votes than before.
        (Some(_), Some(spare)) if voters <= wanted => Some(promote(spare)),
        (None, Some(spare)) if voters < wanted && spare.role == Role::Server => {
            Some(promote(spare))
        }
        (Some(lost), _) if voters > wanted || leaving(&lost.record) && voters > 1 => {
            Some(demote(leader, lost.record.number, nodes, members))?
        }
        _ => None,
    }
}

/// True for a node that the operator wants without a vote.
fn leaving(record: &NodeRecord) -> bool {
    record.draining || record.role != Role::Server
}

/// A living node without a vote; servers first, then the lowest number.
fn candidate<'n>(nodes: &'n [Seen], members: &[MemberStatus]) -> Option<&'n NodeRecord> {
    let fit = |record: &&NodeRecord| {
        let waits = member(members, record.number).is_some_and(|member| !member.voter);
        waits && record.alive && !record.draining && !record.removed
    };
    let order = |record: &&NodeRecord| (record.role != Role::Server, record.number);
    nodes.iter().map(|seen| &seen.record).filter(fit).min_by_key(order)
}

fn promote(node: &NodeRecord) -> Step {
    match node.role {
        Role::Server => Step::Members(MemberChange::Promote { node: node.number.get() }),
        Role::Worker => Step::Promote(node.number),
    }
}

fn demote(
    leader: NodeNumber,
    node: NodeNumber,
    nodes: &[Seen],
    members: &[MemberStatus],
) -> Option<Step> {
    if node == leader {
        let heir = heir(leader, nodes, members)?;
        return Some(Step::Members(MemberChange::Transfer { node: heir.get() }));
    }
    Some(Step::Members(MemberChange::Demote { node: node.get() }))
}

#[cfg(test)]
mod tests;

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
    /// How often in a row this leader failed to change its membership.
    pub failures: u32,
}

impl Step {
    /// The node that it is about.
    pub const fn node(&self) -> NodeNumber {
        match self {
            Self::Promote(number) => *number,
            Self::Members(
                MemberChange::Add { node, .. }
                | MemberChange::Promote { node }
                | MemberChange::Demote { node }
                | MemberChange::Remove { node }
                | MemberChange::Transfer { node },
            ) => NodeNumber::new(*node),
        }
    }
}

/// What to do next; `None` when all is as it should be. `leader` is the node that asks. A step at which
/// it failed waits for those at which it failed less often, so that a node that cannot be changed, or
/// does not catch up, holds nobody up.
pub fn next(
    leader: NodeNumber,
    nodes: &[Seen],
    members: &[MemberStatus],
    wishes: Wishes,
) -> Option<Step> {
    let due = [
        removals(leader, nodes, members),
        additions(nodes, members),
        votes(leader, nodes, members, wishes),
    ];
    let failures = |step: &Step| {
        nodes.iter().find(|seen| seen.record.number == step.node()).map_or(0, |seen| seen.failures)
    };
    due.into_iter().flatten().min_by_key(failures)
}

fn member(members: &[MemberStatus], number: NodeNumber) -> Option<&MemberStatus> {
    members.iter().find(|member| member.node == number.get())
}

fn removals(leader: NodeNumber, nodes: &[Seen], members: &[MemberStatus]) -> Option<Step> {
    let gone = |seen: &&Seen| seen.record.removed && member(members, seen.record.number).is_some();
    let others = nodes.iter().filter(gone).filter(|seen| seen.record.number != leader);
    if let Some(other) = others.min_by_key(|seen| seen.failures) {
        return Some(Step::Members(MemberChange::Remove { node: other.record.number.get() }));
    }
    // Somebody else must lead before this node goes; that one removes it.
    let leaves = nodes.iter().filter(gone).any(|seen| seen.record.number == leader);
    leaves.then(|| hand_over(leader, nodes, members))?
}

fn hand_over(leader: NodeNumber, nodes: &[Seen], members: &[MemberStatus]) -> Option<Step> {
    let heir = heir(leader, nodes, members)?;
    Some(Step::Members(MemberChange::Transfer { node: heir.get() }))
}

/// Who leads when `leader` leaves.
pub(crate) fn heir(
    leader: NodeNumber,
    nodes: &[Seen],
    members: &[MemberStatus],
) -> Option<NodeNumber> {
    let fit = |seen: &&Seen| {
        let record = &seen.record;
        let voter = member(members, record.number).is_some_and(|member| member.voter);
        record.number != leader && voter && record.alive && !record.removed && !record.draining
    };
    nodes.iter().filter(fit).min_by_key(|seen| seen.failures).map(|seen| seen.record.number)
}

fn additions(nodes: &[Seen], members: &[MemberStatus]) -> Option<Step> {
    let absent = |seen: &&Seen| {
        let Seen { record, .. } = seen;
        let there = |member: &MemberStatus| member.address == record.address;
        !record.removed && record.alive && !member(members, record.number).is_some_and(there)
    };
    let seen = nodes.iter().filter(absent).min_by_key(|seen| seen.failures)?;
    let (node, address) = (seen.record.number.get(), seen.record.address.clone());
    Some(Step::Members(MemberChange::Add { node, address }))
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
    // A leader that was removed has its vote until somebody else can lead.
    let voters = nodes.iter().filter(|seen| !seen.record.removed && votes(&seen.record)).count();
    let wanted = wishes.voters.max(1);
    // Workers become servers to replace somebody only.
    let spare = candidate(nodes, members, lost.is_some());
    match (lost, spare) {
        // The replacement first, so that there are never fewer votes than before.
        (Some(_), Some(spare)) if voters <= wanted => Some(promote(spare)),
        (None, Some(spare)) if voters < wanted => Some(promote(spare)),
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

/// A living node without a vote: who failed less often, then servers, then the lowest number.
fn candidate<'n>(
    nodes: &'n [Seen],
    members: &[MemberStatus],
    workers: bool,
) -> Option<&'n NodeRecord> {
    let fit = |seen: &&Seen| {
        let record = &seen.record;
        let waits = member(members, record.number).is_some_and(|member| !member.voter);
        let may = workers || record.role == Role::Server;
        waits && may && record.alive && !record.draining && !record.removed
    };
    let order =
        |seen: &&Seen| (seen.failures, seen.record.role != Role::Server, seen.record.number);
    nodes.iter().filter(fit).min_by_key(order).map(|seen| &seen.record)
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
        return hand_over(leader, nodes, members);
    }
    Some(Step::Members(MemberChange::Demote { node: node.get() }))
}

#[cfg(test)]
mod tests;

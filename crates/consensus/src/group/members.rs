//! Who belongs to the group.
//!
//! A node joins without a vote, catches up, and is promoted; it is demoted or removed the other way
//! round. A node that was removed is *retired*: its id is remembered for ever and refused.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use openraft::ChangeMembers;
use openraft::async_runtime::WatchReceiver as _;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::group::Group;
use crate::raft::{Engine, Member, Store, decode, encode};
use crate::replica::{Consistency, Replica as _};
use crate::transport::Ask;

/// How long a member that is to lead may take to catch up.
const HAND_OVER: Duration = Duration::from_secs(5);
/// How long a promotion waits for a member to catch up. It goes on catching up afterwards.
const CATCH_UP: Duration = Duration::from_secs(5);

/// A change of the members.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MemberChange {
    /// A node without a vote, or its new address.
    Add {
        /// Its id.
        node: u64,
        /// Where it answers, `HOST:PORT`.
        address: String,
    },
    /// Gives a member a vote once it has caught up.
    Promote {
        /// Its id.
        node: u64,
    },
    /// Takes its vote away.
    Demote {
        /// Its id.
        node: u64,
    },
    /// Removes it for ever.
    Remove {
        /// Its id.
        node: u64,
    },
    /// Lets another voter lead.
    Transfer {
        /// Its id.
        node: u64,
    },
}

/// A member as the group sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberStatus {
    /// Its id.
    pub node: u64,
    /// Where it answers, `HOST:PORT`.
    pub address: String,
    /// It has a vote.
    pub voter: bool,
}

/// Why the members were not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MembersError {
    /// The id was used by a node that was removed.
    #[error(
        "add node {node}: it was removed before, and ids are not used again; join as a new node"
    )]
    Retired {
        /// The id.
        node: u64,
    },
    /// Nobody has this id.
    #[error("change node {node}: no such member; see the list of nodes")]
    Unknown {
        /// The id.
        node: u64,
    },
    /// It is the only voter.
    #[error("change node {node}: it is the only voter; promote another first")]
    LastVoter {
        /// The id.
        node: u64,
    },
    /// It has not caught up with the leader, and its vote might stop the group.
    #[error(
        "promote node {node}: it does not follow yet (it shows {shown} of {wanted} entries); is \
         {address} reachable from the leader?"
    )]
    Behind {
        /// Its id.
        node: u64,
        /// Where it should answer.
        address: String,
        /// What it has for sure.
        shown: u64,
        /// What the leader had when it was asked.
        wanted: u64,
    },
    /// The group did not do it, or nobody knows.
    #[error("change members: {reason}; look at the list of nodes before you repeat it")]
    Failed {
        /// Why.
        reason: String,
    },
}

#[expect(clippy::needless_pass_by_value, reason = "goes into map_err as it is")]
fn failed(reason: impl ToString) -> MembersError {
    MembersError::Failed { reason: reason.to_string() }
}

impl Group {
    /// Changes the members, by way of the leader. What is so already is done at once.
    ///
    /// # Errors
    /// The change is refused, or nobody knows.
    pub async fn change_members(&self, change: &MemberChange) -> Result<(), MembersError> {
        let deadline = Instant::now() + self.options.within;
        let mut changes = self.leadership.subscribe();
        loop {
            if let Some(leader) = self.other_leader() {
                let body = encode(change).map_err(failed)?;
                let left = deadline.saturating_duration_since(Instant::now());
                let group = self.options.group;
                let asked = self.transport.call(&leader, group, Ask::Members, body, left).await;
                let reply = asked.map_err(failed)?;
                let done: Result<(), String> = decode("reply", &reply).map_err(failed)?;
                return done.map_err(failed);
            }
            if self.engine.is_leader() {
                return self.change_here(change).await;
            }
            if Instant::now() >= deadline {
                return Err(failed("no leader"));
            }
            self.pause(&mut changes).await;
        }
    }

    /// The members, by id, as this member knows them.
    pub fn members(&self) -> Vec<MemberStatus> {
        let voters = self.voters();
        let metrics = self.engine.metrics();
        let membership = metrics.borrow_watched().membership_config.clone();
        let members = membership.nodes().map(|(node, member)| MemberStatus {
            node: *node,
            address: member.address.clone(),
            voter: voters.contains(node),
        });
        members.collect()
    }

    pub(super) async fn change_here(&self, change: &MemberChange) -> Result<(), MembersError> {
        // What earlier leaders removed must be seen first.
        self.read(Consistency::Linearizable).await.map_err(failed)?;
        match change {
            MemberChange::Add { node, address } => self.add(*node, address).await,
            MemberChange::Promote { node } => self.promote(*node).await,
            MemberChange::Demote { node } => self.unseat(*node, true).await,
            MemberChange::Remove { node } => self.remove(*node).await,
            MemberChange::Transfer { node } => self.hand_over(*node).await,
        }
    }

    async fn add(&self, node: u64, address: &str) -> Result<(), MembersError> {
        if self.is_retired(node) {
            return Err(MembersError::Retired { node });
        }
        let member = Member { address: address.to_owned() };
        if self.peer(node).is_some() {
            let nodes = BTreeMap::from([(node, member)]);
            return self.change(ChangeMembers::SetNodes(nodes), true).await;
        }
        self.engine.add_learner(node, member, false).await.map_err(failed)?;
        Ok(())
    }

    async fn promote(&self, node: u64) -> Result<(), MembersError> {
        let peer = self.peer(node).ok_or(MembersError::Unknown { node })?;
        if self.voters().contains(&node) {
            return Ok(());
        }
        self.caught_up(node, peer.address).await?;
        self.change(ChangeMembers::AddVoterIds(BTreeSet::from([node])), true).await
    }

    /// Waits until a member has everything that the leader has now. The vote of one that cannot be
    /// reached would stop the group.
    async fn caught_up(&self, node: u64, address: String) -> Result<(), MembersError> {
        let mut changes = self.engine.metrics();
        let wanted = changes.borrow_watched().last_log_index.unwrap_or(0);
        let mut shown = 0;
        let seen = async {
            loop {
                let followed = changes
                    .borrow_and_update()
                    .replication
                    .as_ref()
                    .and_then(|all| all.get(&node).copied().flatten());
                shown = followed.map_or(0, |id| id.index);
                if followed.is_some() && shown >= wanted {
                    return;
                }
                if changes.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        let seen = tokio::time::timeout(CATCH_UP, seen).await;
        seen.map_err(|_| MembersError::Behind { node, address, shown, wanted })
    }

    /// Takes a vote away; `retain`s the node as a member.
    async fn unseat(&self, node: u64, retain: bool) -> Result<(), MembersError> {
        let voters = self.voters();
        if !voters.contains(&node) {
            return Ok(());
        }
        if voters.len() == 1 {
            return Err(MembersError::LastVoter { node });
        }
        self.change(ChangeMembers::RemoveVoters(BTreeSet::from([node])), retain).await
    }

    async fn remove(&self, node: u64) -> Result<(), MembersError> {
        if self.voters() == BTreeSet::from([node]) {
            return Err(MembersError::LastVoter { node });
        }
        // First refused, then removed: a crash in between leaves a member that nobody listens to,
        // and the removal can be repeated.
        self.propose(Store::retire(node)).await.map_err(failed)?;
        if self.peer(node).is_none() {
            return Ok(());
        }
        if self.voters().contains(&node) {
            return self.unseat(node, false).await;
        }
        self.change(ChangeMembers::RemoveNodes(BTreeSet::from([node])), false).await
    }

    async fn hand_over(&self, node: u64) -> Result<(), MembersError> {
        if !self.voters().contains(&node) {
            return Err(MembersError::Unknown { node });
        }
        self.engine.trigger().transfer_leader(node).await.map_err(failed)?;
        let mut changes = self.leadership.subscribe();
        let led = changes.wait_for(|leadership| leadership.leader == Some(node));
        match tokio::time::timeout(HAND_OVER, led).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(failed(format!("node {node} did not take over within {HAND_OVER:?}"))),
        }
    }

    async fn change(
        &self,
        change: ChangeMembers<u64, Member>,
        retain: bool,
    ) -> Result<(), MembersError> {
        // A change has two steps, and between them both the old and the new voters are needed. Who
        // asked may be gone by then.
        let engine = self.engine.clone();
        let changing = tokio::spawn(async move { engine.change_membership(change, retain).await });
        changing.await.map_err(failed)?.map_err(failed)?;
        Ok(())
    }

    /// Does the second step of a change whose leader was lost after the first.
    pub(super) async fn finish_change(&self) {
        let joint = |engine: &Engine| {
            let metrics = engine.metrics();
            let metrics = metrics.borrow_watched();
            metrics.membership_config.membership().get_joint_config().len() > 1
        };
        if joint(&self.engine) {
            let nothing = ChangeMembers::AddVoterIds(BTreeSet::new());
            if let Err(error) = self.change(nothing, true).await {
                tracing::warn!(%error, group = self.options.group, "finish a change of members");
            }
        }
    }

    fn voters(&self) -> BTreeSet<u64> {
        self.engine.metrics().borrow_watched().membership_config.voter_ids().collect()
    }

    /// True for a node that was removed, as far as this member has heard.
    pub(super) fn is_retired(&self, node: u64) -> bool {
        self.store.retired().contains(&node)
    }
}

use std::cmp::Reverse;
use std::time::Duration;

use regrow_reconcile::Moment;

use crate::state::{GroupState, Member, Slot};

/// A look that is older than so many polls is worth nothing.
const STALE_POLLS: u32 = 3;

/// The members of a group, sorted into those made with the current configuration and the others.
pub(super) struct View<'a> {
    pub(super) state: &'a GroupState,
    pub(super) now: Moment,
    pub(super) current: Vec<&'a Member>,
    pub(super) outdated: Vec<&'a Member>,
    /// Doubts that forbid to destroy anything now.
    pub(super) doubts: Vec<String>,
}

impl<'a> View<'a> {
    pub(super) fn new(state: &'a GroupState, now: Moment) -> Self {
        let hash = &state.config.hash;
        // Who has no identity in a group of identities is nobody's to count or to replace.
        let counted = state.members.values().filter(|m| m.slot != Slot::Stray || state.dissolving);
        // An instance that asks to be adopted counts as current: it will be in a moment.
        let (current, outdated) =
            counted.partition(|member| member.is_current(hash) || member.wants_adoption());
        Self { state, now, current, outdated, doubts: doubts(state, now) }
    }

    /// Members, whatever made them.
    pub(super) fn all(&self) -> impl Iterator<Item = &'a Member> {
        self.current.iter().chain(&self.outdated).copied()
    }

    /// Number of members, whatever made them.
    pub(super) fn count(&self) -> usize {
        self.current.len() + self.outdated.len()
    }

    /// Instances that may exist: members, those asked for, those on their way out.
    pub(super) fn existing(&self) -> usize {
        let leaving = self.state.doomed.values().filter(|doom| doom.may_exist());
        self.count() + self.state.claims.len() + leaving.count()
    }

    /// True when a member does its work as far as is known.
    pub(super) fn works(&self, member: &Member) -> bool {
        let judged = if member.is_current(&self.state.config.hash) && self.state.update.is_some() {
            member.is_ready(&self.state.config, self.now)
        } else {
            true
        };
        judged
            && member.absent.is_none()
            && !member.spared
            && !self.state.is_broken(member, self.now)
    }

    /// Number of members that do their work.
    pub(super) fn working(&self) -> usize {
        self.all().filter(|member| self.works(member)).count()
    }

    /// Sorts members into the order in which they may go: those that do not work, those made with
    /// another configuration, then by id as InfraKit does; the own instance last.
    pub(super) fn order_of_leaving(&self, members: &mut [&'a Member]) {
        members.sort_by_cached_key(|member| {
            (
                self.state.is_own(member),
                !self.state.recalled.contains_key(&member.description.id),
                Reverse(!self.works(member)),
                member.is_current(&self.state.config.hash),
                member.description.id.clone(),
            )
        });
    }
}

/// Why nothing may be destroyed on what was seen.
fn doubts(state: &GroupState, now: Moment) -> Vec<String> {
    let mut doubts = Vec::new();
    let age = state.last_look.map_or(Duration::MAX, |(_, ended)| now.since(ended));
    if age > state.patience.poll * STALE_POLLS {
        doubts.push(format!("the last complete look is {} s old", age.as_secs()));
    }
    if let Some(why) = state.quality.shortcoming() {
        doubts.push(why);
    }
    let missing = state.members.values().filter(|member| member.absent.is_some()).count();
    if missing > 0 {
        doubts.push(format!("{missing} members are missing from the last list"));
    }
    let new = state.members.values().filter(|member| member.found && member.looks < 2).count();
    if new > 0 {
        doubts.push(format!("{new} instances were seen for the first time"));
    }
    doubts
}

//! Groups of members that each exist once.

use std::collections::BTreeMap;

use super::view::View;
use super::{Leaving, Planner};
use crate::config::Membership;
use crate::state::{Claim, Member, Slot};
use regrow_ids::{LogicalId, StepKey};

pub(super) fn plan(planner: &mut Planner<'_>, view: &View<'_>) {
    let state = view.state;
    let Membership::Identities(wanted) = &state.config.membership else { return };
    let wanted: &[LogicalId] = if state.dissolving { &[] } else { wanted };
    let mut by_identity: BTreeMap<&LogicalId, Vec<&Member>> = BTreeMap::new();
    let mut leaving = Vec::new();
    for member in view.all() {
        match &member.slot {
            Slot::Identity(id) => by_identity.entry(id).or_default().push(member),
            _ => leaving.push(Leaving::terminate(member, "the group is destroyed")),
        }
    }
    for (id, _) in state.members.iter().filter(|(_, member)| member.slot == Slot::Stray) {
        planner.plan.blocked.push(format!("instance {id} has no logical id and is left alone"));
    }
    for id in wanted {
        let holders = by_identity.remove(id).unwrap_or_default();
        if holders.is_empty() {
            let slot = Slot::Identity(id.clone());
            match taken(view, &slot) {
                Taken::No => planner.create(slot, None, "the member is missing"),
                Taken::Due(key, claim) => {
                    planner.create(slot, Some((key, claim)), "the last call did not succeed");
                }
                Taken::Yes => {}
            }
        }
        leaving.extend(surplus(view, holders));
    }
    let unwanted = by_identity.into_values().flatten();
    leaving.extend(unwanted.map(|member| Leaving::terminate(member, "its identity is not wanted")));
    leaving.extend(view.condemned());
    if leaving.is_empty() && !state.dissolving {
        let rolling = !view.outdated.is_empty() && !state.config.paused();
        if rolling && state.claims.is_empty() {
            leaving = planner.roll(view);
        }
        leaving.extend(planner.broken(view, rolling));
    }
    planner.leave(view, leaving);
}

/// Whether an instance with an identity may exist that is not a member.
enum Taken<'a> {
    No,
    /// One was asked for, or is not destroyed yet.
    Yes,
    /// One was asked for, and is to be asked for again.
    Due(&'a StepKey, &'a Claim),
}

fn taken<'a>(view: &View<'a>, slot: &Slot) -> Taken<'a> {
    let mut doomed = view.state.doomed.values();
    if doomed.any(|doom| doom.may_exist() && doom.slot == *slot) {
        return Taken::Yes;
    }
    match view.state.claims.iter().find(|(_, claim)| claim.slot == *slot) {
        None => Taken::No,
        Some((key, claim)) if claim.is_due() => Taken::Due(key, claim),
        Some(_) => Taken::Yes,
    }
}

/// All holders of one identity but the best.
fn surplus<'a>(view: &View<'a>, mut holders: Vec<&'a Member>) -> impl Iterator<Item = Leaving<'a>> {
    let count = holders.len().saturating_sub(1);
    if count > 0 {
        view.order_of_leaving(&mut holders);
    }
    let own = holders.iter().filter(|member| view.state.is_own(member)).count();
    // Two that claim to be the machine that this controller runs on: nobody can tell which is.
    let count = if own > 1 { 0 } else { count };
    let surplus = holders.into_iter().take(count).collect::<Vec<_>>();
    surplus.into_iter().map(|m| Leaving::terminate(m, "its identity is there twice"))
}

//! Groups of alike members.

use super::view::View;
use super::{Leaving, Planner};
use crate::state::{FreeNumbers, Slot};

pub(super) fn plan(planner: &mut Planner<'_>, view: &View<'_>) {
    let state = view.state;
    let rolling = !view.outdated.is_empty() && !state.config.paused() && !state.dissolving;
    let surge = if rolling { state.config.max_surge() as usize } else { 0 };
    create(planner, view, rolling, surge);
    let mut leaving: Vec<_> = view.condemned().collect();
    // An update makes the group smaller by what it replaces. The member that this controller runs
    // on it does not replace: then the others go, but for those that the update made beside it.
    let shrinks = !rolling || view.outdated.iter().all(|member| state.is_own(member));
    let excess = view.count().saturating_sub(state.desired() as usize + surge);
    if !leaving.is_empty() {
        // What was named goes first; whether there are still too many shows in the next plan.
    } else if excess > 0 && shrinks {
        let mut members: Vec<_> = view.all().collect();
        view.order_of_leaving(&mut members);
        let why = "the group has more members than wanted";
        leaving = members.into_iter().take(excess).map(|m| Leaving::terminate(m, why)).collect();
    } else {
        if rolling {
            leaving = planner.roll(view);
        }
        leaving.extend(planner.broken(view, rolling));
    }
    planner.leave(view, leaving);
}

/// Makes what is missing, as far as the limits allow.
fn create(planner: &mut Planner<'_>, view: &View<'_>, rolling: bool, surge: usize) {
    let state = view.state;
    let desired = state.desired() as usize;
    let most = state.config.max_instances().map_or(usize::MAX, |most| most as usize);
    let room = (desired + surge).min(most).saturating_sub(view.existing());
    let accounted_for = if rolling {
        // Outdated members do not count: their replacements are made beside them, as far as the
        // surge gives room.
        let hash = &state.config.hash;
        let claims = state.claims.values();
        view.current.len() + claims.filter(|claim| claim.is_due() || claim.hash == *hash).count()
    } else {
        view.count() + state.claims.len()
    };
    let (again, waiting): (Vec<_>, Vec<_>) =
        state.claims.iter().partition(|(_, claim)| claim.is_due());
    let covered = view.count() + waiting.len();
    // Calls to be made again come first; they have their room already.
    for (key, claim) in again.into_iter().take((desired + surge).saturating_sub(covered)) {
        planner.create(claim.slot.clone(), Some((key, claim)), "the last call did not succeed");
    }
    let missing = desired.saturating_sub(accounted_for).min(room);
    if missing == 0 {
        return;
    }
    let mut numbers = FreeNumbers::of(state);
    for _ in 0..missing {
        planner.create(Slot::Number(numbers.take(None)), None, "a member is missing");
    }
}

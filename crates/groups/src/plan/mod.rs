//! The pure planner: from what is known about a group to the steps that are due.
//!
//! `plan(state, now)` is a plain function. Planning again after its steps ended yields nothing
//! (promise I3); nothing in it can reach a socket or a clock.

mod identities;
mod leaving;
mod size;
mod view;

use regrow_reconcile::{Moment, Plan};

use regrow_ids::StepKey;

use crate::config::Membership;
use crate::state::{Claim, Demise, FIRST_LOOKS, GroupState, Slot};
use crate::step::{Action, Drain, GroupStep};
use leaving::Leaving;
use view::View;

/// Computes what is due.
pub fn plan(state: &GroupState, now: Moment) -> Plan<GroupStep> {
    let mut planner = Planner { state, now, plan: Plan::default() };
    if let Some(why) = state.quality.shortcoming() {
        planner.plan.blocked.push(why);
    }
    if state.last_look.is_none() {
        // Nothing is known yet: whatever is missing may just not have been seen.
        return planner.plan;
    }
    planner.adopt();
    planner.retry_destructions();
    let view = View::new(state, now);
    if state.has_identities() {
        identities::plan(&mut planner, &view);
    } else {
        size::plan(&mut planner, &view);
    }
    planner.schedule();
    planner.plan.converged = planner.plan.steps.is_empty() && planner.is_converged(&view);
    planner.plan
}

/// A plan in the making.
struct Planner<'a> {
    state: &'a GroupState,
    now: Moment,
    plan: Plan<GroupStep>,
}

impl Planner<'_> {
    fn push(&mut self, slot: &str, action: Action, why: &'static str) {
        let key = self.state.step_key(slot, self.plan.steps.len());
        self.plan.steps.push(GroupStep { key, action, why: why.into() });
    }

    /// Adopts instances that ask for it.
    fn adopt(&mut self) {
        let state = self.state;
        for (id, member) in state.members.iter().filter(|(_, member)| member.wants_adoption()) {
            if let Some(at) = state.labelling.get(id).filter(|at| **at > self.now) {
                self.plan.replan_by(*at);
                continue;
            }
            let action = Action::Adopt {
                description: member.description.clone(),
                config: state.config.clone(),
            };
            self.push(&format!("adopt {id}"), action, "it carries the bootstrap tag");
        }
    }

    /// Tries failed destructions again.
    fn retry_destructions(&mut self) {
        let state = self.state;
        for (id, doom) in &state.doomed {
            let Demise::Failed { at, retry_at, why } = &doom.progress else { continue };
            if *retry_at > self.now {
                self.plan.blocked.push(format!("destroying instance {id} failed: {why}"));
                self.plan.replan_by(*retry_at);
                continue;
            }
            // Only what a look still shows needs to be destroyed again.
            if state.last_look.is_none_or(|(began, _)| began < *at) {
                self.look_again();
                continue;
            }
            let rolling = doom.reason == regrow_plugin::spi::DestroyReason::RollingUpdate;
            let action = Action::Destroy {
                description: doom.description.clone(),
                slot: doom.slot.clone(),
                config: state.config.clone(),
                reason: doom.reason,
                drain: self.drain(rolling),
                broken: false,
            };
            self.push(&format!("destroy {id}"), action, "the last attempt failed");
        }
    }

    /// Makes a member, unless its slot has to wait. A `claim` is a call to be made again.
    fn create(&mut self, slot: Slot, claim: Option<(&StepKey, &Claim)>, why: &'static str) {
        let state = self.state;
        let unlooked = claim.is_some_and(|(_, claim)| claim.looks == 0);
        if state.complete_looks < FIRST_LOOKS || unlooked {
            self.look_again();
            return;
        }
        if let Some(history) = state.slots.get(&slot).filter(|h| h.not_before > self.now) {
            let wait = history.not_before.since(self.now).as_secs_f64();
            let failures = history.failures;
            let blocked = format!("slot {slot} waits {wait:.1} s after {failures} failures");
            self.plan.blocked.push(blocked);
            self.plan.replan_by(history.not_before);
            return;
        }
        let sequence = match (&slot, &state.config.membership) {
            (Slot::Number(number), _) => *number,
            (Slot::Identity(id), Membership::Identities(ids)) => {
                let place = ids.iter().position(|other| other == id).unwrap_or_default();
                u32::try_from(place).unwrap_or(u32::MAX)
            }
            _ => 0,
        };
        let key = match claim {
            Some((key, _)) => key.clone(),
            None => state.step_key(&slot.to_string(), self.plan.steps.len()),
        };
        let action = Action::Create { slot, sequence, config: state.config.clone() };
        self.plan.steps.push(GroupStep { key, action, why: why.into() });
    }

    /// Asks for a look as soon as the loop allows one.
    fn look_again(&mut self) {
        self.plan.look_by(self.now);
    }

    fn drain(&self, rolling: bool) -> Drain {
        match (rolling, self.state.config.drains()) {
            (true, true) => Drain::Must,
            (true, false) => Drain::Skip,
            (false, _) => Drain::Try,
        }
    }

    /// Asks for the looks that something waits for.
    fn schedule(&mut self) {
        let (state, now) = (self.state, self.now);
        let looked = state.last_look.map_or(Moment::START, |(_, ended)| ended);
        for member in state.members.values() {
            if let Some(absence) = member.absent {
                let confirm = absence.since + state.patience.confirm;
                self.plan.look_by(soon(absence.since, looked).max(confirm));
            }
            if let Some(at) = state.health_due(member) {
                self.plan.look_by(at);
            }
            if let Some(at) = member.ready_at(&state.config).filter(|at| *at > now) {
                self.plan.replan_by(at);
                self.plan.look_by(at);
            }
        }
        let mut unseen = 0;
        for claim in state.claims.values() {
            if let Some(at) = claim.ended() {
                self.plan.look_by(soon(at, looked));
                unseen += usize::from(claim.looks > 0);
            }
        }
        for doom in state.doomed.values().filter(|doom| !doom.keys.is_empty()) {
            if let Some(at) = doom.ended() {
                self.plan.look_by(soon(at, looked));
            }
        }
        if state.dissolving
            && !state.is_dissolved()
            && state.quality.is_complete()
            && state.is_empty()
        {
            self.look_again();
        }
        if unseen > 0 {
            self.plan
                .blocked
                .push(format!("{unseen} instances were asked for and do not show yet"));
        }
    }

    fn is_converged(&self, view: &View<'_>) -> bool {
        let state = self.state;
        state.quality.is_complete()
            && state.claims.is_empty()
            && state.reported_lost.is_empty()
            && state.doomed.values().all(|doom| !doom.may_exist())
            && state.condemned.is_empty()
            && view.outdated.is_empty()
            && view.current.len() == state.desired() as usize
            && view.current.iter().all(|member| member.absent.is_none())
            && state.update.is_none()
    }
}

/// When to look again for something that began at `since` and was last looked for at `looked`: often
/// at first, ever more rarely later.
fn soon(since: Moment, looked: Moment) -> Moment {
    looked.max(since) + looked.since(since) / 4
}

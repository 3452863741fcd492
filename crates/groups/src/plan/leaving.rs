//! Who has to go, and when that is allowed.

use regrow_plugin::spi::DestroyReason;

use super::Planner;
use super::view::View;
use crate::config::Quantity;
use crate::state::Member;
use crate::step::Action;

/// A member that has to go now.
pub(super) struct Leaving<'a> {
    pub(super) member: &'a Member,
    pub(super) reason: DestroyReason,
    pub(super) why: &'static str,
}

impl<'a> Leaving<'a> {
    pub(super) fn terminate(member: &'a Member, why: &'static str) -> Self {
        Self { member, reason: DestroyReason::Terminate, why }
    }
}

impl<'a> View<'a> {
    /// Members whose destruction the user asked for by name.
    pub(super) fn condemned(&self) -> impl Iterator<Item = Leaving<'a>> {
        let condemned = &self.state.condemned;
        let named = self.all().filter(|member| condemned.contains(&member.description.id));
        named.map(|member| Leaving::terminate(member, "its destruction was asked for"))
    }
}

impl Planner<'_> {
    /// Plans destructions, unless what was seen leaves doubts.
    pub(super) fn leave(&mut self, view: &View<'_>, leaving: Vec<Leaving<'_>>) {
        if leaving.is_empty() {
            return;
        }
        if !view.doubts.is_empty() {
            self.plan.blocked.extend(
                view.doubts.iter().map(|doubt| format!("nothing is destroyed while {doubt}")),
            );
            self.look_again();
            return;
        }
        for Leaving { member, reason, why } in leaving {
            let action = Action::Destroy {
                description: member.description.clone(),
                slot: member.slot.clone(),
                config: self.state.config.clone(),
                reason,
                drain: self.drain(reason == DestroyReason::RollingUpdate),
            };
            self.push(&format!("destroy {}", member.description.id), action, why);
        }
    }

    /// Outdated members that may go without leaving too few that work.
    pub(super) fn roll<'a>(&mut self, view: &View<'a>) -> Vec<Leaving<'a>> {
        let state = view.state;
        let least =
            (state.desired() as usize).saturating_sub(state.config.max_unavailable() as usize);
        let mut dispensable = view.working().saturating_sub(least);
        let (own, mut others): (Vec<_>, Vec<_>) =
            view.outdated.iter().partition(|member| state.is_own(member));
        view.order_of_leaving(&mut others);
        if let ([own], true) = (own.as_slice(), others.is_empty()) {
            self.spare(own, dispensable > 0);
        }
        let mut leaving = Vec::new();
        for member in others {
            if view.works(member) {
                if dispensable == 0 {
                    break;
                }
                dispensable -= 1;
            }
            let why = "its configuration is outdated";
            leaving.push(Leaving { member, reason: DestroyReason::RollingUpdate, why });
        }
        let waiting = view.current.iter().filter(|member| !view.works(member)).count();
        if leaving.is_empty() && waiting > 0 {
            self.plan.blocked.push(format!("the update waits for {waiting} new members to work"));
        }
        leaving
    }

    /// The instance that this controller runs on is drained and left to the next leader.
    fn spare(&mut self, own: &Member, allowed: bool) {
        let id = &own.description.id;
        self.plan.blocked.push(format!(
            "instance {id} is the one that this controller runs on: the next leader replaces it"
        ));
        if own.spared || !allowed || !self.state.config.drains() {
            return;
        }
        let action = Action::Spare {
            description: own.description.clone(),
            config: self.state.config.clone(),
        };
        self.push(&format!("drain {id}"), action, "its configuration is outdated");
    }

    /// Members that the health policy wants replaced, unless there are so many that the fault is
    /// likely elsewhere.
    pub(super) fn broken<'a>(&mut self, view: &View<'a>, rolling: bool) -> Vec<Leaving<'a>> {
        let state = view.state;
        let Some(policy) = &state.config.document.health else { return vec![] };
        let broken: Vec<_> = view.all().filter(|m| state.is_broken(m, self.now)).collect();
        let most = match policy.max_unhealthy {
            Quantity::Count(count) => count,
            // At least one: a group of one with the default of a half would never heal.
            share => share.of_rounded_down(state.desired()).max(1),
        };
        if broken.len() > most as usize {
            self.plan.blocked.push(format!(
                "{} members are unhealthy, more than the {most} that Health.MaxUnhealthy lets be \
                 replaced",
                broken.len()
            ));
            return vec![];
        }
        // During an update the outdated ones among them go anyway.
        broken
            .into_iter()
            .filter(|m| !rolling || m.is_current(&state.config.hash))
            .filter(|m| !state.is_own(m))
            .map(|m| Leaving::terminate(m, "it is unhealthy"))
            .collect()
    }
}

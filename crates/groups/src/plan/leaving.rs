//! Who has to go, and when that is allowed.

use regrow_plugin::spi::DestroyReason;

use super::Planner;
use super::view::View;
use crate::config::Quantity;
use crate::state::{Demise, Member};
use crate::step::Action;

/// A member that has to go now.
pub(super) struct Leaving<'a> {
    pub(super) member: &'a Member,
    pub(super) reason: DestroyReason,
    pub(super) why: &'static str,
    /// It goes because it is unhealthy.
    pub(super) broken: bool,
}

impl<'a> Leaving<'a> {
    pub(super) fn terminate(member: &'a Member, why: &'static str) -> Self {
        Self { member, reason: DestroyReason::Terminate, why, broken: false }
    }
}

impl<'a> View<'a> {
    /// Members whose destruction the user asked for by name.
    pub(super) fn condemned(&self) -> impl Iterator<Item = Leaving<'a>> {
        let state = self.state;
        let named = state.condemned.iter().filter_map(|id| state.members.get(id));
        named.map(|member| Leaving::terminate(member, "its destruction was asked for"))
    }

    /// Places that nobody fills at the moment, whatever the cause.
    fn vacant(&self) -> usize {
        (self.state.desired() as usize).saturating_sub(self.count())
    }

    /// How many members may be broken before it is likely that the fault is elsewhere.
    fn most_broken(&self) -> Option<usize> {
        let policy = self.state.config.document.health.as_ref()?;
        Some(match policy.max_unhealthy {
            Quantity::Count(count) => count as usize,
            // At least one: a group of one with the default of a half would never heal.
            share => share.of_rounded_down(self.state.desired()).max(1) as usize,
        })
    }
}

impl Planner<'_> {
    /// Plans destructions, unless what was seen leaves doubts.
    pub(super) fn leave(&mut self, view: &View<'_>, mut leaving: Vec<Leaving<'_>>) {
        // Whoever runs the controller goes last, when nobody else is leaving any more.
        let others = leaving.iter().any(|l| !self.state.is_own(l.member))
            || self.state.doomed.values().any(|doom| doom.may_exist());
        if others {
            leaving.retain(|l| !self.state.is_own(l.member));
        }
        if leaving.is_empty() {
            return;
        }
        if !view.doubts.is_empty() {
            self.plan.blocked.extend(
                view.doubts.iter().map(|doubt| format!("nothing is destroyed while {doubt}")),
            );
            // Missing members are looked for anyway, ever more rarely; what is new, or known from
            // long ago only, a second look settles.
            if self.state.members.values().all(|member| member.absent.is_none()) {
                self.look_again();
            }
            return;
        }
        for Leaving { member, reason, why, broken } in leaving {
            let action = Action::Destroy {
                description: member.description.clone(),
                slot: member.slot.clone(),
                config: self.state.config.clone(),
                reason,
                drain: self.drain(reason == DestroyReason::RollingUpdate),
                broken,
            };
            self.push(&format!("destroy {}", member.description.id), action, why);
        }
    }

    /// Outdated members that may go without leaving too few that work.
    pub(super) fn roll<'a>(&mut self, view: &View<'a>) -> Vec<Leaving<'a>> {
        let state = view.state;
        if state.doomed.values().any(|doom| {
            doom.reason == DestroyReason::RollingUpdate
                && matches!(doom.progress, Demise::Failed { .. })
        }) {
            self.plan.blocked.push("the update waits for a member that cannot be removed".into());
            return vec![];
        }
        let desired = state.desired() as usize;
        let allowed = state.config.max_unavailable() as usize;
        let mut dispensable = view.working().saturating_sub(desired.saturating_sub(allowed));
        // Replacing what does not work costs nothing that works, but one that does not answer may
        // still be alive: no more at a time than may be missing.
        let mut replaceable = allowed.max(1).saturating_sub(view.vacant());
        let idle = view.outdated.iter().filter(|member| !view.works(member)).count();
        if view.most_broken().is_some_and(|most| idle > most) {
            self.plan
                .blocked
                .push(format!("{idle} outdated members do not work, too many at once"));
            replaceable = 0;
        }
        let (own, mut others): (Vec<_>, Vec<_>) =
            view.outdated.iter().partition(|member| state.is_own(member));
        view.order_of_leaving(&mut others);
        if let ([own, ..], true) = (own.as_slice(), others.is_empty()) {
            self.spare(own, dispensable > 0);
        }
        let mut leaving = Vec::new();
        for member in others {
            let allowance = if view.works(member) { &mut dispensable } else { &mut replaceable };
            if *allowance == 0 {
                continue;
            }
            *allowance -= 1;
            leaving.push(Leaving {
                member,
                reason: DestroyReason::RollingUpdate,
                why: "its configuration is outdated",
                broken: false,
            });
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
        let Some(most) = view.most_broken() else { return vec![] };
        let broken: Vec<_> = view.all().filter(|m| state.is_broken(m, self.now)).collect();
        // Those that are being replaced, or whose replacement has not proved itself, count too:
        // faults that come one after another are no better than faults at once.
        let unproved = view
            .all()
            .filter(|m| state.slots.contains_key(&m.slot) && !state.is_broken(m, self.now))
            .filter(|m| m.health.healthy_since.is_none())
            .count();
        let troubled = broken.len() + view.vacant() + unproved;
        if !broken.is_empty() && troubled > most {
            self.plan.blocked.push(format!(
                "{troubled} members are unhealthy or being replaced, more than the {most} that \
                 Health.MaxUnhealthy allows"
            ));
            if broken.len() > most {
                return vec![];
            }
        }
        let mut room = (most + broken.len()).saturating_sub(troubled);
        if state.has_identities() {
            let allowed = (state.config.max_unavailable() as usize).max(1);
            room = room.min(allowed.saturating_sub(view.vacant()));
        }
        // During an update the outdated ones among them go anyway.
        broken
            .into_iter()
            .filter(|m| !rolling || m.is_current(&state.config.hash))
            .filter(|m| !state.is_own(m))
            .take(room)
            .map(|m| Leaving { broken: true, ..Leaving::terminate(m, "it is unhealthy") })
            .collect()
    }
}

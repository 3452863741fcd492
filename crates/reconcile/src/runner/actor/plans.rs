use std::time::Duration;

use regrow_ids::Fence;

use super::Actor;
use crate::intents::{Intent, IntentError};
use crate::{Class, Controller, Level, Moment, Plan, Step};

/// Pause before steps are tried again after the intent log refused them, or without leadership.
const RETRY: Duration = Duration::from_secs(1);
/// So many times the steps that may run at the same time are granted ahead: enough to keep all
/// places busy, few enough that most of a big plan can still be revised.
const GRANTED_AHEAD: usize = 4;

impl<C: Controller> Actor<C> {
    pub(super) fn plan_soon(&mut self) {
        let at = self.planned_at + self.shared.options.plan_spacing;
        self.plan_at = Some(self.plan_at.map_or(at, |known| known.min(at)));
    }

    /// Plans after steps ended, unless the last plan wished for more than has room and there still
    /// is little: planning costs much for big groups, as does one synchronised write for each step.
    pub(super) fn plan_when_roomy(&mut self) {
        if !self.crowded || self.is_roomy() {
            self.plan_soon();
        }
    }

    pub(super) async fn plan_when_due(&mut self) {
        let now = self.shared.now();
        if self.plan_at.is_none_or(|at| now < at) {
            return;
        }
        (self.plan_at, self.planned_at) = (None, now);
        self.status.plans += 1;
        self.tell |= std::mem::take(&mut self.news);
        let Some(fence) = self.shared.authority.fence() else {
            self.stand_by(now).await;
            return;
        };
        if fence != self.granted {
            self.drop_queue();
        }
        if self.taken_up != Some(fence)
            && let Err(fault) = self.take_up(Some(fence)).await
        {
            return self.refused(&fault);
        }
        // Before the budget is asked, and before new intents: a key that is over and granted again in
        // this plan must stay open.
        self.report().await;
        let mut plan = self.shared.controller.plan(&self.state, now);
        if let Some(at) = plan.look_at {
            self.looks.ask(at);
        }
        self.keep_to_what_shows(&mut plan, fence, now);
        self.keep_budget(&mut plan, now);
        self.keep_room(&mut plan);
        self.plan_at = plan.replan_at;
        self.status.converged = plan.converged;
        self.status.blocked = std::mem::take(&mut plan.blocked);
        if !plan.steps.is_empty() {
            self.grant(plan.steps, fence).await;
            self.report().await;
        }
    }

    /// Without leadership nothing is done, and nobody here knows whether the spec is met.
    async fn stand_by(&mut self, now: Moment) {
        self.drop_queue();
        self.looks.expire();
        self.status.converged = false;
        self.status.blocked = vec!["this process does not lead".to_owned()];
        self.plan_at = Some(now + RETRY);
        self.report().await;
    }

    /// Hands open intents to the controller. Those of another leader are news to it, and what was
    /// seen before it knew of them settles nothing about them.
    pub(super) async fn take_up(&mut self, fence: Option<Fence>) -> Result<(), IntentError> {
        let open = self.shared.log.open(&self.key.to_string()).await?;
        if !open.is_empty() {
            self.shared.controller.resume(&mut self.state, open, self.shared.now());
            self.looks.expire();
            self.news = true;
        }
        self.taken_up = fence;
        Ok(())
    }

    /// Tries again later what the intent log refused.
    fn refused(&mut self, fault: &IntentError) {
        let refusal = fault.to_string();
        self.note(Level::Warning, refusal.clone());
        self.status.converged = false;
        self.status.blocked.push(refusal);
        self.plan_at = Some(self.shared.now() + RETRY);
    }

    /// Withholds everything that rests on what was seen under another leadership: another leader
    /// may have changed the world since.
    fn keep_to_what_shows(&mut self, plan: &mut Plan<C::Step>, fence: Fence, now: Moment) {
        if self.looks.show(fence) {
            return;
        }
        if !self.looks.will_show(fence) {
            self.looks.ask(now);
        }
        // Before the first look of all the controller itself says what it waits for.
        if self.status.looks > 0 || !plan.steps.is_empty() {
            plan.blocked.push("no look at the world since this process leads".to_owned());
        }
        plan.converged = false;
        plan.steps.clear();
    }

    /// Withholds destructions beyond the budget.
    fn keep_budget(&mut self, plan: &mut Plan<C::Step>, now: Moment) {
        let Some(budget) = self.shared.controller.destroy_budget(&self.state) else { return };
        let mut left = self.budget.left(budget, now);
        let wished = plan.steps.len();
        plan.steps.retain(|step| {
            let keep = step.class() != Class::Destroy || left > 0;
            left -= usize::from(keep && step.class() == Class::Destroy);
            keep
        });
        let withheld = wished - plan.steps.len();
        if withheld > 0 {
            plan.blocked.push(format!(
                "{withheld} destructions wait: the budget is {} in {} s",
                budget.most,
                budget.window.as_secs()
            ));
            if let Some(at) = self.budget.refill_at(budget) {
                plan.replan_by(at);
            }
        }
    }

    /// Withholds steps that would only wait in the queue: they are planned again when there is
    /// room, from what is known then.
    fn keep_room(&mut self, plan: &mut Plan<C::Step>) {
        let room = self.room();
        self.crowded = plan.steps.len() > room;
        if self.crowded {
            plan.steps.truncate(if self.is_roomy() { room } else { 0 });
        }
    }

    fn window(&self) -> usize {
        self.shared.options.max_parallel.saturating_mul(GRANTED_AHEAD)
    }

    fn room(&self) -> usize {
        self.window().saturating_sub(self.queue.len() + self.running.len())
    }

    fn is_roomy(&self) -> bool {
        self.room() >= self.window() / 2
    }

    /// Records the intents of steps, then queues them.
    async fn grant(&mut self, steps: Vec<C::Step>, fence: Fence) {
        let owner = self.key.to_string();
        let intents: Vec<_> = steps
            .iter()
            .map(|step| Intent {
                key: step.key().clone(),
                owner: owner.clone(),
                class: step.class().into(),
                body: step.intent(),
                fence,
            })
            .collect();
        match self.shared.log.record(&intents).await {
            Ok(()) => {
                let now = self.shared.now();
                let destroyed = steps.iter().filter(|step| step.class() == Class::Destroy).count();
                // Not earlier: what the log refuses destroys nothing.
                self.budget.spend(destroyed, now);
                self.shared.controller.start(&mut self.state, &steps, now);
                self.granted = fence;
                self.queue.extend(steps);
            }
            // The log knows better than the authority here, which will find out soon.
            Err(fault @ IntentError::Stale { .. }) => {
                self.note(Level::Warning, fault.to_string());
                self.stand_by(self.shared.now()).await;
            }
            Err(fault) => self.refused(&fault),
        }
    }
}

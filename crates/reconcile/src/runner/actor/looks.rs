use std::sync::Arc;
use std::time::Duration;

use regrow_ids::Fence;
use tokio::task::JoinHandle;
use tokio::time::timeout_at;

use super::super::Shared;
use super::Actor;
use crate::{Controller, Level, Moment, Sighting};

/// The pause after a look is so many times what it took, however often looks are asked for, and the
/// revisit at most: a look that waited for a time-out says nothing about how long a good one takes,
/// and slow ones must not delay healing for minutes.
const LOOK_SHARE: u32 = 4;

/// When to look at the world, and what the last look is worth.
pub(super) struct Looks<C: Controller> {
    running: Option<Look<C>>,
    at: Moment,
    /// No look begins before, whoever asks.
    not_before: Moment,
    /// No look begins before because a plan asks: the last ones were worth nothing.
    asked_not_before: Moment,
    blind_pause: Duration,
    /// The fence under which the last good look began.
    under: Option<Fence>,
}

struct Look<C: Controller> {
    began: Moment,
    under: Option<Fence>,
    task: JoinHandle<C::Answer>,
}

impl<C: Controller> Looks<C> {
    pub(super) const fn new(now: Moment) -> Self {
        Self {
            running: None,
            at: now,
            not_before: now,
            asked_not_before: now,
            blind_pause: Duration::ZERO,
            under: None,
        }
    }

    /// When the next look is to begin; `None` while one runs.
    pub(super) fn due(&self) -> Option<Moment> {
        self.running.is_none().then(|| self.at.max(self.not_before))
    }

    /// Something outside may have changed.
    pub(super) fn wake(&mut self, now: Moment) {
        self.at = self.at.min(now);
    }

    /// A plan wants to see more.
    pub(super) fn ask(&mut self, at: Moment) {
        self.at = self.at.min(at.max(self.asked_not_before));
    }

    /// True when what is known was seen under this leadership. What was seen under an earlier one
    /// may have been changed by another leader since.
    pub(super) fn show(&self, fence: Fence) -> bool {
        self.under == Some(fence)
    }

    /// True while a look runs that will tell what is so under this leadership.
    pub(super) fn will_show(&self, fence: Fence) -> bool {
        self.running.as_ref().is_some_and(|look| look.under == Some(fence))
    }

    /// Leadership is over: from now on others may act, whatever the next fence will be.
    pub(super) fn expire(&mut self) {
        self.under = None;
        if let Some(look) = &mut self.running {
            look.under = None;
        }
    }

    pub(super) fn abort(&mut self) {
        if let Some(look) = self.running.take() {
            look.task.abort();
        }
    }

    /// Resolves when the running look ends or takes too long; never without one.
    pub(super) async fn ended(&mut self, shared: &Shared<C>) -> Result<C::Answer, String> {
        let Some(look) = &mut self.running else { return std::future::pending().await };
        let end = shared.instant(look.began + shared.options.look_timeout);
        match timeout_at(end, &mut look.task).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(fault)) => Err(format!("look at the world: {fault}")),
            Err(_) => Err("look at the world: no answer in time".to_owned()),
        }
    }

    /// Notes that a look was worth something or not, and spaces those that plans ask for.
    fn weigh(
        &mut self,
        blind: bool,
        look_under: Option<Fence>,
        ended: Moment,
        bounds: [Duration; 2],
    ) {
        let [least, most] = bounds;
        if blind {
            self.blind_pause = (self.blind_pause * 2).max(least).min(most);
            self.asked_not_before = ended + self.blind_pause;
        } else {
            self.blind_pause = Duration::ZERO;
            self.under = look_under;
        }
    }
}

impl<C: Controller> Actor<C> {
    pub(super) fn look_when_due(&mut self) {
        let now = self.shared.now();
        if self.looks.due().is_none_or(|at| now < at) {
            return;
        }
        let under = self.shared.authority.fence();
        let question = self.shared.controller.question(&self.state, now);
        let (controller, key) = (Arc::clone(&self.shared.controller), self.key.clone());
        let task = tokio::spawn(async move { controller.observe(&key, question, under).await });
        self.looks.running = Some(Look { began: now, under, task });
        let jitter = 0.9 + rand::random::<f64>() / 5.0;
        self.looks.at = now + self.shared.options.revisit.mul_f64(jitter);
    }

    pub(super) fn absorb(&mut self, answer: Result<C::Answer, String>) {
        let Some(look) = self.looks.running.take() else { return };
        look.task.abort();
        let ended = self.shared.now();
        let options = self.shared.options;
        self.status.looks += 1;
        let longest = options.revisit.max(options.look_spacing);
        let took = ended.since(look.began);
        let pause = (took * LOOK_SHARE).clamp(options.look_spacing, longest);
        let blind = match answer {
            Ok(items) => {
                let seen = Sighting { began: look.began, ended, items };
                self.shared.controller.absorb(&mut self.state, seen);
                self.shared.controller.is_blind(&self.state)
            }
            Err(fault) => {
                self.note(Level::Warning, fault.clone());
                self.shared.controller.blind(&mut self.state, fault, ended);
                true
            }
        };
        self.looks.not_before = ended + pause;
        self.looks.weigh(blind, look.under, ended, [options.look_spacing, longest]);
        self.plan_soon();
        self.news = true;
    }
}

//! How one thing follows from another: events go to those that wait for them, ends to those that
//! wait for an end, until nothing follows any more.

use std::collections::HashMap;

use super::hub::{Hub, Step};
use super::life::Life;
use super::table::{Cue, Phase};
use super::{JobId, Machine};
use crate::config::{Level, When};
use crate::event::{Code, Event};

impl Machine {
    /// Who waits for what: the jobs of the configuration in its order, then those that leave it.
    pub(super) fn index(&mut self) {
        let mut waiting: HashMap<Event, Vec<JobId>> = HashMap::new();
        let current = self.order.iter().filter_map(|id| self.lives.get(id));
        for life in current.chain(self.lives.values().filter(|life| life.leaving)) {
            let mut events: Vec<Event> = match life.job.when {
                When::Startup | When::Interval(_) => vec![Event::new(Code::Startup, "global")],
                When::Events { .. } | When::Never => {
                    life.triggers().iter().map(|t| Event::new(t.code, t.source.clone())).collect()
                }
            };
            events.sort_unstable();
            events.dedup();
            for event in events {
                waiting.entry(event).or_default().push(life.id);
            }
        }
        self.waiting = waiting;
    }

    /// Does something with one job, where it is there.
    pub(super) fn with(&mut self, id: JobId, act: impl FnOnce(&mut Life, &mut Hub)) {
        if let Some(life) = self.lives.get_mut(&id) {
            act(life, &mut self.hub);
        }
    }

    /// Every job, also those that are not in the configuration any more.
    pub(super) fn all(&self) -> Vec<JobId> {
        self.lives.keys().copied().collect()
    }

    /// Goes on until nothing follows any more. Finite: an input publishes a bounded number of
    /// events, starting a job publishes none, and each job ends once.
    pub(super) fn settle(&mut self) {
        loop {
            self.drain_queue();
            if !std::mem::take(&mut self.hub.moved) || !self.conclude() {
                return;
            }
        }
    }

    pub(super) fn drain_queue(&mut self) {
        while let Some(step) = self.hub.queue.pop_front() {
            match step {
                Step::Publish(event, origin) => self.deliver(&event, origin),
                Step::Rested(id) => self.rested(id),
                Step::Ended(id) => self.job_ended(id),
            }
        }
    }

    fn deliver(&mut self, event: &Event, origin: Option<JobId>) {
        let waiting = self.waiting.get(event).cloned().unwrap_or_default();
        for id in &waiting {
            self.with(*id, |life, hub| life.hear(event, hub));
        }
        if let (Code::Stopping, Some(origin)) = (event.code, origin) {
            self.wait_for(origin, &waiting);
        }
    }

    /// A job is stopping: it waits for those that run because of that.
    fn wait_for(&mut self, origin: JobId, hooks: &[JobId]) {
        let busy = |life: &Life| life.is_hook() && life.is_busy();
        let mut hooks = hooks.to_vec();
        hooks.retain(|id| *id != origin && self.lives.get(id).is_some_and(busy));
        hooks.retain(|id| !self.waits_for(*id, origin));
        for id in &hooks {
            self.with(*id, |life, _| {
                life.waited_by.insert(origin);
            });
        }
        self.with(origin, |life, hub| {
            if life.phase == Phase::Draining {
                life.waits.extend(&hooks);
                if life.waits.is_empty() {
                    life.on(Cue::Drained, hub);
                }
            }
        });
    }

    /// Whether one job waits for another, itself or through others: then the other does not wait
    /// for it, or neither would ever end.
    fn waits_for(&mut self, one: JobId, other: JobId) -> bool {
        let mut seen = vec![one];
        let mut next = 0;
        while let Some(id) = seen.get(next).copied() {
            next += 1;
            let Some(life) = self.lives.get(&id) else { continue };
            if life.waits.contains(&other) {
                let text = format!("{} and another job wait for each other to stop", life.job.name);
                let job = Some(life.job.name.clone());
                self.hub.effects.push(super::Effect::Say { level: Level::Warning, job, text });
                return true;
            }
            let more: Vec<JobId> =
                life.waits.iter().filter(|id| !seen.contains(id)).copied().collect();
            seen.extend(more);
        }
        false
    }

    /// A job has nothing that runs: those that waited for it go on.
    pub(super) fn rested(&mut self, id: JobId) {
        let Some(life) = self.lives.get_mut(&id) else { return };
        if life.is_busy() {
            return;
        }
        let lock = life.lock.clone();
        self.let_go(id);
        if let Some(lock) = lock {
            self.settle_lock(&lock);
        }
    }

    /// Those that waited for this job to run because they are stopping go on.
    pub(super) fn let_go(&mut self, id: JobId) {
        let Some(life) = self.lives.get_mut(&id) else { return };
        for waiter in std::mem::take(&mut life.waited_by) {
            self.with(waiter, |life, hub| {
                if life.waits.remove(&id) && life.phase == Phase::Draining && life.waits.is_empty()
                {
                    life.on(Cue::Drained, hub);
                }
            });
        }
    }
}

impl Life {
    /// An event came that it waits for. Its own ends are no start events: the rules for ends have
    /// them already. While it waits to take the place of another, that one runs when a job stops.
    fn hear(&mut self, event: &Event, hub: &mut Hub) {
        let own = event.source == self.job.name || event.source == self.check_label;
        if own && matches!(event.code, Code::ExitSuccess | Code::ExitFailed) {
            return;
        }
        let ends = matches!(event.code, Code::Stopping | Code::Stopped);
        if self.behind.is_some() && ends {
            return;
        }
        if self.has_all(event) {
            self.on(Cue::Wanted, hub);
        }
    }

    /// Whether all start events have come, where all must.
    fn has_all(&mut self, event: &Event) -> bool {
        let When::Events { triggers, all: true, .. } = &self.job.when else { return true };
        let came = triggers.iter().position(|t| t.code == event.code && t.source == event.source);
        self.seen.extend(came);
        let complete = self.seen.len() == triggers.len();
        if complete {
            self.seen.clear();
        }
        complete
    }
}

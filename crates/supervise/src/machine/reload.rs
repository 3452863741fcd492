//! Another configuration: jobs that are the same in it go on untouched, the others end as jobs end,
//! and what takes their place begins when they have.

use std::sync::Arc;

use super::io::Effect;
use super::life::Life;
use super::locks::Stage;
use super::table::{Cue, Phase};
use super::{JobId, Machine};
use crate::config::{Config, Level, Trigger, When};
use crate::event::{Code, Event};

impl Machine {
    pub(super) fn reload(&mut self, config: &Arc<Config>) {
        if self.hub.ending.is_some() {
            let text = "another configuration came while the program ends: left out".to_owned();
            self.hub.effects.push(Effect::Say { level: Level::Warning, job: None, text });
            return;
        }
        let old = std::mem::take(&mut self.order);
        let fresh = self.arrange(config, &old);
        self.hub.config = Arc::clone(config);
        self.hub.moved = true;
        let gone: Vec<JobId> = old.into_iter().filter(|id| !self.order.contains(id)).collect();
        self.dismiss(&gone);
        for id in fresh {
            self.follow(id);
        }
        for lock in self.hub.locks.keys().cloned().collect::<Vec<_>>() {
            self.settle_lock(&lock);
        }
    }

    /// The order of the new configuration; the jobs that are new in it.
    fn arrange(&mut self, config: &Config, old: &[JobId]) -> Vec<JobId> {
        let mut left = old.to_vec();
        let mut fresh = Vec::new();
        for job in &config.jobs {
            let same = |id: &JobId| self.lives.get(id).is_some_and(|life| *life.job == *job);
            let id = match left.iter().position(same) {
                Some(place) => left.remove(place),
                None => {
                    let id = self.add(Arc::new(job.clone()));
                    fresh.push(id);
                    id
                }
            };
            self.order.push(id);
        }
        fresh
    }

    /// These are not in the configuration any more: they end, after what runs when they stop.
    fn dismiss(&mut self, gone: &[JobId]) {
        let begun = self.hub.begun;
        for id in gone {
            let known = self.lives.get(id);
            if known.is_some_and(|l| !begun || l.phase == Phase::Ended || l.behind.is_some()) {
                self.lives.remove(id);
            }
            self.with(*id, |life, _| life.leaving = true);
        }
        self.index();
        let hooks = self.hooks(|life| life.leaving);
        for id in gone.iter().filter(|id| !hooks.contains(id)) {
            self.with(*id, |life, hub| life.on(Cue::End, hub));
        }
    }

    /// A new job begins, or waits for the end of the one whose name it has.
    fn follow(&mut self, id: JobId) {
        if !self.hub.begun {
            return;
        }
        let name = self.lives.get(&id).map(|life| Arc::clone(&life.job.name));
        let mut leaving = self.lives.values().filter(|life| life.leaving);
        let before = leaving.find(|life| Some(&life.job.name) == name.as_ref()).map(|life| life.id);
        match before {
            Some(before) => self.with(id, |life, _| life.behind = Some(before)),
            None => self.introduce(id),
        }
    }

    /// A job has ended: what waited to take its place begins, and what is not in the configuration
    /// any more is forgotten.
    pub(super) fn succeed(&mut self, ended: JobId) {
        let behind = |life: &&Life| life.behind == Some(ended);
        let next: Vec<JobId> = self.lives.values().filter(behind).map(|life| life.id).collect();
        let Some(life) = self.lives.get(&ended) else { return };
        let renew = life.renew && !life.leaving;
        if life.leaving {
            self.lives.remove(&ended);
        }
        if renew && self.hub.ending.is_none() {
            self.renew(ended);
        }
        for id in next {
            self.follow(id);
        }
    }

    /// A job begins while the program runs: it has a startup of its own, and what it waits for may
    /// have happened.
    fn introduce(&mut self, id: JobId) {
        self.with(id, |life, hub| life.on(Cue::Begin, hub));
        let Some(life) = self.lives.get(&id) else { return };
        let name = Arc::clone(&life.job.name);
        if life.phase == Phase::Idle && self.hub.ending.is_none() && self.may_start(id) {
            self.with(id, |life, hub| life.on(Cue::Wanted, hub));
        }
        self.renew_hooks(id, &name);
    }

    fn may_start(&mut self, id: JobId) -> bool {
        let Some(life) = self.lives.get(&id) else { return false };
        match &life.job.when {
            When::Startup | When::Interval(_) => true,
            When::Never => false,
            When::Events { triggers, all, each, .. } => {
                let counts = |t: &Trigger| (!*each || t.code == Code::Acquired) && self.happened(t);
                let came: Vec<usize> =
                    (0..triggers.len()).filter(|i| triggers.get(*i).is_some_and(counts)).collect();
                let start = if *all { came.len() == triggers.len() } else { !came.is_empty() };
                if *all && !start {
                    self.with(id, |life, _| life.seen.extend(came));
                }
                start
            }
        }
    }

    /// Whether an event that says how something is, and not only that it changed, says how it is
    /// now.
    fn happened(&self, trigger: &Trigger) -> bool {
        let mut lives = self.order.iter().filter_map(|id| self.lives.get(id));
        let source = lives.find(|life| life.job.name == trigger.source);
        match trigger.code {
            Code::Startup => true,
            Code::ExitSuccess => source.and_then(|l| l.last).is_some_and(|last| last.code == 0),
            Code::ExitFailed => source.and_then(|l| l.last).is_some_and(|last| last.code != 0),
            Code::Stopped => source.is_some_and(|life| life.phase == Phase::Ended),
            Code::Healthy | Code::Unhealthy => {
                let told = self.hub.watched.get(&trigger.source).copied();
                source.map_or(told, |life| life.fitness.code()) == Some(trigger.code)
            }
            Code::Acquired => {
                let held = self.hub.config.lock_of(&trigger.source);
                let held = held.and_then(|lock| self.hub.locks.get(&lock));
                held.is_some_and(|held| held.stage == Stage::Firm)
            }
            Code::Stopping
            | Code::Changed
            | Code::Shutdown
            | Code::EnterMaintenance
            | Code::ExitMaintenance
            | Code::Signal
            | Code::TimerExpired
            | Code::Error
            | Code::Quit
            | Code::Metric
            | Code::Lost => false,
        }
    }

    /// A job has begun anew: what runs when it stops has to be able to run again.
    fn renew_hooks(&mut self, id: JobId, name: &Arc<str>) {
        let mut hooks = Vec::new();
        for code in [Code::Stopping, Code::Stopped] {
            let event = Event::new(code, Arc::clone(name));
            hooks.extend(self.waiting.get(&event).into_iter().flatten().copied());
        }
        for hook in hooks.into_iter().filter(|hook| *hook != id) {
            match self.lives.get(&hook).map(|life| (life.phase, life.starts)) {
                Some((Phase::Ended, _)) => self.renew(hook),
                Some((_, Some(0))) => self.with(hook, |life, _| life.renew = true),
                Some(_) | None => {}
            }
        }
    }

    /// A job that has ended begins anew under another number.
    fn renew(&mut self, ended: JobId) {
        let Some(life) = self.lives.remove(&ended) else { return };
        let id = self.add(life.job);
        for place in self.order.iter_mut().filter(|place| **place == ended) {
            *place = id;
        }
        self.index();
        self.with(id, |life, hub| life.on(Cue::Begin, hub));
    }
}

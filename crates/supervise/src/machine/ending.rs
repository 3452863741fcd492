//! The end: of jobs, of what a lock was held for, of the program.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::hub::{Cause, Hub};
use super::io::{Effect, Moment};
use super::life::Life;
use super::table::{Cue, Phase};
use super::{JobId, Machine};
use crate::config::When;
use crate::event::{Code, Event};

impl Machine {
    /// A job has ended for good.
    pub(super) fn job_ended(&mut self, id: JobId) {
        let Some(life) = self.lives.get(&id) else { return };
        let (name, lock) = (Arc::clone(&life.job.name), life.lock.clone());
        if life.job.main && !life.leaving {
            // One that never ran has no code: then the job that kept it from running counts.
            self.hub.main = life.last.map(|last| last.code).or(self.hub.main);
            self.end(Cause::Done);
        }
        self.let_go(id);
        self.succeed(id);
        if let Some(lock) = lock {
            self.settle_lock(&lock);
        }
        self.release_hooks(&name);
    }

    /// The program ends: no restarts, no starts; every job ends at once, but for those that run
    /// when another has stopped and for what they wait for.
    pub(super) fn end(&mut self, cause: Cause) {
        if self.hub.ending.is_some() {
            return;
        }
        self.hub.ending = Some(cause);
        self.hub.begun = true;
        self.hub.moved = true;
        self.hub.publish(Code::Shutdown, &"global".into());
        let hooks = self.hooks(|_| true);
        for id in self.all() {
            self.with(id, |life, hub| {
                life.press(hub);
                let waits = life.behind.is_some() || life.phase == Phase::Pausing;
                if waits || !hooks.contains(&id) {
                    life.on(Cue::End, hub);
                }
            });
        }
        for lock in self.hub.locks.keys().cloned().collect::<Vec<_>>() {
            self.settle_lock(&lock);
        }
    }

    /// Of these jobs, that are to end, the ones that still get to run once: a job that ends at
    /// once, or another of them, leads to them. One that runs already because another has stopped
    /// is one of them too: its source may be the reason why all end.
    pub(super) fn hooks(&self, these: impl Fn(&Life) -> bool) -> BTreeSet<JobId> {
        let alive = |life: &&Life| life.phase != Phase::Ended && these(life);
        let leads = |life: &&Life| !life.is_hook() || life.runs_as_hook();
        let mut next: Vec<&Life> = self.lives.values().filter(alive).filter(leads).collect();
        let runs = next.iter().filter(|life| life.is_hook());
        let mut hooks: BTreeSet<JobId> = runs.map(|life| life.id).collect();
        while let Some(life) = next.pop() {
            for code in [Code::Stopping, Code::Stopped] {
                let event = Event::new(code, Arc::clone(&life.job.name));
                let waiting = self.waiting.get(&event).into_iter().flatten();
                let found = waiting.filter_map(|id| self.lives.get(id)).filter(alive);
                next.extend(found.filter(|life| life.is_hook() && hooks.insert(life.id)));
            }
        }
        hooks
    }

    /// A job of this name has ended: what only waited for that, and did not start, ends too.
    fn release_hooks(&mut self, name: &Arc<str>) {
        let mut ids: Vec<JobId> = Vec::new();
        for code in [Code::Stopping, Code::Stopped] {
            ids.extend(self.waiting.get(&Event::new(code, Arc::clone(name))).into_iter().flatten());
        }
        for id in ids {
            let Some(life) = self.lives.get(&id) else { continue };
            let idle = matches!(life.phase, Phase::Idle | Phase::Waiting);
            let ends = self.hub.ending.is_some() || life.leaving;
            if idle && ends && !self.may_still_stop(life) {
                self.with(id, |life, hub| life.on(Cue::End, hub));
            }
        }
    }

    /// Whether one of the jobs for whose stop this one waits has not ended yet.
    fn may_still_stop(&self, hook: &Life) -> bool {
        let open = |name: &Arc<str>| {
            let named = |life: &&Life| life.job.name == *name && life.phase != Phase::Ended;
            self.lives.values().any(|life| named(&life))
        };
        hook.stops().any(open)
    }

    /// Whether something follows from how all jobs are: the program begins to end, or exits.
    pub(super) fn conclude(&mut self) -> bool {
        if self.hub.over.is_some() || !self.hub.begun {
            return false;
        }
        if self.hub.ending.is_none() && self.is_done() {
            self.end(Cause::Done);
            return true;
        }
        if self.break_circle() {
            return true;
        }
        if self.hub.ending.is_some() && self.lives.values().all(|l| l.phase == Phase::Ended) {
            let code = self.exit_code();
            self.hub.over = Some(code);
            self.hub.effects.push(Effect::Exit { code });
        }
        false
    }

    /// Of the jobs that are to end, only some are left that wait for one another to stop, so none
    /// of them ever would: they end.
    fn break_circle(&mut self) -> bool {
        let all = self.hub.ending.is_some();
        let ends = |life: &&Life| life.phase != Phase::Ended && (all || life.leaving);
        let idle =
            |life: &Life| matches!(life.phase, Phase::Idle | Phase::Waiting) && !life.pending;
        if !self.lives.values().filter(ends).all(idle) {
            return false;
        }
        let left: Vec<JobId> = self.lives.values().filter(ends).map(|life| life.id).collect();
        for id in &left {
            self.with(*id, |life, hub| life.on(Cue::End, hub));
        }
        !left.is_empty()
    }

    /// Nothing is left to do.
    fn is_done(&self) -> bool {
        let strict = self.hub.config.strict;
        if self.lives.is_empty() {
            return !strict;
        }
        let mut open = self.lives.values().filter(|life| life.phase != Phase::Ended);
        if strict {
            return open.next().is_none();
        }
        let mut open = open.filter(|life| !life.job.telemetry).peekable();
        let some = self.lives.values().any(|life| !life.job.telemetry);
        if open.peek().is_none() {
            return some;
        }
        self.is_barred() || self.hub.completed && !open.any(|life| life.holds_open(&self.hub))
    }

    /// There are jobs with whose end the program ends, and none of them can begin any more: what they
    /// wait for are events of jobs that have ended. A check or a task beside them is no reason to go on.
    fn is_barred(&self) -> bool {
        let mut mains =
            self.lives.values().filter(|life| life.job.main && !life.leaving).peekable();
        mains.peek().is_some() && mains.all(|life| self.cannot_begin(life))
    }

    fn cannot_begin(&self, life: &Life) -> bool {
        let waits = matches!(life.phase, Phase::Idle | Phase::Waiting) && !life.pending;
        let When::Events { triggers, all, .. } = &life.job.when else { return false };
        let mut over = triggers
            .iter()
            .enumerate()
            .map(|(place, trigger)| !life.seen.contains(&place) && self.is_over(&trigger.source));
        waits && !triggers.is_empty() && if *all { over.any(|it| it) } else { over.all(|it| it) }
    }

    /// The source of these events is a job that has ended, or its check.
    fn is_over(&self, source: &str) -> bool {
        let name = source.strip_prefix("check.").unwrap_or(source);
        let mut named = self.lives.values().filter(|life| *life.job.name == *name).peekable();
        named.peek().is_some() && named.all(|life| life.phase == Phase::Ended)
    }

    /// The code of the main job; else that of the first job that failed for good. Who told the
    /// program to end did not ask how the jobs were before, and TERM is how jobs are told to end:
    /// then only a main job that failed in another way counts.
    fn exit_code(&self) -> i32 {
        let told = self.hub.ending == Some(Cause::Told);
        match (self.hub.main, told) {
            _ if self.hub.config.strict => 0,
            (Some(143 | 130), true) => 0,
            (Some(code), _) => code,
            (None, true) => 0,
            (None, false) => self.hub.failed.unwrap_or(0),
        }
    }
}

impl Life {
    /// The program has a reason to go on because of this job.
    fn holds_open(&self, hub: &Hub) -> bool {
        let works = self.job.exec.is_some();
        match self.phase {
            Phase::Starting | Phase::Running | Phase::Pausing if works => true,
            Phase::Draining | Phase::Withdrawing | Phase::Terminating => true,
            Phase::Idle | Phase::Waiting if self.pending => true,
            _ if matches!(self.job.when, When::Interval(_)) => self.ran,
            Phase::Idle | Phase::Waiting => self.is_standby() && hub.failed.is_none(),
            Phase::Starting | Phase::Running | Phase::Pausing | Phase::Ended => false,
        }
    }

    /// It is work that waits for the world outside to let it begin: for a lock, or, for its first
    /// and only start, for a watch.
    fn is_standby(&self) -> bool {
        let watch = self.triggers().iter().any(|trigger| trigger.source.starts_with("watch."));
        self.lock.is_some() || (watch && self.starts == Some(1))
    }

    /// A lock goes: now (and what is left is killed at that moment), or as soon as what runs under
    /// it has ended in its own time.
    pub(super) fn lose(&mut self, lock: &Arc<str>, kill_at: Option<Moment>, hub: &mut Hub) {
        if self.lock.as_ref() != Some(lock) {
            return;
        }
        let acquired = self.triggers().iter().position(|t| t.code == Code::Acquired);
        if let Some(place) = acquired {
            self.seen.remove(&place);
        }
        self.pending = false;
        if self.phase != Phase::Ended {
            self.kill_by = kill_at.map(|at| self.kill_by.map_or(at, |by| by.min(at)));
        }
        self.on(Cue::Losing, hub);
        if self.phase != Phase::Terminating {
            self.kill_by = None;
        }
    }
}

//! How a job runs: starts, restarts, pauses, timeouts.

use std::sync::Arc;
use std::time::Duration;

use regrow_ids::GoDuration;
use regrow_init::{Ended, ProcessId};

use super::hub::{Hub, Role, Step};
use super::io::{Effect, Moment, Notice, Start};
use super::life::{Fitness, LastRun, Life};
use super::table::{Cue, Phase};
use super::{KILL, text};
use crate::config::{Exec, Level, When};
use crate::event::Code;

impl Life {
    /// Takes one of the starts that are left.
    fn use_start(&mut self) -> bool {
        match &mut self.starts {
            None => true,
            Some(0) => false,
            Some(left) => {
                *left -= 1;
                true
            }
        }
    }

    fn use_restart(&mut self) -> bool {
        match &mut self.restarts {
            None => true,
            Some(0) => false,
            Some(left) => {
                *left -= 1;
                true
            }
        }
    }

    /// Its start event came while nothing of it runs.
    pub(super) fn begin_run(&mut self, hub: &mut Hub) {
        if self.behind.is_some() {
            self.pending = true;
        } else if self.is_allowed(hub) && self.use_start() {
            self.launch(hub);
        }
    }

    /// Its start event came while its process runs: it runs once more afterwards, however many
    /// such events came.
    pub(super) fn remember(&mut self) {
        let goes_on = self.phase != Phase::Terminating || self.returns;
        self.pending = goes_on && self.starts != Some(0) && self.job.exec.is_some();
    }

    /// Another run of an interval job is due; one that is due already is not counted again.
    pub(super) fn lap(&mut self, hub: &mut Hub) {
        if self.pending {
            return;
        }
        if !self.use_restart() {
            self.on(Cue::End, hub);
        } else if self.main.is_some() {
            self.pending = true;
        } else {
            self.launch(hub);
        }
    }

    /// Time between the cues of something regular.
    fn interval(&self, cue: Cue) -> Option<Duration> {
        match (cue, &self.job.when) {
            (Cue::CheckTick, _) => self.job.health.as_ref().map(|health| health.interval),
            (Cue::LiveTick, _) => self.job.liveness.as_ref().map(|liveness| liveness.interval),
            (Cue::IntervalTick, When::Interval(interval)) => Some(*interval),
            _ => None,
        }
    }

    /// A deadline has come. What is regular is due again one interval later; times that have
    /// passed are left out.
    pub(super) fn due(&mut self, cue: Cue, at: Moment, hub: &mut Hub) {
        self.clear(&[cue], hub);
        if let Some(interval) = self.interval(cue) {
            let next = at.after(interval);
            let next = if next <= hub.now { hub.now.after(interval) } else { next };
            self.set(cue, next, hub);
        }
        self.on(cue, hub);
    }

    /// Runs.
    pub(super) fn launch(&mut self, hub: &mut Hub) {
        self.clear(&[Cue::WhenOver, Cue::RestartDue], hub);
        self.arm(Cue::IntervalTick, hub);
        self.arm(Cue::CheckTick, hub);
        self.ran = true;
        self.pending = false;
        self.since = hub.now;
        self.ready = false;
        self.failures = 0;
        self.fitness = Fitness::Unknown;
        let Some(exec) = self.job.exec.clone() else {
            self.enter(Phase::Running, hub);
            return;
        };
        let label = Arc::clone(&self.job.name);
        let process = self.spawn(Role::Main, label, exec, hub);
        self.main = Some(process);
        self.enter(Phase::Starting, hub);
        self.watch_over(hub);
    }

    /// Something regular begins, where it has not: its first time is one interval from now.
    fn arm(&mut self, cue: Cue, hub: &mut Hub) {
        if let Some(interval) = self.interval(cue).filter(|_| !self.deadlines.contains_key(&cue)) {
            self.set(cue, hub.now.after(interval), hub);
        }
    }

    /// The deadlines of one run of its process.
    fn watch_over(&mut self, hub: &mut Hub) {
        let now = hub.now;
        if let Some(timeout) = self.job.timeout {
            self.set(Cue::TimedOut, now.after(timeout), hub);
        }
        if let Some(within) = self.job.notify.and_then(|notify| notify.ready_within) {
            self.set(Cue::ReadyOver, now.after(within), hub);
        }
        self.arm(Cue::LiveTick, hub);
    }

    /// Its process is there: it gets the signals that came while there was none.
    pub(super) fn run(&mut self, hub: &mut Hub) {
        self.enter(Phase::Running, hub);
        let Some(process) = self.main else { return };
        for signal in std::mem::take(&mut self.forwards) {
            hub.effects.push(Effect::Signal { process, signal });
        }
    }

    /// Asks for a process.
    pub(super) fn spawn(
        &mut self,
        role: Role,
        label: Arc<str>,
        exec: Exec,
        hub: &mut Hub,
    ) -> ProcessId {
        let fence = self.fence(hub);
        let process = hub.process(self.id, role, false, fence.clone());
        let start = self.start_of(process, role, label, exec, fence);
        hub.effects.push(Effect::Start(start));
        process
    }

    /// The lock that let it begin, and its fence: it runs under that, or a watch told of it.
    fn fence(&self, hub: &Hub) -> Option<(Arc<str>, u64)> {
        let acquired = self.triggers().iter().find(|trigger| trigger.code == Code::Acquired)?;
        let lock = hub.config.lock_of(&acquired.source)?;
        hub.locks.get(&lock).map(|held| (lock, held.fence))
    }

    pub(super) fn start_of(
        &self,
        process: ProcessId,
        role: Role,
        label: Arc<str>,
        exec: Exec,
        fence: Option<(Arc<str>, u64)>,
    ) -> Start {
        let raw_check = self.job.health.as_ref().is_some_and(|health| health.raw);
        let raw = if role == Role::Main { self.job.raw } else { raw_check };
        Start { process, job: self.id, label, check: role != Role::Main, exec, raw, fence }
    }

    /// Its process ended.
    pub(super) fn main_ended(&mut self, how: Ended, why: Option<String>, hub: &mut Hub) {
        self.main = None;
        self.clear(
            &[Cue::TimedOut, Cue::ReadyOver, Cue::WatchdogOver, Cue::LiveTick, Cue::LiveOver],
            hub,
        );
        self.stale = self.check.is_some();
        self.drop_live(hub);
        self.fitness = Fitness::Unknown;
        let stable = hub.now.since(self.since) >= self.job.backoff.reset;
        self.last = Some(LastRun { code: text::code(how), stable });
        self.tell_end(how, why, hub);
        self.on(Cue::Exited, hub);
    }

    fn tell_end(&mut self, how: Ended, why: Option<String>, hub: &mut Hub) {
        let name = Arc::clone(&self.job.name);
        let asked = self.phase >= Phase::Draining;
        if text::is_success(how) {
            hub.say(Level::Debug, &name, format!("{name} exited without error"));
            hub.publish(Code::ExitSuccess, &name);
            return;
        }
        let how_text = text::how(how);
        let (line, error) = match why {
            Some(why) => (format!("unable to start {name}: {why}"), why),
            None => {
                (format!("{name} exited with error: {how_text}"), format!("{name}: {how_text}"))
            }
        };
        hub.say(if asked { Level::Debug } else { Level::Error }, &name, line);
        hub.publish(Code::ExitFailed, &name);
        hub.publish(Code::Error, &error.into());
    }

    /// What comes after a run that ended by itself.
    pub(super) fn next(&mut self, hub: &mut Hub) {
        let again = std::mem::take(&mut self.pending);
        if hub.ending.is_some() || self.leaving {
            self.on(Cue::End, hub);
        } else if matches!(self.job.when, When::Interval(_)) {
            if again { self.launch(hub) } else { self.wait(hub) }
        } else if again && self.is_allowed(hub) && self.use_start() {
            self.launch(hub);
        } else if self.use_restart() {
            self.pause(hub);
        } else {
            self.give_up(hub);
        }
    }

    /// No restart is left. What runs under a lock is what the lock is for: with the end of one such
    /// job the lock goes to others.
    fn give_up(&mut self, hub: &mut Hub) {
        let code = self.last.map_or(0, |last| last.code);
        let lock = self.lock.clone();
        if self.starts == Some(0) {
            if code != 0 && !self.leaving {
                hub.failed.get_or_insert(code);
            }
            self.on(Cue::End, hub);
        } else if lock.is_some() {
            self.give_way(hub);
        } else {
            self.wait(hub);
        }
        if let Some(held) = lock.and_then(|lock| hub.locks.get_mut(&lock)) {
            held.leave();
        }
    }

    pub(super) fn wait(&mut self, hub: &mut Hub) {
        self.enter(Phase::Waiting, hub);
        hub.queue.push_back(Step::Rested(self.id));
    }

    /// Runs again: at once after a stable run, after a pause otherwise. Failures in a row make the
    /// pause longer; a process that ends well is in no crash loop, and waits for the shortest one.
    fn pause(&mut self, hub: &mut Hub) {
        let backoff = self.job.backoff;
        let last = self.last.unwrap_or(LastRun { code: 0, stable: true });
        self.tell_unfit("its process ended", hub);
        if last.stable || backoff.first.is_zero() {
            self.streak = 0;
            self.launch(hub);
            return;
        }
        let doubled = backoff.first.saturating_mul(1 << self.streak.min(30));
        let pause = hub.jitter(doubled.min(backoff.most));
        self.streak = if last.code == 0 { 0 } else { self.streak.saturating_add(1) };
        self.set(Cue::RestartDue, hub.now.after(pause), hub);
        self.enter(Phase::Pausing, hub);
    }

    /// Its process took too long, was not ready in time or was silent: it is killed.
    pub(super) fn kill(&mut self, cue: Cue, hub: &mut Hub) {
        self.clear(&[cue], hub);
        let name = Arc::clone(&self.job.name);
        let line = match (cue, self.job.notify) {
            (Cue::ReadyOver, Some(notify)) => {
                let within = notify.ready_within.unwrap_or_default();
                format!("{name} was not ready after {}: killed", GoDuration::new(within))
            }
            (Cue::WatchdogOver, Some(notify)) => {
                let silent = notify.watchdog.unwrap_or_default();
                format!("{name} was silent for {}: killed", GoDuration::new(silent))
            }
            _ => text::timeout(&name, self.job.timeout.unwrap_or_default(), self.job.exec.as_ref()),
        };
        hub.say(Level::Warning, &name, line);
        if let Some(process) = self.main {
            hub.signal(process, KILL);
        }
    }

    /// Its process told of itself.
    pub(super) fn notified(&mut self, what: Notice, hub: &mut Hub) {
        match what {
            Notice::Ready => self.on(Cue::Ready, hub),
            Notice::Watchdog => self.expect_word(hub),
            Notice::Stopping => {
                self.clear(&[Cue::WatchdogOver], hub);
                self.ready = false;
                self.fitness = Fitness::Unknown;
                self.tell_unfit("its process is stopping", hub);
            }
        }
    }

    /// The next word of its process is due within `watchdog`.
    pub(super) fn expect_word(&mut self, hub: &mut Hub) {
        let silence = self.job.notify.and_then(|notify| notify.watchdog);
        if let Some(silence) = silence.filter(|_| self.phase <= Phase::Running) {
            self.set(Cue::WatchdogOver, hub.now.after(silence), hub);
        }
    }
}

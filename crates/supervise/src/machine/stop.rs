//! How a job ends: those that wait for its `stopping` run first, its service leaves the catalog,
//! its processes are told to end, and killed in the end.

use std::sync::Arc;
use std::time::Duration;

use super::hub::{Hub, Step};
use super::io::{Effect, Moment};
use super::life::Life;
use super::locks::{Held, Stage};
use super::table::{Cue, Phase};
use super::{KILL, TERM};
use crate::config::Level;
use crate::event::Code;

/// How long the end of a job waits for the catalog.
pub(super) const WITHDRAW_WITHIN: Duration = Duration::from_secs(1);

/// How long the end of the program waits for a process after it was killed: what the kernel does
/// not let go (a disk or a file server that does not answer) is left behind.
pub(super) const GONE_WITHIN: Duration = Duration::from_secs(1);

impl Life {
    /// It is to end. One that never began to listen tells nobody.
    pub(super) fn drain(&mut self, hub: &mut Hub) {
        if self.behind.take().is_some() {
            self.enter(Phase::Ended, hub);
            return;
        }
        self.clear(
            &[
                Cue::WhenOver,
                Cue::IntervalTick,
                Cue::RestartDue,
                Cue::ReadyOver,
                Cue::WatchdogOver,
                Cue::LiveTick,
            ],
            hub,
        );
        self.pending = false;
        if let Some(limit) = self.job.stop_timeout {
            self.set(Cue::DrainOver, hub.now.after(limit), hub);
        }
        self.enter(Phase::Draining, hub);
        hub.publish_from(Code::Stopping, &Arc::clone(&self.job.name), Some(self.id));
    }

    /// Takes its service out of the catalog before anything is told to end.
    pub(super) fn withdraw(&mut self, hub: &mut Hub) {
        self.clear(&[Cue::DrainOver, Cue::CheckTick], hub);
        self.waits.clear();
        self.take_out(hub);
        if self.withdrawing {
            self.set(Cue::WithdrawOver, hub.now.after(WITHDRAW_WITHIN), hub);
            self.enter(Phase::Withdrawing, hub);
        } else {
            self.terminate(hub);
        }
    }

    /// Tells what runs to end.
    pub(super) fn terminate(&mut self, hub: &mut Hub) {
        self.clear(&[Cue::DrainOver, Cue::WithdrawOver, Cue::CheckTick], hub);
        self.killed = false;
        self.enter(Phase::Terminating, hub);
        self.drop_probes(hub);
        for process in self.processes() {
            hub.signal(process, TERM);
        }
        let due = hub.now.after(self.patience(hub));
        self.set_kill(due, hub);
        self.reap(hub);
    }

    /// How long its processes have to end.
    fn patience(&self, hub: &Hub) -> Duration {
        let global = hub.config.stop_timeout;
        if hub.ending.is_some() { global } else { self.job.stop_timeout.unwrap_or(global) }
    }

    /// Its processes are killed at this moment, or at the one by which its lock is lost.
    fn set_kill(&mut self, due: Moment, hub: &mut Hub) {
        let due = self.kill_by.map_or(due, |by| by.min(due));
        self.set(Cue::KillDue, due, hub);
        if due <= hub.now {
            self.on(Cue::KillDue, hub);
        }
    }

    /// Kills what is left. What does not even end by that is left behind when the program ends.
    pub(super) fn kill_all(&mut self, hub: &mut Hub) {
        if self.killed && hub.ending.is_some() {
            self.leave_behind(hub);
            return;
        }
        self.killed = true;
        for process in self.processes() {
            hub.signal(process, KILL);
        }
        self.set(Cue::KillDue, hub.now.after(GONE_WITHIN), hub);
    }

    fn leave_behind(&mut self, hub: &mut Hub) {
        let name = Arc::clone(&self.job.name);
        hub.say(Level::Error, &name, format!("{name} was killed and does not end: left behind"));
        for process in self.processes() {
            hub.processes.remove(&process);
        }
        (self.main, self.check, self.live) = (None, None, None);
        self.reap(hub);
    }

    /// The program ends while this job is being stopped: it has no longer than all others.
    pub(super) fn press(&mut self, hub: &mut Hub) {
        if let Some(due) = self.deadlines.get(&Cue::KillDue).copied() {
            self.set_kill(due.min(hub.now.after(hub.config.stop_timeout)), hub);
        }
    }

    /// Ended, where nothing is left of it.
    pub(super) fn reap(&mut self, hub: &mut Hub) {
        if self.phase != Phase::Terminating || self.processes().next().is_some() {
            return;
        }
        let cues: Vec<Cue> = self.deadlines.keys().copied().collect();
        self.clear(&cues, hub);
        self.kill_by = None;
        if std::mem::take(&mut self.returns) {
            self.come_back(hub);
            return;
        }
        self.enter(Phase::Ended, hub);
        hub.completed |= self.ran && self.job.exec.is_some() && !self.leaving;
        hub.publish_from(Code::Stopped, &Arc::clone(&self.job.name), Some(self.id));
        hub.queue.push_back(Step::Ended(self.id));
    }

    /// It was stopped because of its lock; the next acquisition may have come meanwhile.
    fn come_back(&mut self, hub: &mut Hub) {
        self.wait(hub);
        if std::mem::take(&mut self.pending) {
            self.on(Cue::Wanted, hub);
        }
    }

    /// It was being stopped for its lock only, and is to end altogether.
    pub(super) fn end_after(&mut self, hub: &mut Hub) {
        if std::mem::take(&mut self.returns) {
            self.pending = false;
            hub.publish_from(Code::Stopping, &Arc::clone(&self.job.name), Some(self.id));
        }
        self.press(hub);
    }

    /// It runs under its lock and the lock is not about to go.
    pub(super) fn is_allowed(&self, hub: &Hub) -> bool {
        let firm = |lock| hub.locks.get(lock).is_some_and(|held: &Held| held.stage == Stage::Firm);
        self.lock.as_ref().is_none_or(firm)
    }

    /// The lock goes: everything of it ends now, and it waits for the lock to come back.
    pub(super) fn give_way(&mut self, hub: &mut Hub) {
        self.returns = self.starts != Some(0);
        self.pending = false;
        if !self.returns {
            hub.publish_from(Code::Stopping, &Arc::clone(&self.job.name), Some(self.id));
        }
        self.hasten(hub);
    }

    /// The lock goes: nobody is waited for.
    pub(super) fn hasten(&mut self, hub: &mut Hub) {
        self.clear(
            &[Cue::CheckTick, Cue::LiveTick, Cue::ReadyOver, Cue::WatchdogOver, Cue::RestartDue],
            hub,
        );
        self.waits.clear();
        self.take_out(hub);
        self.terminate(hub);
    }

    /// The lock goes: what was told to end is killed by its moment.
    pub(super) fn hurry(&mut self, hub: &mut Hub) {
        if let Some(due) = self.deadlines.get(&Cue::KillDue).copied() {
            self.set_kill(due, hub);
        }
    }

    /// Takes its service out of the catalog.
    pub(super) fn take_out(&mut self, hub: &mut Hub) {
        if self.announced.take().is_some() {
            self.withdrawing = true;
            hub.effects.push(Effect::Withdraw { job: self.id });
        }
    }
}

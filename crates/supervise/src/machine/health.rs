//! Whether a job is fit, whether its process is alive, and what the catalog is told of it.

use std::sync::Arc;

use regrow_init::{Ended, ProcessId};

use super::KILL;
use super::hub::{Hub, Role};
use super::io::Effect;
use super::life::{Fitness, Life};
use super::table::{Act, Cue, Phase, cell};
use super::text;
use crate::config::{Check, Level, Status};
use crate::event::Code;

/// What a check said, and why not.
pub(super) type Outcome = Result<(), String>;

impl Life {
    /// It is time for a check. One that still runs is not overtaken, and the next comes a little sooner, by
    /// chance: jobs that began together check together, and where that is more than the machine can do
    /// in an interval all of them would leave out every other check for ever.
    pub(super) fn begin_check(&mut self, hub: &mut Hub) {
        let Some(health) = self.job.health.clone() else { return };
        let unready = self.job.notify.is_some() && !self.ready;
        let lockless = self.lock.is_some() && !self.is_allowed(hub);
        if hub.maintenance || unready || lockless {
            return;
        }
        if self.check.is_some() {
            let sooner = hub.jitter(health.interval);
            return self.set(Cue::CheckTick, hub.now.after(sooner), hub);
        }
        let Some(check) = health.check else {
            self.fitness = Fitness::Healthy;
            self.tell_fit(hub);
            return;
        };
        let label = Arc::clone(&self.check_label);
        self.check = Some(self.ask(Role::Check, label, check, health.timeout, hub));
        self.stale = false;
        self.set(Cue::CheckOver, hub.now.after(health.timeout), hub);
    }

    /// Begins a check or a look at the process.
    fn ask(
        &mut self,
        role: Role,
        label: Arc<str>,
        check: Check,
        timeout: std::time::Duration,
        hub: &mut Hub,
    ) -> ProcessId {
        match check {
            Check::Exec(exec) => self.spawn(role, label, exec, hub),
            Check::Probe(probe) => {
                let process = hub.process(self.id, role, true, None);
                hub.effects.push(Effect::Probe { process, job: self.id, probe, timeout });
                process
            }
        }
    }

    /// A check takes too long: a program is killed, and its end is the failure.
    pub(super) fn kill_check(&mut self, hub: &mut Hub) {
        self.clear(&[Cue::CheckOver], hub);
        let (Some(process), Some(health)) = (self.check, self.job.health.clone()) else { return };
        let exec = match &health.check {
            Some(Check::Exec(exec)) => Some(exec),
            Some(Check::Probe(_)) | None => None,
        };
        let line = text::timeout(&self.check_label, health.timeout, exec);
        hub.say(Level::Warning, &self.check_label, line.clone());
        self.cut(Role::Check, process, line, hub);
    }

    /// Kills a program; takes a probe that did not answer for one that failed.
    fn cut(&mut self, role: Role, process: ProcessId, why: String, hub: &mut Hub) {
        if hub.processes.get(&process).is_some_and(|known| known.probe) {
            hub.processes.remove(&process);
            self.asked_ended(role, Err(why), hub);
        } else {
            hub.signal(process, KILL);
        }
    }

    /// A program that was to say something about the job ended.
    pub(super) fn asked_exited(
        &mut self,
        role: Role,
        how: Ended,
        said: Option<String>,
        hub: &mut Hub,
    ) {
        let outcome = match (how, said) {
            _ if text::is_success(how) => Ok(()),
            (Ended::NotStarted(_), Some(why)) => Err(why),
            (_, Some(said)) => Err(format!("{}: {said}", text::how(how))),
            (_, None) => Err(text::how(how)),
        };
        self.asked_ended(role, outcome, hub);
    }

    /// A check, or a look at the process, has an outcome.
    pub(super) fn asked_ended(&mut self, role: Role, outcome: Outcome, hub: &mut Hub) {
        let (cue, over) = match role {
            Role::Check => (Cue::Checked, Cue::CheckOver),
            Role::Live | Role::Main => (Cue::Lived, Cue::LiveOver),
        };
        *self.slot(role) = None;
        self.clear(&[over], hub);
        if role == Role::Check {
            self.publish_check(&outcome, hub);
        }
        match cell(self.phase, cue) {
            Act::Judge => self.judge(outcome, hub),
            Act::Count => self.count(outcome, hub),
            _ => self.on(cue, hub),
        }
    }

    fn publish_check(&self, outcome: &Outcome, hub: &mut Hub) {
        match outcome {
            Ok(()) => hub.publish(Code::ExitSuccess, &self.check_label),
            Err(why) => {
                hub.publish(Code::ExitFailed, &self.check_label);
                hub.publish(Code::Error, &format!("{}: {why}", self.check_label).into());
            }
        }
    }

    /// Takes what a check said for the state of the job, unless it spoke of a process that is gone
    /// or spoke in maintenance.
    fn judge(&mut self, outcome: Outcome, hub: &mut Hub) {
        if self.stale || hub.maintenance {
            return;
        }
        let before = self.fitness;
        let name = Arc::clone(&self.job.name);
        match outcome {
            Ok(()) => {
                self.fitness = Fitness::Healthy;
                if before == Fitness::Unhealthy {
                    hub.say(Level::Info, &name, format!("{name} is healthy again"));
                }
                hub.publish(Code::Healthy, &name);
                self.tell_fit(hub);
            }
            Err(why) => {
                self.fitness = Fitness::Unhealthy;
                if before != Fitness::Unhealthy {
                    hub.say(Level::Warning, &name, format!("{name} is not healthy: {why}"));
                }
                hub.publish(Code::Unhealthy, &name);
                self.tell_unfit(&why, hub);
            }
        }
    }

    /// Says to the catalog that it can be used.
    fn tell_fit(&mut self, hub: &mut Hub) {
        if self.service.is_none() {
            return;
        }
        if self.announced.is_none() {
            self.announce(Status::Passing, hub);
        }
        self.announced = Some(Status::Passing);
        self.heartbeat(Status::Passing, "ok", hub);
    }

    /// Says to the catalog that it cannot be used, where that is wanted at once.
    pub(super) fn tell_unfit(&mut self, why: &str, hub: &mut Hub) {
        let fast = self.job.health.as_ref().is_some_and(|health| health.fail_fast);
        if fast && self.announced.is_some() {
            self.announced = Some(Status::Critical);
            self.heartbeat(Status::Critical, why, hub);
        }
    }

    fn heartbeat(&self, status: Status, output: &str, hub: &mut Hub) {
        hub.effects.push(Effect::Heartbeat { job: self.id, status, output: output.to_owned() });
    }

    /// Puts its service into the catalog.
    pub(super) fn announce(&mut self, status: Status, hub: &mut Hub) {
        let Some(service) = self.service.clone() else { return };
        let ttl = self.job.health.as_ref().map(|health| health.ttl).unwrap_or_default();
        self.announced = Some(status);
        self.withdrawing = false;
        hub.effects.push(Effect::Announce { job: self.id, service, ttl, status });
    }

    /// Its process is ready.
    pub(super) fn mark_ready(&mut self, hub: &mut Hub) {
        self.clear(&[Cue::ReadyOver], hub);
        self.ready = true;
        self.expect_word(hub);
        self.trust(hub);
    }

    /// A process that said that it is ready is healthy by that, where nothing else is asked.
    fn trust(&mut self, hub: &mut Hub) {
        let checked = self.job.health.as_ref().is_some_and(|health| health.check.is_some());
        if self.ready && !checked && !hub.maintenance && self.job.notify.is_some() {
            self.fitness = Fitness::Healthy;
            hub.publish(Code::Healthy, &Arc::clone(&self.job.name));
            self.tell_fit(hub);
        }
    }

    /// Looks whether its process is alive.
    pub(super) fn look(&mut self, hub: &mut Hub) {
        let Some(liveness) = self.job.liveness.clone() else { return };
        if self.live.is_some() {
            return;
        }
        let label = self.label_of(Role::Live);
        self.live = Some(self.ask(Role::Live, label, liveness.check, liveness.timeout, hub));
        self.set(Cue::LiveOver, hub.now.after(liveness.timeout), hub);
    }

    pub(super) fn kill_live(&mut self, hub: &mut Hub) {
        self.clear(&[Cue::LiveOver], hub);
        if let Some(process) = self.live {
            self.cut(Role::Live, process, "no answer in time".to_owned(), hub);
        }
    }

    /// Counts failures in a row: after so many the process is dead, whatever it looks like.
    fn count(&mut self, outcome: Outcome, hub: &mut Hub) {
        let Some(liveness) = &self.job.liveness else { return };
        let Err(why) = outcome else {
            self.failures = 0;
            return;
        };
        if hub.now.since(self.since) < liveness.grace {
            return;
        }
        self.failures += 1;
        if self.failures < liveness.failures {
            return;
        }
        self.failures = 0;
        let name = Arc::clone(&self.job.name);
        hub.say(Level::Error, &name, format!("{name} is not alive: {why}: killed"));
        if let Some(process) = self.main {
            hub.signal(process, KILL);
        }
    }

    /// The process is gone: what looks whether it is alive has nothing to say any more.
    pub(super) fn drop_live(&mut self, hub: &mut Hub) {
        self.clear(&[Cue::LiveOver], hub);
        if let Some(process) = self.live {
            if hub.processes.get(&process).is_some_and(|known| known.probe) {
                hub.processes.remove(&process);
                self.live = None;
            } else {
                hub.signal(process, KILL);
            }
        }
    }

    /// Forgets what was asked of the worker itself: nobody waits for the answer.
    pub(super) fn drop_probes(&mut self, hub: &mut Hub) {
        for role in [Role::Check, Role::Live] {
            let is_probe = |id: &mut ProcessId| hub.processes.get(id).is_some_and(|p| p.probe);
            if let Some(process) = self.slot(role).take_if(is_probe) {
                hub.processes.remove(&process);
            }
        }
    }

    /// Maintenance begins: it leaves the catalog, its processes go on. Or maintenance ends: it
    /// comes back when it was found healthy again.
    pub(super) fn maintained(&mut self, hub: &mut Hub) {
        self.fitness = Fitness::Unknown;
        if self.phase >= Phase::Withdrawing {
            return;
        }
        if hub.maintenance { self.take_out(hub) } else { self.trust(hub) }
    }
}

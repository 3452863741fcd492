//! A worker follows one that died. The state was kept before its effects were done, so what is not
//! known to have been done is done again; numbers and states make that harmless.

use std::collections::BTreeSet;
use std::sync::Arc;

use regrow_init::{Ended, ProcessId};

use super::Machine;
use super::hub::{Hub, Process, Role};
use super::io::Effect;
use super::life::{Fitness, Life};
use crate::config::{Check, Level, Status};

/// `ESRCH`: what is said of a process that was there and that init does not know any more.
const NO_SUCH_PROCESS: i32 = 3;

impl Machine {
    pub(super) fn adopted(&mut self, known: &[ProcessId]) {
        let known: BTreeSet<ProcessId> = known.iter().copied().collect();
        let text =
            format!("this worker follows one that died; {} processes are known", known.len());
        self.hub.effects.push(Effect::Say { level: Level::Warning, job: None, text });
        let mut lost = Vec::new();
        for (id, process) in self.hub.processes.clone() {
            if known.contains(&id) || process.probe || process.pid.is_none() {
                self.with(process.job, |life, hub| life.redo(id, &process, &known, hub));
            } else {
                lost.push(id);
            }
        }
        for id in self.all() {
            self.with(id, |life, hub| life.tell_again(hub));
        }
        for (lock, fence) in self.hub.released.clone() {
            self.hub.effects.push(Effect::Release { lock, fence });
        }
        for id in lost {
            self.ended(id, Ended::NotStarted(NO_SUCH_PROCESS), Some("it was lost".to_owned()));
        }
    }
}

impl Life {
    /// Starts, asks and signals again, as far as that is still to be done.
    fn redo(&self, id: ProcessId, process: &Process, known: &BTreeSet<ProcessId>, hub: &mut Hub) {
        if process.probe {
            self.ask_again(id, process.role, hub);
            return;
        }
        if !known.contains(&id)
            && let Some(exec) = self.exec_of(process.role)
        {
            let label = self.label_of(process.role);
            let start = self.start_of(id, process.role, label, exec, process.fence.clone());
            hub.effects.push(Effect::Start(start));
        }
        for signal in &process.signals {
            hub.effects.push(Effect::Signal { process: id, signal: *signal });
        }
    }

    fn ask_again(&self, process: ProcessId, role: Role, hub: &mut Hub) {
        let (check, timeout) = match (role, &self.job.health, &self.job.liveness) {
            (Role::Check, Some(health), _) => (health.check.clone(), health.timeout),
            (Role::Live, _, Some(liveness)) => (Some(liveness.check.clone()), liveness.timeout),
            _ => return,
        };
        if let Some(Check::Probe(probe)) = check {
            hub.effects.push(Effect::Probe { process, job: self.id, probe, timeout });
        }
    }

    fn exec_of(&self, role: Role) -> Option<crate::config::Exec> {
        let check = match role {
            Role::Main => return self.job.exec.clone(),
            Role::Check => self.job.health.as_ref()?.check.clone()?,
            Role::Live => self.job.liveness.as_ref()?.check.clone(),
        };
        match check {
            Check::Exec(exec) => Some(exec),
            Check::Probe(_) => None,
        }
    }

    /// Tells the catalog what it was told. Where that is not known to be so any more, nothing is
    /// told: the next check does it, or the catalog's own time runs out.
    fn tell_again(&mut self, hub: &mut Hub) {
        if let Some(status) = self.announced {
            if status != Status::Passing || self.fitness == Fitness::Healthy {
                self.announce(status, hub);
            }
        } else if self.withdrawing {
            hub.effects.push(Effect::Withdraw { job: self.id });
        }
    }

    /// `NAME`, `check.NAME` or `live.NAME`
    pub(super) fn label_of(&self, role: Role) -> Arc<str> {
        match role {
            Role::Main => Arc::clone(&self.job.name),
            Role::Check => Arc::clone(&self.check_label),
            Role::Live => format!("live.{}", self.job.name).into(),
        }
    }
}

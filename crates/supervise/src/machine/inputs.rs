//! What each input does.

use std::sync::Arc;

use regrow_init::{Ended, ProcessId};

use super::hub::{Cause, Role};
use super::io::{Effect, Input, Notice};
use super::table::{Cue, Phase};
use super::{JobId, Machine};
use crate::event::{Code, Event};

impl Machine {
    pub(super) fn take(&mut self, input: Input) {
        if let Some(code) = self.hub.over {
            self.after_exit(&input, code);
            return;
        }
        match input {
            Input::Begin => self.begin(),
            Input::Tick => self.tick(),
            Input::Started { process, pid } => self.started(process, pid),
            Input::Ended { process, how, text } => self.ended(process, how, text),
            Input::Probed { process, outcome } => self.probed(process, outcome),
            Input::Signal { name } => self.hub.publish(Code::Signal, &name),
            Input::Forward { signal } => self.forward(signal),
            Input::Shutdown => self.end(Cause::Told),
            Input::Maintenance(on) => self.maintain(on),
            Input::Published(event) => self.published(event),
            Input::Acquired { lock, fence } => self.acquired(lock, fence),
            Input::Losing { lock, kill_at } => self.losing(&lock, kill_at),
            Input::Yield { lock, time } => self.yield_lock(&lock, time),
            Input::Withdrawn { job } => self.withdrawn(job),
            Input::Notified { process, what } => self.notified(process, what),
            Input::Adopted { known } => self.adopted(&known),
            Input::Reload(config) => self.reload(&config),
        }
    }

    /// The program has exited: nothing happens any more, but a successor may have to exit again.
    fn after_exit(&mut self, input: &Input, code: i32) {
        match input {
            Input::Adopted { .. } => self.hub.effects.push(Effect::Exit { code }),
            Input::Ended { process, .. } => {
                self.hub.effects.insert(0, Effect::Forget { process: *process });
            }
            _ => {}
        }
    }

    fn begin(&mut self) {
        if std::mem::replace(&mut self.hub.begun, true) {
            return;
        }
        self.hub.moved = true;
        for id in self.order.clone() {
            self.with(id, |life, hub| life.on(Cue::Begin, hub));
        }
        self.hub.publish(Code::Startup, &"global".into());
    }

    /// Acts on what was due when it began; what becomes due by that waits for the next tick.
    fn tick(&mut self) {
        let now = self.hub.now;
        self.hub.yielded.retain(|_, until| *until > now);
        let due: Vec<_> =
            self.hub.deadlines.iter().take_while(|(at, ..)| *at <= now).copied().collect();
        for (at, id, cue) in due {
            self.with(id, |life, hub| {
                // What came before may have taken the deadline away.
                if life.deadlines.get(&cue) == Some(&at) {
                    life.due(cue, at, hub);
                }
            });
            self.drain_queue();
        }
    }

    fn started(&mut self, process: ProcessId, pid: i32) {
        let Some(known) = self.hub.processes.get_mut(&process) else { return };
        known.pid = Some(pid);
        if known.role == Role::Main {
            let job = known.job;
            self.with(job, |life, hub| life.on(Cue::Started, hub));
        }
    }

    /// The end of a process that nobody knows (any more) is taken all the same.
    pub(super) fn ended(&mut self, process: ProcessId, how: Ended, text: Option<String>) {
        self.hub.effects.push(Effect::Forget { process });
        if self.hub.processes.get(&process).is_none_or(|known| known.probe) {
            return;
        }
        let Some(known) = self.hub.processes.remove(&process) else { return };
        self.with(known.job, |life, hub| match known.role {
            Role::Main => life.main_ended(how, text, hub),
            Role::Check | Role::Live => life.asked_exited(known.role, how, text, hub),
        });
    }

    fn probed(&mut self, process: ProcessId, outcome: Result<(), String>) {
        if self.hub.processes.get(&process).is_none_or(|known| !known.probe) {
            return;
        }
        let Some(known) = self.hub.processes.remove(&process) else { return };
        self.with(known.job, |life, hub| life.asked_ended(known.role, outcome, hub));
    }

    /// To the job that is `main`, or to the only one that has a process.
    fn forward(&mut self, signal: i32) {
        let mut able = self.order.iter().filter_map(|id| self.lives.get(id));
        let target = able.clone().find(|life| life.job.main).or_else(|| {
            let first = able.find(|life| life.job.exec.is_some());
            first.filter(|_| able.all(|life| life.job.exec.is_none()))
        });
        match target.map(|life| (life.id, life.main, life.phase)) {
            Some((_, Some(process), _)) => {
                self.hub.effects.push(Effect::Signal { process, signal });
            }
            Some((id, None, Phase::Idle | Phase::Pausing | Phase::Waiting)) => {
                self.with(id, |life, _| {
                    life.forwards.insert(signal);
                });
            }
            Some((_, None, _)) | None => {}
        }
    }

    fn maintain(&mut self, on: bool) {
        self.hub.maintenance = on;
        for id in self.all() {
            self.with(id, |life, hub| life.maintained(hub));
        }
        let code = if on { Code::EnterMaintenance } else { Code::ExitMaintenance };
        self.hub.publish(code, &"global".into());
    }

    fn published(&mut self, event: Event) {
        if matches!(event.code, Code::Healthy | Code::Unhealthy) {
            self.hub.watched.insert(Arc::clone(&event.source), event.code);
        }
        self.hub.put(event, None);
    }

    fn withdrawn(&mut self, job: JobId) {
        self.with(job, |life, hub| {
            life.withdrawing = false;
            life.on(Cue::Withdrawn, hub);
        });
    }

    /// Only the process of a job may speak for it, not a check.
    fn notified(&mut self, process: ProcessId, what: Notice) {
        let known = self.hub.processes.get(&process).filter(|known| known.role == Role::Main);
        if let Some(job) = known.map(|known| known.job) {
            self.with(job, |life, hub| life.notified(what, hub));
        }
    }
}

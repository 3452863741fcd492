//! A world for the machine: jobs made by hand, a clock that is moved, processes that end when told.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use regrow_init::{Ended, ProcessId};

use crate::config::{
    Backoff, Check, Config, Discovery, Exec, Format, Health, Job, Level, Lock, Logging, Restarts,
    Service, Sink, Trigger, When,
};
use crate::event::Code;
use crate::machine::hub::{Hub, Role};
use crate::machine::life::Life;
use crate::machine::{Cue, Effect, Input, JobId, Machine, Moment, Phase};

pub fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub fn exec(program: &str) -> Exec {
    Exec { program: program.to_owned(), args: vec!["a".to_owned(), "b".to_owned()] }
}

/// A job that runs a program of its name at startup, once, without pauses between restarts.
pub fn job(name: &str) -> Job {
    Job {
        name: name.into(),
        exec: Some(exec(name)),
        when: When::Startup,
        timeout: None,
        stop_timeout: None,
        restarts: Restarts::Times(0),
        backoff: Backoff { first: Duration::ZERO, most: secs(30), reset: secs(10) },
        health: None,
        liveness: None,
        service: None,
        raw: false,
        main: false,
        notify: None,
        secrets: Vec::new(),
        env: Vec::new(),
        telemetry: false,
    }
}

/// Starts on this event, once or each time.
pub fn on(source: &str, code: Code, each: bool) -> When {
    let triggers = vec![Trigger { source: source.into(), code }];
    When::Events { triggers, all: false, each, timeout: None }
}

pub fn health() -> Health {
    Health {
        check: Some(Check::Exec(exec("check"))),
        interval: secs(1),
        ttl: secs(5),
        timeout: secs(1),
        raw: false,
        fail_fast: true,
    }
}

pub fn service(name: &str) -> Service {
    Service {
        id: format!("{name}-host"),
        name: name.to_owned(),
        port: 80,
        address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        tags: Vec::new(),
        meta: Vec::new(),
        initial_status: None,
        enable_tag_override: false,
        deregister_critical_after: None,
    }
}

/// A job that is a service with a check each second.
pub fn served(name: &str) -> Job {
    Job { health: Some(health()), service: Some(service(name)), ..job(name) }
}

pub fn config(jobs: Vec<Job>) -> Config {
    Config {
        discovery: Discovery::None,
        logging: Logging { level: Level::Info, format: Format::Default, output: Sink::Stdout },
        stop_timeout: secs(5),
        control_socket: PathBuf::from("/run/x.socket"),
        control_named: false,
        jobs,
        watches: Vec::new(),
        locks: vec![Lock { name: "db".into(), ttl: secs(15), stop_before: secs(5) }],
        telemetry: None,
        strict: false,
        signals: Vec::new(),
    }
}

/// The machine and what was seen of it.
pub struct Rig {
    pub machine: Machine,
    pub now: Moment,
    /// Everything that it said so far, as short texts.
    pub log: Vec<String>,
    /// The processes that run, by number, with their labels.
    pub running: BTreeMap<ProcessId, String>,
    pub probes: BTreeSet<ProcessId>,
    pub exited: Option<i32>,
    names: BTreeMap<JobId, String>,
}

impl Rig {
    pub fn new(config: Config) -> Self {
        let now = Moment(secs(1000));
        Self {
            machine: Machine::new(Arc::new(config), 7, now),
            now,
            log: Vec::new(),
            running: BTreeMap::new(),
            probes: BTreeSet::new(),
            exited: None,
            names: BTreeMap::new(),
        }
    }

    /// Begun.
    pub fn up(jobs: Vec<Job>) -> Self {
        let mut rig = Self::new(config(jobs));
        rig.give(Input::Begin);
        rig
    }

    pub fn give(&mut self, input: Input) -> Vec<String> {
        let effects = self.machine.handle(input, self.now);
        for job in self.machine.jobs() {
            self.names.insert(job.id, job.name.to_string());
        }
        self.shown(&effects)
    }

    fn shown(&mut self, effects: &[Effect]) -> Vec<String> {
        let shown: Vec<String> = effects.iter().map(|effect| self.see(effect)).collect();
        let shown: Vec<String> = shown.into_iter().filter(|text| !text.is_empty()).collect();
        self.log.extend(shown.iter().cloned());
        shown
    }

    fn see(&mut self, effect: &Effect) -> String {
        assert_eq!(self.exited, None, "{effect:?} after the exit");
        let name = |job: &JobId| self.names.get(job).cloned().unwrap_or_default();
        match effect {
            Effect::Start(start) => {
                let text = match &start.fence {
                    Some((lock, fence)) => format!("start {} {lock}={fence}", start.label),
                    None => format!("start {}", start.label),
                };
                self.running.insert(start.process, start.label.to_string());
                text
            }
            Effect::Probe { process, job, .. } => {
                let text = format!("probe {}", name(job));
                self.probes.insert(*process);
                text
            }
            Effect::Signal { process, signal } => {
                let label = self.running.get(process).cloned().unwrap_or_default();
                format!("signal {label} {signal}")
            }
            Effect::Forget { .. } => String::new(),
            Effect::Announce { job, status, .. } => format!("announce {} {status:?}", name(job)),
            Effect::Heartbeat { job, status, .. } => format!("beat {} {status:?}", name(job)),
            Effect::Withdraw { job } => format!("withdraw {}", name(job)),
            Effect::Event(event) => event.to_string(),
            Effect::Say { level, text, .. } => {
                if *level < Level::Info {
                    format!("{level:?}: {text}")
                } else {
                    String::new()
                }
            }
            Effect::Release { lock, .. } => format!("release {lock}"),
            Effect::Exit { code } => {
                self.exited = Some(*code);
                format!("exit {code}")
            }
        }
    }

    /// The number of the process with this label that runs.
    pub fn process(&self, label: &str) -> ProcessId {
        let mut found = self.running.iter().filter(|(_, known)| *known == label);
        let process =
            *found.next().unwrap_or_else(|| panic!("{label} does not run: {:?}", self.log)).0;
        assert_eq!(found.next(), None, "{label} runs twice");
        process
    }

    pub fn runs(&self, label: &str) -> bool {
        self.running.values().any(|known| known == label)
    }

    pub fn ends(&mut self, label: &str, how: Ended) -> Vec<String> {
        let process = self.process(label);
        self.running.remove(&process);
        self.give(Input::Ended { process, how, text: None })
    }

    pub fn returns(&mut self, label: &str, code: i32) -> Vec<String> {
        self.ends(label, Ended::Code(code))
    }

    pub fn killed(&mut self, label: &str, signal: i32) -> Vec<String> {
        self.ends(label, Ended::Signal(signal))
    }

    /// Time passes, deadline by deadline.
    pub fn pass(&mut self, time: Duration) -> Vec<String> {
        let end = self.now.after(time);
        let mut seen = Vec::new();
        while let Some(due) = self.machine.next_deadline().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            seen.extend(self.give(Input::Tick));
        }
        self.now = end;
        seen
    }

    pub fn id(&self, name: &str) -> JobId {
        let jobs = self.machine.jobs();
        jobs.iter().find(|job| &*job.name == name).map(|job| job.id).expect("the job is there")
    }

    pub fn has(&self, text: &str) -> bool {
        self.log.iter().any(|line| line == text)
    }
}

/// What looks inside.
impl Rig {
    pub fn phase(&self, id: JobId) -> Phase {
        self.machine.lives.get(&id).map_or(Phase::Ended, |life| life.phase)
    }

    /// Gives one cue to one job.
    pub fn cue(&mut self, id: JobId, cue: Cue) -> Vec<String> {
        self.does(id, |life, hub| life.on(cue, hub))
    }

    pub fn does(&mut self, id: JobId, act: impl FnOnce(&mut Life, &mut Hub)) -> Vec<String> {
        self.machine.with(id, act);
        self.machine.settle();
        let effects = std::mem::take(&mut self.machine.hub.effects);
        self.shown(&effects)
    }

    /// A check runs and takes too long.
    pub fn overlong(&mut self, id: JobId, role: Role, cue: Cue) -> Vec<String> {
        self.does(id, |life, hub| {
            let process = hub.process(life.id, role, false, None);
            *life.slot(role) = Some(process);
        });
        self.cue(id, cue)
    }

    /// What is not seen from outside: flags, counters, and deadlines from now on.
    pub fn state(&self, id: JobId) -> String {
        let Some(life) = self.machine.lives.get(&id) else { return String::new() };
        let flags = [
            ("pending", life.pending),
            ("returns", life.returns),
            ("ready", life.ready),
            ("killed", life.killed),
        ];
        let mut text = String::from(" [");
        flags.iter().filter(|(_, on)| *on).for_each(|(name, _)| text += &format!("{name} "));
        text += &format!("restarts {:?}", life.restarts);
        for (cue, at) in &life.deadlines {
            text += &format!(", {cue:?} in {:?}", at.since(self.now));
        }
        text + "]"
    }
}

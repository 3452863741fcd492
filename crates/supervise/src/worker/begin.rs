//! The beginning of a worker: the first one reads the configuration, a later one goes on from what
//! the one before kept.

use std::collections::BTreeMap;
use std::sync::Arc;

use regrow_init::{Channel, Ended, ProcessId, Reply, Request, Streams};
use tokio::sync::mpsc::unbounded_channel;

use super::book::Book;
use super::environment::{self, Environment, addresses};
use super::folder::Folder;
use super::link::Link;
use super::memory::Memory;
use super::parts::{self, Parts, Seat};
use super::{Ears, Surrounding, Worker, WorkerError};
use crate::clock::now;
use crate::config::Level;
use crate::machine::{Input, Machine};

/// What init told at the beginning.
struct Greeting {
    processes: Vec<(ProcessId, i32, Option<Streams>)>,
    ends: Vec<(ProcessId, Ended)>,
    signals: Vec<i32>,
    memory: Memory,
    predecessors: u32,
}

async fn greet(link: &mut Link) -> Result<Greeting, WorkerError> {
    link.send(Request::Hello)?;
    let (mut processes, mut ends, mut signals) = (Vec::new(), Vec::new(), Vec::new());
    loop {
        match link.receive().await? {
            Reply::Process { process, pid, streams } => processes.push((process, pid, streams)),
            Reply::Ended { process, how } => ends.push((process, how)),
            Reply::Signal(signal) => signals.push(signal),
            Reply::Ready { state, predecessors } => {
                let memory = Memory::new(state);
                return Ok(Greeting { processes, ends, signals, memory, predecessors });
            }
        }
    }
}

/// Makes the worker and tells its machine what there is. `Err` is the exit code of a program that
/// could not begin; why was printed.
pub async fn begin(
    channel: Channel,
    surrounding: Arc<dyn Surrounding>,
) -> Result<(Worker, Ears, Vec<i32>), i32> {
    let mut link = match Link::new(channel) {
        Ok(link) => link,
        Err(error) => return Err(say(&WorkerError::Init(error))),
    };
    let mut greeting = match greet(&mut link).await {
        Ok(greeting) => greeting,
        Err(fault) => return Err(say(&fault)),
    };
    let kept = greeting.memory.load();
    let (kept, damage) = match kept {
        Ok(kept) => (kept, None),
        Err(fault) => (None, Some(fault)),
    };
    let first = kept.is_none();
    let made = match kept {
        Some(kept) => Ok((kept, Vec::new())),
        None => read(&*surrounding),
    };
    let (kept, warnings) = match made {
        Ok(made) => made,
        Err(text) => return Err(refuse(link, &text).await),
    };
    let (inputs, hearing) = unbounded_channel();
    let (fetched, fetching) = unbounded_channel();
    let (drained, draining) = unbounded_channel();
    let (asks, asking) = tokio::sync::mpsc::channel(parts::ASKS);
    let config = kept.machine.config().clone();
    let seat = Seat { identity: kept.identity.clone(), held: kept.machine.fences() };
    let parts = Parts::start(&config, &*surrounding, seat, inputs.clone(), drained, asks).await;
    let parts = match parts {
        Ok(parts) => parts,
        Err(text) if first => return Err(refuse(link, &text).await),
        // Jobs run: without a word to init they run on, and the next worker tries again.
        Err(text) => return Err(say(&text)),
    };
    let mut worker = Worker {
        folder: Folder::new(init_number(), greeting.predecessors == 0),
        surrounding,
        link,
        book: kept,
        memory: greeting.memory,
        environment: Environment::inherited(),
        sockets: std::collections::HashMap::new(),
        words: super::words::LastWords::default(),
        parts,
        inputs,
        fetched,
    };
    if let Some(damage) = damage {
        worker.parts.logger.say(Level::Error, None, damage.to_string());
    }
    let ears = Ears { inputs: hearing, fetched: fetching, drained: draining, asks: asking };
    if first && let Err(fault) = worker.memory.snapshot(&worker.book) {
        worker.parts.logger.say(Level::Error, None, fault.to_string());
    }
    worker.take_over(first, greeting.processes, &greeting.ends);
    for warning in warnings {
        worker.parts.logger.say(Level::Warning, None, warning);
    }
    Ok((worker, ears, greeting.signals))
}

impl Worker {
    /// Everything that init told goes to the machine through the loop, in order.
    fn take_over(
        &mut self,
        first: bool,
        processes: Vec<(ProcessId, i32, Option<Streams>)>,
        ends: &[(ProcessId, Ended)],
    ) {
        let known: Vec<ProcessId> = processes.iter().map(|(process, ..)| *process).collect();
        let mut started = Vec::new();
        let mut adopted = Vec::new();
        for (process, pid, streams) in processes {
            adopted.extend(streams.map(|s| (process, self.log_label(process, pid), s)));
            started.push((process, pid));
        }
        self.parts.logger.adopt(adopted);
        if !first {
            self.parts.know(&self.book.machine);
        }
        self.hear(if first { Input::Begin } else { Input::Adopted { known: known.clone() } });
        for (process, pid) in started {
            if self.book.machine.tells(process)
                && let Err(why) = self.listen(process)
            {
                self.parts.logger.say(Level::Warning, None, why);
            }
            self.hear(Input::Started { process, pid });
        }
        for (process, how) in ends {
            let input = self.ended(*process, *how);
            self.hear(input);
        }
    }
}

/// Reads the configuration and makes a machine of it.
fn read(surrounding: &dyn Surrounding) -> Result<(Book, Vec<String>), String> {
    let (inherited, nothing) = (Environment::inherited(), BTreeMap::new());
    let variables = environment::texts(inherited.with(&nothing));
    let loaded = surrounding.load(&variables).map_err(|fault| fault.to_string())?;
    let mut variables = addresses(&loaded.config);
    variables.insert("CONTAINERPILOT_PID".to_owned(), init_number().to_string());
    let machine = Machine::new(Arc::new(loaded.config), rand::random(), now());
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let identity = format!("{host}-{:016x}", rand::random::<u64>());
    Ok((Book { machine, variables, labels: BTreeMap::new(), identity }, loaded.warnings))
}

/// Says why the program cannot begin, where ContainerPilot says it, and tells init to end it.
async fn refuse(mut link: Link, text: &str) -> i32 {
    let code = say(&text);
    if link.send(Request::Bye(code)).is_ok() {
        // Where init is gone there is nobody to tell.
        let _ = link.sent().await;
    }
    code
}

/// A record in the default form, before there is a log.
fn say(text: &dyn std::fmt::Display) -> i32 {
    println!("{} {text}", jiff::Timestamp::now());
    1
}

/// The number of init, which lives as long as the program and passes on every signal.
fn init_number() -> u32 {
    let parent = rustix::process::getppid();
    parent.map_or(1, |pid| pid.as_raw_nonzero().get().unsigned_abs())
}

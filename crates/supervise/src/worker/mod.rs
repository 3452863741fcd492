//! The shell around the machine: carries what happens to it and carries out what it says. It decides
//! nothing, waits for nobody and keeps nothing that the next worker would need outside `book`.

mod asks;
mod begin;
mod book;
mod clock;
mod effects;
mod environment;
mod folder;
mod link;
mod memory;
mod notify;
mod parts;
mod reload;
mod replies;
mod secrets;
mod signals;
mod start;
mod words;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use regrow_init::{Channel, ProcessId, Request};
use thiserror::Error;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};

use crate::clock::now;
use crate::config::{ConfigError, Level, Loaded};
use crate::log::Drained;
use crate::machine::{Effect, Input, Start};
use crate::probe::Prober;

use book::{Book, Record};
use effects::After;
use environment::Environment;
use folder::Folder;
use link::Link;
use memory::Memory;
use parts::Parts;
use words::LastWords;

/// What the binary plugs in.
#[async_trait]
pub trait Surrounding: Send + Sync {
    /// Reads the configuration, with these variables for its templates.
    ///
    /// # Errors
    /// It is not there or wrong; the text is for the user.
    fn load(&self, variables: &BTreeMap<String, String>) -> Result<Loaded, ConfigError>;

    /// Starts a catalog inside this process, answering there, and returns its URL.
    ///
    /// # Errors
    /// It cannot be started; the text is for the user.
    async fn catalog(&self, address: SocketAddr) -> Result<String, String>;

    /// What asks HTTP, TCP and gRPC checks.
    fn prober(&self) -> Arc<dyn Prober>;

    /// Version of the program.
    fn version(&self) -> &str;
}

/// Why a worker cannot go on.
#[derive(Debug, Error)]
pub enum WorkerError {
    /// The socket to init failed.
    #[error("speak to the first process: {0}; where it still runs the next worker goes on")]
    Init(#[from] io::Error),
}

/// When the beginning is over for sure, and the code that only it needed can go.
const BEGUN: Duration = Duration::from_secs(2);
/// Least time for the catalog and the reader of the log at the end.
const END_WITHIN: Duration = Duration::from_secs(1);

/// Most time for the catalog at the end: enough for one that changes its leader. One that is gone
/// itself holds up nobody longer: what is left there ends with its TTL.
const TOLD_WITHIN: Duration = Duration::from_secs(3);

/// A start whose secrets were fetched from the catalog, or why they were not.
type Fetched = (Start, Result<Vec<(String, Vec<u8>)>, String>);

/// What becomes of the loop after a message.
enum Turn {
    /// It goes on.
    Goes,
    /// The program ends with this code.
    Ends(i32),
}

struct Worker {
    surrounding: Arc<dyn Surrounding>,
    link: Link,
    book: Book,
    memory: Memory,
    environment: Environment,
    sockets: HashMap<ProcessId, notify::Socket>,
    words: LastWords,
    folder: Folder,
    parts: Parts,
    inputs: UnboundedSender<Input>,
    fetched: UnboundedSender<Fetched>,
}

/// What the loop listens to besides init, signals and the clock.
struct Ears {
    inputs: UnboundedReceiver<Input>,
    fetched: UnboundedReceiver<Fetched>,
    drained: UnboundedReceiver<Drained>,
    asks: tokio::sync::mpsc::Receiver<crate::control::Ask>,
}

/// Runs the supervisor until its jobs have ended, and returns the exit code, of which init was told.
pub async fn run(channel: Channel, surrounding: Arc<dyn Surrounding>) -> i32 {
    match begin::begin(channel, surrounding).await {
        Ok((worker, ears, signals)) => worker.live(ears, &signals).await,
        Err(code) => code,
    }
}

impl Worker {
    async fn live(mut self, mut ears: Ears, signals: &[i32]) -> i32 {
        match self.circle(&mut ears, signals).await {
            Ok(code) => self.end(code).await,
            Err(fault) => {
                // Nothing is said to init: the jobs run on, and the next worker takes them over.
                self.parts.logger.say(Level::Error, None, fault.to_string());
                self.parts.logger.finish(END_WITHIN);
                1
            }
        }
    }

    /// The loop, after what init told at the beginning.
    async fn circle(&mut self, ears: &mut Ears, early: &[i32]) -> Result<i32, WorkerError> {
        let mut signals = signals::Own::listen()?;
        tokio::spawn(async {
            tokio::time::sleep(BEGUN).await;
            regrow_init::shrink();
        });
        while let Ok(input) = ears.inputs.try_recv() {
            if let Turn::Ends(code) = self.heard(input)? {
                return Ok(code);
            }
        }
        for signal in early {
            if let Turn::Ends(code) = self.taken(*signal).await? {
                return Ok(code);
            }
        }
        loop {
            let (deadline, overdue) = (self.book.machine.next_deadline(), self.words.next());
            let turn = tokio::select! {
                reply = self.link.receive() => self.reply(reply?).await?,
                Some(input) = ears.inputs.recv() => self.heard(input)?,
                Some((start, contents)) = ears.fetched.recv() => self.fetched(&start, contents)?,
                Some(ask) = ears.asks.recv() => self.ask(ask).await?,
                signal = signals.next() => self.signal(signal).await?,
                Some(drained) = ears.drained.recv() => self.drained(drained)?,
                () = clock::until(overdue) => match ears.drained.try_recv() {
                    // The words are there: it is us who are late.
                    Ok(drained) => self.drained(drained)?,
                    Err(_) => self.overdue()?,
                },
                () = clock::until(deadline) => self.turn(Input::Tick)?,
            };
            if let Turn::Ends(code) = turn {
                return Ok(code);
            }
        }
    }

    /// Takes what a part said, unless it does not hold any more.
    fn heard(&mut self, input: Input) -> Result<Turn, WorkerError> {
        if self.parts.still_holds(&input) { self.turn(input) } else { Ok(Turn::Goes) }
    }

    /// Enters what happened into the book, keeps that, then does what the machine says.
    fn turn(&mut self, input: Input) -> Result<Turn, WorkerError> {
        let effects = self.enter(Record::Happened(input, now()));
        self.parts.want(|lock| self.book.machine.wants(lock));
        for effect in effects {
            match self.carry_out(effect)? {
                After::Nothing => {}
                After::Hear(input) => self.hear(input),
                After::Exit(code) => return Ok(Turn::Ends(code)),
            }
        }
        Ok(Turn::Goes)
    }

    /// Keeps and enters a record. Without memory the jobs run on; only a crash would hurt.
    fn enter(&mut self, record: Record) -> Vec<Effect> {
        let kept = self.memory.keep(&record);
        let effects = self.book.enter(record);
        let kept = kept.and_then(|()| match self.memory.is_full() {
            true => self.memory.snapshot(&self.book),
            false => Ok(()),
        });
        if let Err(fault) = kept {
            self.parts.logger.say(Level::Error, None, fault.to_string());
        }
        effects
    }

    /// The machine hears this after everything that it said before was done.
    fn hear(&self, input: Input) {
        // The receiver is in the loop that called us.
        let _ = self.inputs.send(input);
    }

    fn fetched(
        &mut self,
        start: &Start,
        contents: Result<Vec<(String, Vec<u8>)>, String>,
    ) -> Result<Turn, WorkerError> {
        let after = match contents {
            Ok(contents) => self.start_with(start, contents)?,
            Err(text) => After::Hear(effects::not_started(start.process, text)),
        };
        if let After::Hear(input) = after {
            return self.turn(input);
        }
        Ok(Turn::Goes)
    }

    /// The end: what others have to hear is told, lines are written, then init ends the program.
    async fn end(mut self, code: i32) -> i32 {
        let within = self.book.machine.config().stop_timeout.max(END_WITHIN);
        self.parts.end(within.min(TOLD_WITHIN), within).await;
        self.folder.remove();
        let told = self.link.send(Request::Bye(code));
        if told.is_ok() {
            // Where init is gone there is nobody to tell.
            let _ = self.link.sent().await;
        }
        code
    }

    fn request(&mut self, request: Request) -> Result<(), WorkerError> {
        Ok(self.link.send(request)?)
    }
}

//! Signals: most come from init, which passes on its own; some are sent to the worker itself, whose
//! number jobs may know from older files.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Turn, Worker, WorkerError};
use crate::config::{Level, SignalAct, UserSignal};
use crate::machine::Input;

const HUP: i32 = 1;
const INT: i32 = 2;
const USR1: i32 = 10;
const USR2: i32 = 12;
const TERM: i32 = 15;

/// The signals that are sent to this very process.
pub struct Own {
    streams: [(i32, Signal); 5],
}

impl Own {
    /// Starts to listen.
    ///
    /// # Errors
    /// The runtime cannot.
    pub fn listen() -> io::Result<Self> {
        let one = |number| Ok::<_, io::Error>((number, signal(SignalKind::from_raw(number))?));
        Ok(Self { streams: [one(HUP)?, one(INT)?, one(USR1)?, one(USR2)?, one(TERM)?] })
    }

    /// The number of the next one.
    pub async fn next(&mut self) -> i32 {
        let [hup, int, usr1, usr2, term] = &mut self.streams;
        tokio::select! {
            _ = hup.1.recv() => hup.0,
            _ = int.1.recv() => int.0,
            _ = usr1.1.recv() => usr1.0,
            _ = usr2.1.recv() => usr2.0,
            _ = term.1.recv() => term.0,
        }
    }
}

impl Worker {
    /// Does what a signal asks for.
    ///
    /// # Errors
    /// Init is gone.
    pub(super) async fn signal(&mut self, number: i32) -> Result<Turn, WorkerError> {
        match self.chosen(number) {
            Some(SignalAct::Reload) => {
                // Why it was refused is in the log.
                return Ok(self.reload().await?.unwrap_or(Turn::Goes));
            }
            Some(SignalAct::Maintenance) => {
                let on = !self.book.machine.maintenance();
                return self.turn(Input::Maintenance(on));
            }
            None => {}
        }
        match number {
            TERM | INT => self.turn(Input::Shutdown),
            HUP => self.turn(Input::Signal { name: "SIGHUP".into() }),
            USR2 => self.turn(Input::Signal { name: "SIGUSR2".into() }),
            USR1 => {
                if let Err(fault) = self.parts.logger.reopen() {
                    self.parts.logger.say(Level::Error, None, fault.to_string());
                }
                Ok(Turn::Goes)
            }
            signal => self.turn(Input::Forward { signal }),
        }
    }
}

impl Worker {
    /// What the configuration wants a signal to do.
    fn chosen(&self, number: i32) -> Option<SignalAct> {
        let signal = match number {
            HUP => UserSignal::Hup,
            USR1 => UserSignal::Usr1,
            USR2 => UserSignal::Usr2,
            _ => return None,
        };
        let uses = &self.book.machine.config().signals;
        uses.iter().find(|one| one.signal == signal).map(|one| one.act)
    }
}

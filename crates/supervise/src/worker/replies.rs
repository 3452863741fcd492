//! What init says.

use regrow_init::{Ended, ProcessId, Reply, Request, Streams};

use super::book::Record;
use super::words::Failed;
use super::{Turn, Worker, WorkerError};
use crate::clock::now;
use crate::log::{self, Drained};
use crate::machine::Input;

impl Worker {
    /// Takes what init said.
    ///
    /// # Errors
    /// Init is gone.
    pub(super) async fn reply(&mut self, reply: Reply) -> Result<Turn, WorkerError> {
        match reply {
            Reply::Process { process, pid, streams } => {
                self.attach(process, pid, streams);
                self.turn(Input::Started { process, pid })
            }
            Reply::Ended { process, how } => self.process_ended(process, how),
            Reply::Signal(signal) => self.taken(signal).await,
            // It comes once, at the beginning.
            Reply::Ready { .. } => Ok(Turn::Goes),
        }
    }

    /// Does what a signal asks for that init keeps until it was noted here.
    ///
    /// # Errors
    /// Init is gone.
    pub(super) async fn taken(&mut self, signal: i32) -> Result<Turn, WorkerError> {
        let turn = self.signal(signal).await?;
        self.request(Request::Took(signal))?;
        Ok(turn)
    }

    fn process_ended(&mut self, process: ProcessId, how: Ended) -> Result<Turn, WorkerError> {
        if let Some(label) = self.book.labels.get(&process) {
            self.detail(|| format!("{}.Run end", label.name));
        }
        let failed = !matches!(how, Ended::Code(0) | Ended::NotStarted(_));
        if failed && self.book.machine.asks(process) && !self.book.is_raw(process) {
            let failed = self.words.failed(process, how, now());
            return self.failed(failed);
        }
        let input = self.ended(process, how);
        self.turn(input)
    }

    /// Both streams of a process have ended.
    ///
    /// # Errors
    /// Init is gone.
    pub(super) fn drained(&mut self, drained: Drained) -> Result<Turn, WorkerError> {
        let process = drained.process;
        self.enter(Record::Drained(process));
        self.request(Request::Drained(process))?;
        if !self.book.machine.asks(process) {
            return Ok(Turn::Goes);
        }
        let failed = self.words.drained(drained);
        self.failed(failed)
    }

    /// The end of a check waits no longer for what it said.
    ///
    /// # Errors
    /// Init is gone.
    pub(super) fn overdue(&mut self) -> Result<Turn, WorkerError> {
        let failed = self.words.overdue(now());
        self.failed(failed)
    }

    /// Tells the machine of a check that failed, if its end waits for nothing more.
    fn failed(&mut self, failed: Option<Failed>) -> Result<Turn, WorkerError> {
        let Some((process, how, said)) = failed else { return Ok(Turn::Goes) };
        let text = said.filter(|said| !said.is_empty());
        self.turn(Input::Ended { process, how, text })
    }

    /// Reads the streams of a process from now on.
    pub(super) fn attach(&mut self, process: ProcessId, pid: i32, streams: Option<Streams>) {
        if let Some(streams) = streams {
            self.parts.logger.attach(process, self.log_label(process, pid), streams);
        }
    }

    /// Who a process is in the log.
    pub(super) fn log_label(&self, process: ProcessId, pid: i32) -> log::Label {
        let (name, check) = match self.book.labels.get(&process) {
            Some(label) => (label.name.clone(), label.check),
            None => ("unknown".into(), false),
        };
        log::Label { name, check, pid }
    }
}

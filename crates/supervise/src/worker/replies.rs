//! What init says.

use regrow_init::{ProcessId, Reply, Request, Streams};

use super::{Turn, Worker, WorkerError};
use crate::log;
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
            Reply::Ended { process, how } => {
                let input = self.ended(process, how);
                self.turn(input)
            }
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

//! What comes over the control socket.

use std::sync::Arc;

use super::book::Record;
use super::{Turn, Worker, WorkerError};
use crate::config::Level;
use crate::control::{Answer, Ask, What};
use crate::machine::Input;
use crate::telemetry::{JobStatus, ServiceStatus, Status, status_json};

/// Status of an answer to something that cannot be done as it was asked.
const UNPROCESSABLE: u16 = 422;

impl Worker {
    /// Does what was asked and answers.
    ///
    /// # Errors
    /// Init is gone.
    pub(super) async fn ask(&mut self, ask: Ask) -> Result<Turn, WorkerError> {
        let mut turn = Turn::Goes;
        let answer = match ask.what {
            What::Environ(pairs) => {
                self.enter(Record::Set(pairs));
                Answer::Done
            }
            What::Metric(pairs) => {
                self.metrics(&pairs);
                Answer::Done
            }
            What::Maintenance(on) => {
                turn = self.turn(Input::Maintenance(on))?;
                Answer::Done
            }
            What::Yield { lock, time } => match self.lock(&lock) {
                Some(lock) => {
                    turn = self.turn(Input::Yield { lock, time })?;
                    Answer::Done
                }
                None => {
                    let text = format!("there is no lock {lock:?} in the configuration");
                    Answer::Refused { status: UNPROCESSABLE, text }
                }
            },
            What::Status => Answer::Text(self.status()),
            What::Reload => match self.reload().await? {
                Ok(after) => {
                    turn = after;
                    Answer::Done
                }
                Err(text) => Answer::Refused { status: UNPROCESSABLE, text },
            },
        };
        // Who asked may have gone.
        let _ = ask.answer.send(answer);
        Ok(turn)
    }

    /// A lock of the configuration, by its name.
    fn lock(&self, name: &str) -> Option<Arc<str>> {
        let locks = &self.book.machine.config().locks;
        locks.iter().find(|lock| &*lock.name == name).map(|lock| lock.name.clone())
    }

    fn metrics(&self, pairs: &[(String, String)]) {
        for (key, value) in pairs {
            if let Err(refused) = self.parts.telemetry.metric(key, value) {
                self.parts.logger.say(Level::Warning, None, refused.to_string());
            }
        }
    }

    /// The body of `/status`.
    fn status(&self) -> String {
        let mut status =
            Status { version: self.surrounding.version().to_owned(), ..Status::default() };
        for job in self.book.machine.jobs() {
            let (name, shown) = (job.name.to_string(), job.shown.name().to_owned());
            match job.service {
                Some(service) => status.services.push(ServiceStatus {
                    name,
                    address: service.address.to_string(),
                    port: service.port,
                    status: shown,
                }),
                None => status.jobs.push(JobStatus { name, status: shown }),
            }
        }
        let watches = &self.book.machine.config().watches;
        status.watches = watches.iter().map(|watch| watch.name.to_string()).collect();
        status_json(&status)
    }
}

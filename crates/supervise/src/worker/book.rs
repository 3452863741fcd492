//! Everything that the next worker has to know, as one value: the machine, who the running processes
//! are, and what was added to their environment. It changes by records only, so that the same
//! records make the same book again; [`memory`](super::memory) keeps them.

use std::collections::BTreeMap;
use std::sync::Arc;

use regrow_init::{Ended, ProcessId};
use serde::{Deserialize, Serialize};

use super::environment::pid_variable;
use crate::machine::{Effect, Input, Machine, Moment};

/// Whose lines a process writes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Label {
    /// `NAME` or `check.NAME`.
    pub name: Arc<str>,
    /// It is a check.
    pub check: bool,
    /// What it runs, for the text of a failure.
    pub program: String,
    /// It writes to the supervisor's own descriptors: no stream of it has to end.
    pub raw: bool,
}

/// A change of the book.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Record {
    /// Something happened at this moment.
    Happened(Input, Moment),
    /// These variables are set for processes that start later.
    Set(BTreeMap<String, String>),
    /// Both streams of a process ended.
    Drained(ProcessId),
}

/// The book.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Book {
    /// The jobs.
    pub machine: Machine,
    /// Variables beyond those that the program was started with.
    pub variables: BTreeMap<String, String>,
    /// Processes whose lines may still come.
    pub labels: BTreeMap<ProcessId, Label>,
    /// Who this supervisor is to others: the same for all its workers, and nobody else's.
    pub identity: String,
}

impl Book {
    /// Enters a record; what is to be done because of it.
    pub fn enter(&mut self, record: Record) -> Vec<Effect> {
        match record {
            Record::Set(variables) => self.variables.extend(variables),
            Record::Drained(process) => drop(self.labels.remove(&process)),
            Record::Happened(input, now) => {
                self.note(&input);
                let effects = self.machine.handle(input, now);
                self.label(&effects);
                return effects;
            }
        }
        Vec::new()
    }

    /// Whether no lines of this process come to the log.
    pub fn is_raw(&self, process: ProcessId) -> bool {
        self.labels.get(&process).is_some_and(|label| label.raw)
    }

    /// The number of a process is in the environment of others while it runs.
    fn note(&mut self, input: &Input) {
        match input {
            Input::Started { process, pid } => {
                if let Some(label) = self.labels.get(process) {
                    self.variables.insert(pid_variable(&label.name), pid.to_string());
                }
            }
            Input::Ended { process, how, .. } => {
                let Some(label) = self.labels.get(process) else { return };
                self.variables.remove(&pid_variable(&label.name));
                if label.raw || matches!(how, Ended::NotStarted(_)) {
                    self.labels.remove(process);
                }
            }
            _ => {}
        }
    }

    fn label(&mut self, effects: &[Effect]) {
        for effect in effects {
            let Effect::Start(start) = effect else { continue };
            let label = Label {
                name: start.label.clone(),
                check: start.check,
                program: start.exec.program.clone(),
                raw: start.raw,
            };
            self.labels.insert(start.process, label);
        }
    }
}

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
    /// Both streams have ended, which may be before or after the process.
    pub drained: bool,
    /// It has ended.
    pub ended: bool,
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
            Record::Drained(process) => self.over(process, |label| label.drained = true),
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
                // One whose lines still come after its end is told to the next worker, too.
                if let Some(label) = self.labels.get(process).filter(|label| !label.ended) {
                    self.variables.insert(pid_variable(&label.name), pid.to_string());
                }
            }
            Input::Ended { process, how, .. } => {
                let Some(label) = self.labels.get(process) else { return };
                self.variables.remove(&pid_variable(&label.name));
                let silent = label.raw || matches!(how, Ended::NotStarted(_));
                self.over(*process, |label| {
                    label.ended = true;
                    label.drained |= silent;
                });
            }
            _ => {}
        }
    }

    /// The process, or its lines, are over. When both are, nobody asks who it was.
    fn over(&mut self, process: ProcessId, change: impl FnOnce(&mut Label)) {
        let Some(label) = self.labels.get_mut(&process) else { return };
        change(label);
        if label.ended && label.drained {
            self.labels.remove(&process);
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
                drained: false,
                ended: false,
            };
            self.labels.insert(start.process, label);
        }
    }
}

#[cfg(test)]
pub mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{self, Surroundings};

    /// The book of a program that has not begun.
    pub fn book(config: &str) -> Book {
        let read = config::parse(config, Path::new("test"), &Surroundings::default());
        let config = Arc::new(read.expect("a configuration").config);
        let machine = Machine::new(config, 7, Moment::default());
        let (variables, labels) = Default::default();
        Book { machine, variables, labels, identity: "x".to_owned() }
    }

    #[test]
    fn the_number_of_a_process_is_gone_with_it_whether_its_lines_end_before_or_after() {
        let process = ProcessId(1);
        let started = Input::Started { process, pid: 7 };
        let ended = Input::Ended { process, how: Ended::Code(0), text: None };
        for (raw, drained_first) in [(false, true), (false, false), (true, false)] {
            let mut book = book("{discovery: 'none', jobs: []}");
            let name = "app".into();
            let program = "true".to_owned();
            let label = Label { name, check: false, program, raw, drained: false, ended: false };
            book.labels.insert(process, label);
            book.note(&started);
            assert_eq!(book.variables.get("CONTAINERPILOT_APP_PID"), Some(&"7".to_owned()));
            let drain = |book: &mut Book| drop(book.enter(Record::Drained(process)));
            if drained_first {
                drain(&mut book);
            }
            assert!(!book.variables.is_empty() && !book.labels.is_empty());
            book.note(&ended);
            assert!(book.variables.is_empty(), "raw {raw}, drained first {drained_first}");
            if !raw && !drained_first {
                book.note(&started);
                assert!(book.variables.is_empty(), "its lines alone were told to the next worker");
                drain(&mut book);
            }
            assert!(book.labels.is_empty());
        }
    }
}

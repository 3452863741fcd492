//! What clients asked and what they were told: the typed form of a history, and its rules.
//!
//! A history is a sequence of [`Event`]s. The order of events is the real order: an operation that ended before
//! another began must also take effect before it. Times are for people and for the judges of sessions; they may
//! be equal, but never fall. [`read`](History::read) and [`write`](History::write) give the stored form.

mod format;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use format::{FormatError, HEADER_VERSION, Header, MAX_EVENTS, MAX_LINE_BYTES};

/// A type of operations that clients send, with the replies they get.
///
/// Both must be enums with `#[serde(tag = "op", content = "value")]` and the same variant names, because a stored
/// event has the fields `op` and `value`.
pub trait Op: Clone + Debug + PartialEq + Serialize + DeserializeOwned {
    /// What a client may be told.
    type Reply: Clone + Debug + PartialEq + Serialize + DeserializeOwned;
}

/// What a client learned of an operation. Everything is absent when nothing came back.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen<R> {
    /// The reply; absent for an operation whose outcome is unknown.
    pub reply: Option<R>,
    /// The revision of the store at which it took effect, where the system tells. An operation with unknown outcome
    /// may carry the one at which its change was found in the committed log afterwards.
    pub revision: Option<u64>,
    /// The fence that came with the reply, where the system gives one.
    pub fence: Option<u64>,
}

impl<R> Seen<R> {
    /// A reply without revision and fence.
    pub fn reply(reply: R) -> Self {
        Self { reply: Some(reply), ..Self::nothing() }
    }

    /// Nothing came back.
    pub fn nothing() -> Self {
        Self { reply: None, revision: None, fence: None }
    }
}

/// What happened at one moment in one process.
#[derive(Clone, Debug, PartialEq)]
pub enum What<O: Op> {
    /// The operation was sent.
    Invoke(O),
    /// It took effect between its invocation and now, and this came back.
    Ok(Seen<O::Reply>),
    /// It certainly never took effect, and never will. The text says why.
    Fail(Option<String>),
    /// Nobody knows whether it took effect; it may do so at any later time, or never. The text says why.
    Info(Option<String>, Seen<O::Reply>),
}

/// One event of a history.
#[derive(Clone, Debug, PartialEq)]
pub struct Event<O: Op> {
    /// The client. It does one thing at a time; after an unknown outcome its number is not used again.
    pub process: u64,
    /// Microseconds since the start of the run.
    pub t: u64,
    /// What happened.
    pub what: What<O>,
}

/// Why an event cannot follow the events before it. The history is left as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// A second invocation while the first is open.
    #[error(
        "process {0} invokes an operation while another of its operations is open: give each client one process"
    )]
    StillOpen(u64),
    /// An invocation after an unknown outcome.
    #[error(
        "process {0} goes on after an unknown outcome, which stays open to the end: give the client a new number"
    )]
    Retired(u64),
    /// An end without a beginning.
    #[error("process {0} ends an operation that it did not begin")]
    NotOpen(u64),
    /// Time fell.
    #[error(
        "time falls from {before} to {after} microseconds: record events in the order in which they happen"
    )]
    TimeFell {
        /// The time of the event before.
        before: u64,
        /// The time of this event.
        after: u64,
    },
}

/// How an operation ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome<R> {
    /// It took effect, and this was seen.
    Ok(Seen<R>),
    /// It never took effect.
    Failed,
    /// It may take effect at any time after its invocation, or never. Also the outcome of what was still open when the
    /// record ended.
    Unknown(Seen<R>),
}

/// One operation: an invocation joined with its end.
#[derive(Clone, Debug, PartialEq)]
pub struct Operation<O: Op> {
    /// The client.
    pub process: u64,
    /// What it asked.
    pub op: O,
    /// How that ended.
    pub outcome: Outcome<O::Reply>,
    /// Position of the invocation among the events.
    pub call: usize,
    /// Position of the end among the events; absent when the record ended before.
    pub end: Option<usize>,
}

/// A valid sequence of events.
#[derive(Clone, Debug, PartialEq)]
pub struct History<O: Op> {
    events: Vec<Event<O>>,
    /// Position of the open invocation of each process.
    open: BTreeMap<u64, usize>,
    retired: BTreeSet<u64>,
}

impl<O: Op> Default for History<O> {
    fn default() -> Self {
        Self { events: Vec::new(), open: BTreeMap::new(), retired: BTreeSet::new() }
    }
}

impl<O: Op> History<O> {
    /// Appends an event; this is also the recorder of a run.
    ///
    /// # Errors
    /// [`OrderError`] if the event cannot follow.
    pub fn push(&mut self, event: Event<O>) -> Result<(), OrderError> {
        let process = event.process;
        if let Some(last) = self.events.last()
            && last.t > event.t
        {
            return Err(OrderError::TimeFell { before: last.t, after: event.t });
        }
        match &event.what {
            What::Invoke(_) if self.retired.contains(&process) => {
                return Err(OrderError::Retired(process));
            }
            What::Invoke(_) if self.open.contains_key(&process) => {
                return Err(OrderError::StillOpen(process));
            }
            What::Invoke(_) => {
                self.open.insert(process, self.events.len());
            }
            What::Ok(_) | What::Fail(_) | What::Info(..) => {
                self.open.remove(&process).ok_or(OrderError::NotOpen(process))?;
            }
        }
        if matches!(event.what, What::Info(..)) {
            self.retired.insert(process);
        }
        self.events.push(event);
        Ok(())
    }

    /// The events in their order.
    pub fn events(&self) -> &[Event<O>] {
        &self.events
    }

    /// What `process` has asked and not been answered.
    pub fn open(&self, process: u64) -> Option<&O> {
        match &self.events.get(*self.open.get(&process)?)?.what {
            What::Invoke(op) => Some(op),
            What::Ok(_) | What::Fail(_) | What::Info(..) => None,
        }
    }

    /// The operations, in the order of their invocations.
    pub fn operations(&self) -> Vec<Operation<O>> {
        let mut operations: Vec<Operation<O>> = Vec::new();
        let mut open = BTreeMap::new();
        for (position, event) in self.events.iter().enumerate() {
            let outcome = match &event.what {
                What::Invoke(op) => {
                    open.insert(event.process, operations.len());
                    operations.push(Operation {
                        process: event.process,
                        op: op.clone(),
                        outcome: Outcome::Unknown(Seen::nothing()),
                        call: position,
                        end: None,
                    });
                    continue;
                }
                What::Ok(seen) => Outcome::Ok(seen.clone()),
                What::Fail(_) => Outcome::Failed,
                What::Info(_, seen) => Outcome::Unknown(seen.clone()),
            };
            if let Some(operation) =
                open.remove(&event.process).and_then(|index: usize| operations.get_mut(index))
            {
                operation.outcome = outcome;
                operation.end = Some(position);
            }
        }
        operations
    }

    /// The history of some of the operations alone, given by their indices in [`operations`](Self::operations).
    #[must_use]
    pub fn only(&self, indices: &[usize]) -> Self {
        let all = self.operations();
        let kept: BTreeSet<usize> = indices
            .iter()
            .filter_map(|index| all.get(*index))
            .flat_map(|operation| std::iter::once(operation.call).chain(operation.end))
            .collect();
        let mut history = Self::default();
        for event in kept.iter().filter_map(|position| self.events.get(*position)) {
            // A part of a valid history in the same order is valid.
            let pushed = history.push(event.clone());
            debug_assert!(pushed.is_ok(), "{pushed:?}");
        }
        history
    }
}

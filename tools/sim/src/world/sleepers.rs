//! Clients that ask the catalog for what is newer than they have seen, and sleep until there is
//! something: nobody sleeps through a change, one index has one answer, and for who asks the leader the
//! index never goes back.

use std::collections::BTreeMap;

use regrow_consensus::Consistency;

use super::clients::{Outcome, Reply, Request, Subject, Wish};
use crate::seed::Random;

/// How long a client waits for a node, in microseconds.
const PATIENCE: u64 = 8_000_000;

/// What is wrong with the answers to questions that block.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SleepViolation {
    /// The index went back.
    #[error("the index of {subject:?} went back from {before} to {after}")]
    Back {
        /// What was asked for.
        subject: Subject,
        /// The index that the client had.
        before: u64,
        /// The index that it got.
        after: u64,
    },
    /// Something had changed, and the client slept on.
    #[error("nobody woke who waited for {subject:?} behind {before}, though it is at {after}")]
    Missed {
        /// What was asked for.
        subject: Subject,
        /// The index that the client had.
        before: u64,
        /// The index that was there at the end of its wait.
        after: u64,
    },
    /// Two answers have one index and differ.
    #[error("{subject:?} at index {index} is {left} and {right}")]
    Two {
        /// What was asked for.
        subject: Subject,
        /// The index.
        index: u64,
        /// One answer.
        left: String,
        /// Another.
        right: String,
    },
}

/// A client that sleeps.
pub struct Sleeper {
    /// Its number.
    pub number: u64,
    random: Random,
    requests: u64,
    open: Option<(u64, u64)>,
    next: u64,
    subject: Subject,
    consistency: Consistency,
    index: u64,
    /// What it saw at that index.
    seen: String,
    /// Whether its question waits for a newer index.
    blocks: bool,
    /// All answers: the index that it got, and what.
    answers: Vec<(u64, String)>,
    violations: Vec<SleepViolation>,
}

impl Sleeper {
    /// One that has seen nothing yet. Every other one takes what its node has.
    pub fn new(number: u64, mut random: Random) -> Self {
        let subjects = [Subject::Key, Subject::Keys, Subject::Sessions];
        let subject = *random.pick(&subjects).unwrap_or(&Subject::Keys);
        let consistency =
            if number.is_multiple_of(2) { Consistency::Stale } else { Consistency::Linearizable };
        Self {
            number,
            random,
            requests: 0,
            open: None,
            next: 0,
            subject,
            consistency,
            index: 0,
            seen: String::new(),
            blocks: false,
            answers: Vec::new(),
            violations: Vec::new(),
        }
    }

    /// Does what is due at `now`: a request to send, if any. Asks nothing new once `closing`.
    pub fn step(&mut self, now: u64, closing: bool) -> Option<Request> {
        if let Some((_, gives_up)) = self.open {
            if now >= gives_up {
                self.lost(now);
            }
            return None;
        }
        if closing || now < self.next {
            return None;
        }
        self.requests += 1;
        let id = (self.number << 40) | self.requests;
        self.open = Some((id, now + PATIENCE));
        // Every other question does not wait, so that its index may be any.
        self.blocks = self.random.chance(50);
        let index = if self.blocks { self.index } else { 0 };
        let (subject, consistency) = (self.subject, self.consistency);
        Some(Request { id, wish: Wish::Block { subject, index, consistency } })
    }

    /// No answer will come.
    pub fn lost(&mut self, now: u64) {
        self.open = None;
        self.next = now + self.random.below(100_000);
    }

    /// An answer came.
    pub fn hear(&mut self, now: u64, reply: Reply) {
        if self.open.take_if(|(id, _)| *id == reply.id).is_none() {
            return;
        }
        self.lost(now);
        let Outcome::Blocked(blocked) = reply.told else { return };
        let (subject, before, after) = (self.subject, self.index, blocked.index);
        if self.consistency == Consistency::Stale {
            // A wait that begins at once ends with the first change; one that asked the leader first
            // may not have begun. The index of a key that is not there grows with those of others,
            // and nobody need wake for that.
            let changed = after > before && blocked.value != self.seen;
            if blocked.waited && self.blocks && before > 0 && changed {
                self.violations.push(SleepViolation::Missed { subject, before, after });
            }
        } else if !blocked.waited && after < before {
            self.violations.push(SleepViolation::Back { subject, before, after });
        }
        if !blocked.waited {
            // A node that is behind has an older index; who asked another one goes on with its own.
            if after > self.index {
                (self.index, self.seen) = (after, blocked.value.clone());
            }
            self.answers.push((after, blocked.value));
        }
    }

    /// What is wrong with its answers. `known` is what all clients before it saw at each index.
    pub fn judge(&self, known: &mut BTreeMap<(Subject, u64), String>) -> Option<SleepViolation> {
        for (index, value) in &self.answers {
            let key = (self.subject, *index);
            let first = known.entry(key).or_insert_with(|| value.clone());
            if first != value {
                let (left, right) = (first.clone(), value.clone());
                let (subject, index) = key;
                return Some(SleepViolation::Two { subject, index, left, right });
            }
        }
        self.violations.first().cloned()
    }
}

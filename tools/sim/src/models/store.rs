//! An ordered key-value store with transactions over several keys, and revisions.
//!
//! A change takes a revision above all before it; revisions may jump. A read carries the revision up to which it saw
//! everything. Where an outcome is unknown so is its revision; the model then knows a lower bound until a read tells, and
//! accepts a little more than it could.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::history::{Op, Seen};
use crate::linear::Model;

/// One store, at first empty, at revision 0.
#[derive(Clone, Copy, Debug, Default)]
pub struct Store;

/// What a client asks of the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", content = "value", rename_all = "snake_case", deny_unknown_fields)]
pub enum StoreOp {
    /// What is under the key?
    Get {
        /// The key.
        key: String,
    },
    /// What is under the keys from `from` up to but not including `to`?
    Range {
        /// The first key.
        from: String,
        /// The key after the last.
        to: String,
    },
    /// Put this under the key.
    Put {
        /// The key.
        key: String,
        /// The value.
        value: i64,
    },
    /// Remove the key.
    Delete {
        /// The key.
        key: String,
    },
    /// If every comparison holds do `then`, if not do `otherwise`; all at once, one after the other.
    Txn {
        /// What is compared first.
        when: Vec<Compare>,
        /// What is done if all hold.
        then: Vec<StoreOp>,
        /// What is done if one does not.
        #[serde(default)]
        otherwise: Vec<StoreOp>,
    },
}

/// A comparison in a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Compare {
    /// The key has this value; without one, it is absent.
    Value(String, Option<i64>),
    /// The key was last changed at this revision; 0 means that it is absent.
    Revision(String, u64),
}

/// What a key holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// The value.
    pub value: i64,
    /// The revision of its last change, where the reply tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
}

/// What the store answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", content = "value", rename_all = "snake_case")]
pub enum StoreReply {
    /// This was under the key.
    Get(Option<Found>),
    /// These keys with these values, in the order of keys.
    Range(Vec<(String, i64)>),
    /// Done.
    Put,
    /// Whether the key was there.
    Delete(bool),
    /// Whether the comparisons held, and the replies to what was done then.
    Txn(bool, Vec<StoreReply>),
}

impl Op for StoreOp {
    type Reply = StoreReply;
}

/// A value in the store, with the revision of its last change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Entry {
    value: i64,
    revision: u64,
    /// Whether the revision is known; it is a lower bound otherwise.
    exact: bool,
}

/// The store between two operations.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct StoreState {
    /// The revision of the last change or a later one that a read carried.
    revision: u64,
    entries: BTreeMap<String, Entry>,
}

impl Model for Store {
    type Op = StoreOp;
    type State = StoreState;

    const REVISIONS_ORDER: bool = true;

    fn initial(&self) -> StoreState {
        StoreState::default()
    }

    fn step(
        &self,
        mut state: StoreState,
        op: &StoreOp,
        seen: &Seen<StoreReply>,
    ) -> Option<StoreState> {
        let before = state.revision;
        let mut run = Run {
            revision: seen.revision.unwrap_or(before + 1),
            exact: seen.revision.is_some(),
            changed: false,
        };
        if !run.apply(&mut state, op, seen.reply.as_ref()) {
            return None;
        }
        // A revision without a reply was found in the log, with a change.
        if seen.reply.is_none() && run.exact && !run.changed {
            return None;
        }
        let ordered = if run.changed {
            run.revision > before
        } else {
            seen.revision.is_none_or(|seen| seen >= before)
        };
        if run.changed || run.exact {
            state.revision = state.revision.max(run.revision);
        }
        ordered.then_some(state)
    }

    fn keys<'a>(&self, op: &'a StoreOp) -> Vec<&'a str> {
        let mut keys = Vec::new();
        if collect_keys(op, &mut keys) { keys } else { Vec::new() }
    }

    fn changes(&self, op: &StoreOp, seen: &Seen<StoreReply>) -> bool {
        may_change(op, seen.reply.as_ref())
    }
}

/// The execution of one operation.
struct Run {
    revision: u64,
    exact: bool,
    changed: bool,
}

impl Run {
    /// Does the operation; false if the reply is wrong.
    fn apply(&mut self, state: &mut StoreState, op: &StoreOp, reply: Option<&StoreReply>) -> bool {
        match (op, reply) {
            (StoreOp::Get { .. } | StoreOp::Range { .. }, None) => true,
            (StoreOp::Get { key }, Some(StoreReply::Get(found))) => {
                match (state.entries.get_mut(key), found) {
                    (None, None) => true,
                    (Some(entry), Some(found)) => {
                        entry.value == found.value
                            && found.revision.is_none_or(|revision| entry.learn(revision))
                    }
                    _ => false,
                }
            }
            (StoreOp::Range { from, to }, Some(StoreReply::Range(found))) => {
                let inside = state.entries.iter().filter(|(key, _)| *key >= from && *key < to);
                inside
                    .map(|(key, entry)| (key, entry.value))
                    .eq(found.iter().map(|(key, value)| (key, *value)))
            }
            (StoreOp::Put { key, value }, None | Some(StoreReply::Put)) => {
                let entry = Entry { value: *value, revision: self.revision, exact: self.exact };
                state.entries.insert(key.clone(), entry);
                self.changed = true;
                true
            }
            (StoreOp::Delete { key }, None | Some(StoreReply::Delete(_))) => {
                let there = state.entries.remove(key).is_some();
                self.changed |= there;
                reply.is_none_or(|reply| *reply == StoreReply::Delete(there))
            }
            (StoreOp::Txn { when, then, otherwise }, reply) => {
                let (told, replies) = match reply {
                    None => (None, None),
                    Some(StoreReply::Txn(told, replies)) => (Some(*told), Some(replies)),
                    Some(_) => return false,
                };
                let held = when.iter().all(|compare| compare.holds(state, told != Some(false)));
                let branch = if held { then } else { otherwise };
                told.is_none_or(|told| told == held)
                    && replies.is_none_or(|replies| replies.len() == branch.len())
                    && branch.iter().enumerate().all(|(position, op)| {
                        self.apply(state, op, replies.and_then(|replies| replies.get(position)))
                    })
            }
            _ => false,
        }
    }
}

impl Entry {
    /// Takes the revision from a reply; false if it cannot be.
    fn learn(&mut self, revision: u64) -> bool {
        let possible =
            if self.exact { revision == self.revision } else { revision >= self.revision };
        (self.revision, self.exact) = (revision, true);
        possible
    }
}

impl Compare {
    /// Whether it holds. An unknown revision is what the client expected, since it can only have learned it from the store;
    /// unless the client was told that the comparison failed.
    fn holds(&self, state: &mut StoreState, may_hold: bool) -> bool {
        match self {
            Self::Value(key, value) => state.entries.get(key).map(|entry| entry.value) == *value,
            Self::Revision(key, revision) => match state.entries.get_mut(key) {
                None => *revision == 0,
                Some(entry) if entry.exact => entry.revision == *revision,
                Some(entry) => may_hold && entry.learn(*revision),
            },
        }
    }

    fn key(&self) -> &str {
        match self {
            Self::Value(key, _) | Self::Revision(key, _) => key,
        }
    }
}

/// Collects the keys; false if the operation depends on keys that it does not name.
fn collect_keys<'a>(op: &'a StoreOp, keys: &mut Vec<&'a str>) -> bool {
    match op {
        StoreOp::Get { key } | StoreOp::Put { key, .. } | StoreOp::Delete { key } => keys.push(key),
        StoreOp::Range { .. } => return false,
        StoreOp::Txn { when, then, otherwise } => {
            keys.extend(when.iter().map(Compare::key));
            return then.iter().chain(otherwise).all(|op| collect_keys(op, keys))
                && !keys.is_empty();
        }
    }
    true
}

fn may_change(op: &StoreOp, reply: Option<&StoreReply>) -> bool {
    match (op, reply) {
        (StoreOp::Get { .. } | StoreOp::Range { .. }, _) => false,
        (StoreOp::Delete { .. }, Some(StoreReply::Delete(there))) => *there,
        (StoreOp::Put { .. } | StoreOp::Delete { .. }, _) => true,
        (StoreOp::Txn { then, otherwise, .. }, Some(StoreReply::Txn(held, replies))) => {
            let branch = if *held { then } else { otherwise };
            branch.iter().zip(replies).any(|(op, reply)| may_change(op, Some(reply)))
        }
        (StoreOp::Txn { then, otherwise, .. }, _) => {
            then.iter().chain(otherwise).any(|op| may_change(op, None))
        }
    }
}

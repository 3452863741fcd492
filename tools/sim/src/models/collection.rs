//! Collections, one a key: lists that are appended to, and sets of elements.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::history::{Op, Seen};
use crate::linear::Model;

/// Lists; at first empty. A read shows the order in which appends took effect.
#[derive(Clone, Copy, Debug, Default)]
pub struct List;

/// Sets; at first empty.
#[derive(Clone, Copy, Debug, Default)]
pub struct Set;

/// What a client asks of a collection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", content = "value", rename_all = "snake_case", deny_unknown_fields)]
pub enum CollectionOp {
    /// Take this in: at the end of a list, anywhere in a set.
    Add {
        /// The collection.
        key: String,
        /// The element.
        element: i64,
    },
    /// Give this away: all equal elements.
    Remove {
        /// The collection.
        key: String,
        /// The element.
        element: i64,
    },
    /// What is in it?
    Read {
        /// The collection.
        key: String,
    },
}

/// What a collection answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", content = "value", rename_all = "snake_case")]
pub enum CollectionReply {
    /// Done.
    Add,
    /// Done.
    Remove,
    /// These elements: of a list in its order, of a set in any.
    Read(Vec<i64>),
}

impl Op for CollectionOp {
    type Reply = CollectionReply;
}

impl Model for List {
    type Op = CollectionOp;
    type State = Vec<i64>;

    fn initial(&self) -> Vec<i64> {
        Vec::new()
    }

    fn step(
        &self,
        mut state: Vec<i64>,
        op: &CollectionOp,
        seen: &Seen<CollectionReply>,
    ) -> Option<Vec<i64>> {
        let right = match (op, &seen.reply) {
            (CollectionOp::Read { .. }, Some(CollectionReply::Read(elements))) => {
                *elements == state
            }
            (op, reply) => is_done(op, reply.as_ref()),
        };
        match op {
            CollectionOp::Add { element, .. } => state.push(*element),
            CollectionOp::Remove { element, .. } => state.retain(|known| known != element),
            CollectionOp::Read { .. } => {}
        }
        right.then_some(state)
    }

    fn keys<'a>(&self, op: &'a CollectionOp) -> Vec<&'a str> {
        vec![key_of(op)]
    }

    fn changes(&self, op: &CollectionOp, _: &Seen<CollectionReply>) -> bool {
        !matches!(op, CollectionOp::Read { .. })
    }
}

impl Model for Set {
    type Op = CollectionOp;
    type State = BTreeSet<i64>;

    fn initial(&self) -> BTreeSet<i64> {
        BTreeSet::new()
    }

    fn step(
        &self,
        mut state: BTreeSet<i64>,
        op: &CollectionOp,
        seen: &Seen<CollectionReply>,
    ) -> Option<BTreeSet<i64>> {
        let right = match (op, &seen.reply) {
            (CollectionOp::Read { .. }, Some(CollectionReply::Read(elements))) => {
                elements.len() == state.len()
                    && elements.iter().all(|element| state.contains(element))
            }
            (op, reply) => is_done(op, reply.as_ref()),
        };
        match op {
            CollectionOp::Add { element, .. } => _ = state.insert(*element),
            CollectionOp::Remove { element, .. } => _ = state.remove(element),
            CollectionOp::Read { .. } => {}
        }
        right.then_some(state)
    }

    fn keys<'a>(&self, op: &'a CollectionOp) -> Vec<&'a str> {
        vec![key_of(op)]
    }

    fn changes(&self, op: &CollectionOp, _: &Seen<CollectionReply>) -> bool {
        !matches!(op, CollectionOp::Read { .. })
    }
}

/// Whether a reply that tells nothing belongs to the operation.
fn is_done(op: &CollectionOp, reply: Option<&CollectionReply>) -> bool {
    matches!(
        (op, reply),
        (_, None)
            | (CollectionOp::Add { .. }, Some(CollectionReply::Add))
            | (CollectionOp::Remove { .. }, Some(CollectionReply::Remove))
    )
}

fn key_of(op: &CollectionOp) -> &str {
    match op {
        CollectionOp::Add { key, .. }
        | CollectionOp::Remove { key, .. }
        | CollectionOp::Read { key } => key,
    }
}

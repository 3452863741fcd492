//! Linearizability: is there one order of all operations, each at one moment between its invocation and its end, in
//! which a correct system gives every reply that was seen?
//!
//! A [`Model`] is the correct system, written as a sequential program. [`check`] splits the history into parts that share
//! no key (operations on different keys cannot contradict one another), and judges each:
//!
//! - by revision (`revision`), when the model says that revisions are the order and every operation carries one: sort,
//!   replay, done;
//! - by search (`search`) otherwise.
//!
//! What is broken is made small by `reduce` before it is shown.

mod reduce;
mod revision;
mod search;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::hash::Hash;

use crate::history::{History, Op, Operation, Outcome, Seen};

/// A correct system as a sequential program.
pub trait Model {
    /// The operations.
    type Op: Op;
    /// The state between two operations.
    type State: Clone + Eq + Hash + Debug;

    /// Whether [`Seen::revision`], where present, is the order in which operations take effect: each change has a
    /// revision of its own, and a read carries the revision of the last change that it saw, or a later one that is
    /// before the next change.
    const REVISIONS_ORDER: bool = false;

    /// The state before the first operation.
    fn initial(&self) -> Self::State;

    /// The state after `op`, or none if a correct system in this state would not have given this reply. Without a reply
    /// any reply is right.
    fn step(
        &self,
        state: Self::State,
        op: &Self::Op,
        seen: &Seen<<Self::Op as Op>::Reply>,
    ) -> Option<Self::State>;

    /// The keys that the operation depends on or changes; none means all. Operations without a common key must not
    /// influence one another in [`step`](Self::step).
    fn keys<'a>(&self, op: &'a Self::Op) -> Vec<&'a str>;

    /// Whether the operation, with this reply, may leave another state than it found. When unsure, true.
    fn changes(&self, op: &Self::Op, seen: &Seen<<Self::Op as Op>::Reply>) -> bool;
}

/// How much work a check may do.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Calls of [`Model::step`] for the verdict.
    pub steps: u64,
    /// Calls of [`Model::step`] to make a witness small.
    pub reduction_steps: u64,
}

impl Default for Limits {
    /// Enough for each history that a gate records, and seconds in a release build.
    fn default() -> Self {
        Self { steps: 20_000_000, reduction_steps: 2_000_000 }
    }
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// An order exists.
    Linearizable,
    /// No order exists.
    NotLinearizable(Box<Witness>),
    /// The budget ran out first. This counts as a failure: raise the budget, or make the history shorter.
    Unknown {
        /// The calls of [`Model::step`] that were spent.
        steps: u64,
    },
}

impl Verdict {
    /// Whether an order was found.
    pub fn holds(&self) -> bool {
        *self == Self::Linearizable
    }
}

/// A small set of operations that no order explains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witness {
    /// Indices in [`History::operations`], in the order of invocation. They contradict one another whatever the other
    /// operations of the history did: each of those that could matter was allowed to take effect at any time, or not at
    /// all. Where revisions give the order, they are the ones that contradict it.
    pub operations: Vec<usize>,
    /// The one among them whose reply can no longer be explained when it comes.
    pub conflict: usize,
    /// The only state that was possible before them, where the earlier part of the history was cut off; the initial
    /// state otherwise.
    pub start: Option<String>,
    /// Why, in one sentence.
    pub reason: String,
}

/// Judges a history.
pub fn check<M: Model>(model: &M, history: &History<M::Op>, limits: Limits) -> Verdict {
    let operations = history.operations();
    let items = items(model, &operations);
    let parts = if M::REVISIONS_ORDER && items.iter().any(|item| item.seen.revision.is_some()) {
        match revision::check(model, &items) {
            revision::Finding::Holds => return Verdict::Linearizable,
            revision::Finding::Broken(witness) => return Verdict::NotLinearizable(witness),
            revision::Finding::Silent => vec![items],
        }
    } else {
        split(model, items)
    };
    let mut left = limits.steps;
    for part in &parts {
        match search::Search::new(model, part, model.initial()).run(&mut left) {
            search::Finding::Holds => {}
            search::Finding::Broken { end } => {
                let witness = reduce::reduce(model, part, end, limits.reduction_steps);
                return Verdict::NotLinearizable(Box::new(witness));
            }
            search::Finding::Exhausted => return Verdict::Unknown { steps: limits.steps },
        }
    }
    Verdict::Linearizable
}

/// An operation as the search sees it: what failed is gone, and so is what changed nothing and told nothing.
struct Item<'a, O: Op> {
    /// Index in [`History::operations`].
    id: usize,
    op: &'a O,
    seen: &'a Seen<O::Reply>,
    /// Position of the invocation, counted from 1: 0 is before everything.
    call: usize,
    /// Position of the end. Without one the operation is optional, and may take effect at any time after `call`.
    end: Option<usize>,
}

impl<O: Op> Clone for Item<'_, O> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<O: Op> Copy for Item<'_, O> {}

fn items<'a, M: Model>(model: &M, operations: &'a [Operation<M::Op>]) -> Vec<Item<'a, M::Op>> {
    // Two events an operation at most, counted from 1: a position after all of them.
    let after_all = 2 * operations.len() + 1;
    let item = |(id, operation): (usize, &'a Operation<M::Op>)| {
        let op = &operation.op;
        let (seen, end) = match &operation.outcome {
            Outcome::Ok(seen) => (seen, operation.end.map(|end| end + 1)),
            Outcome::Unknown(seen) if !model.changes(op, seen) => return None,
            // What was found in the log has taken effect, at a time that nobody knows.
            Outcome::Unknown(seen) => (seen, seen.revision.map(|_| after_all + id)),
            Outcome::Failed => return None,
        };
        Some(Item { id, op, seen, call: operation.call + 1, end })
    };
    operations.iter().enumerate().filter_map(item).collect()
}

/// The parts that share no key, in the order of their first operation.
fn split<'a, M: Model>(model: &M, items: Vec<Item<'a, M::Op>>) -> Vec<Vec<Item<'a, M::Op>>> {
    let mut groups = Groups::default();
    for item in &items {
        let keys = model.keys(item.op);
        let Some(first) = keys.first() else { return vec![items] };
        for key in &keys {
            groups.join(first, key);
        }
    }
    let mut parts: Vec<Vec<Item<'a, M::Op>>> = Vec::new();
    let mut part_of_root = BTreeMap::new();
    for item in items {
        let root = model.keys(item.op).first().map(|key| groups.root_of(key));
        let part = *part_of_root.entry(root).or_insert_with(|| {
            parts.push(Vec::new());
            parts.len() - 1
        });
        parts[part].push(item);
    }
    parts
}

/// Keys that belong together (union-find).
#[derive(Default)]
struct Groups<'a> {
    index: BTreeMap<&'a str, usize>,
    parent: Vec<usize>,
}

impl<'a> Groups<'a> {
    fn root_of(&mut self, key: &'a str) -> usize {
        let next = self.parent.len();
        let mut at = *self.index.entry(key).or_insert(next);
        if at == next {
            self.parent.push(next);
        }
        while self.parent[at] != at {
            self.parent[at] = self.parent[self.parent[at]];
            at = self.parent[at];
        }
        at
    }

    fn join(&mut self, a: &'a str, b: &'a str) {
        let (a, b) = (self.root_of(a), self.root_of(b));
        self.parent[b] = a;
    }
}

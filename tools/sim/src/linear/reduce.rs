//! From a part of a history that no order explains to the few operations that show why.
//!
//! Leaving out just anything would be wrong: without a write, an honest read of its value looks like a read of a value that
//! was never written. So each step must keep the proof. If the larger history had an order, then so would the smaller:
//!
//! 1. Everything after the end that could not be explained goes; what was open there becomes optional.
//! 2. All but the operation that could not be explained and the last few before it go, by rule 4, if that is enough.
//! 3. If it is not: of a long history the beginning goes, up to a moment when only optional operations were open and only one
//!    state was possible.
//! 4. An operation that changes nothing may go. One that changes something may go if the rest has no order even when
//!    it is allowed to take effect at any time or not at all; it is kept aside in that form.
//!
//! Rule 4 is applied to large groups first, then to smaller ones, always in the same order, so the witness is always the same.

use super::search::{Finding, Search};
use super::{Item, Model, Witness};

/// Operations that end after the cut of step 3, at least: enough to read a story from.
const CONTEXT: usize = 24;
/// The share of the budget that one attempt may use.
const ATTEMPTS: u64 = 20;
/// How many operations are kept beside the conflict when the rest is set aside at once.
const FOCUS: [usize; 4] = [0, 2, 6, 16];
/// How many moments are tried for the cut.
const CUTS: usize = 8;

/// Makes a witness of a part in which nothing explains what had ended at `end`.
pub(super) fn reduce<M: Model>(
    model: &M,
    part: &[Item<'_, M::Op>],
    end: usize,
    budget: u64,
) -> Witness {
    let mut left = budget;
    let mut reduction = Reduction {
        model,
        initial: model.initial(),
        kept: prefix(part, end),
        aside: Vec::new(),
        attempt: budget / ATTEMPTS,
    };
    let start = if reduction.focus(end, &mut left) { None } else { reduction.cut(&mut left) };
    reduction.shrink(&mut left);
    let conflict = part.iter().find(|item| item.end == Some(end));
    let reason = conflict.map_or_else(String::new, |item| {
        let reply = item
            .seen
            .reply
            .as_ref()
            .map_or_else(|| "nothing".to_owned(), |reply| format!("{reply:?}"));
        format!("no order of these operations explains {reply} as the reply to {:?}", item.op)
    });
    Witness {
        operations: reduction.kept.iter().map(|item| item.id).collect(),
        conflict: conflict.map_or(0, |item| item.id),
        start,
        reason,
    }
}

fn prefix<'h, O: crate::history::Op>(part: &[Item<'h, O>], end: usize) -> Vec<Item<'h, O>> {
    part.iter()
        .filter(|item| item.call < end)
        .map(|item| Item { end: item.end.filter(|own| *own <= end), ..*item })
        .collect()
}

struct Reduction<'a, 'h, M: Model> {
    model: &'a M,
    initial: M::State,
    kept: Vec<Item<'h, M::Op>>,
    /// Operations that are not part of the witness, in a form that can only help an order.
    aside: Vec<Item<'h, M::Op>>,
    /// The budget of one attempt.
    attempt: u64,
}

impl<M: Model> Reduction<'_, '_, M> {
    /// Keeps what ended at `end` and the few operations that began last, if that is enough.
    fn focus(&mut self, end: usize, left: &mut u64) -> bool {
        let conflict = self.kept.iter().position(|item| item.end == Some(end));
        FOCUS.iter().any(|latest| {
            let from = self.kept.len().saturating_sub(*latest);
            self.try_without(|index| index < from && Some(index) != conflict, left)
        })
    }

    /// Cuts the beginning off, and returns the state that the rest starts in. That is at the latest quiet moment with one
    /// possible state that leaves enough to read. Optional operations from before it stay, as if none had been used up;
    /// where that explains the rest, an earlier moment is tried.
    fn cut(&mut self, left: &mut u64) -> Option<String> {
        let search = Search::new(self.model, &self.kept, self.initial.clone());
        let last = search.turn_count().checked_sub(CONTEXT)?;
        let mut budget = *left / 2;
        let states = search.quiet_states(&mut budget);
        *left = *left / 2 + budget;
        let states = states?;
        let single = states.range(1..=last).rev().filter(|(_, states)| states.len() == 1);
        for (turn, states) in single.take(CUTS) {
            let from = search.end_of(turn - 1)?;
            let state = states.first()?;
            let stays = |item: &&Item<'_, M::Op>| item.call > from || item.end.is_none();
            let rest: Vec<_> = self.kept.iter().filter(stays).copied().collect();
            if is_broken(self.model, &rest, state, self.attempt, left) {
                (self.kept, self.initial) = (rest, state.clone());
                return Some(format!("{state:?}"));
            }
        }
        None
    }

    /// Removes groups of operations, large ones first, while that keeps the proof.
    fn shrink(&mut self, left: &mut u64) {
        let mut group = self.kept.len().div_ceil(2);
        while group > 0 {
            let mut removed = false;
            let mut to = self.kept.len();
            while to > 0 {
                let from = to.saturating_sub(group);
                removed |= self.try_without(|index| (from..to).contains(&index), left);
                to = from;
            }
            if !(removed && group == 1) {
                group /= 2;
            }
        }
    }

    fn try_without(&mut self, goes: impl Fn(usize) -> bool, left: &mut u64) -> bool {
        let (mut kept, mut aside) = (Vec::new(), self.aside.clone());
        for (index, item) in self.kept.iter().enumerate() {
            if !goes(index) {
                kept.push(*item);
            } else if self.model.changes(item.op, item.seen) {
                aside.push(Item { call: 0, end: None, ..*item });
            }
        }
        let all: Vec<_> = aside.iter().chain(&kept).copied().collect();
        let broken = is_broken(self.model, &all, &self.initial, self.attempt, left);
        if broken {
            (self.kept, self.aside) = (kept, aside);
        }
        broken
    }
}

/// Whether it is certain that no order exists; `attempt` is what may be spent of what is left.
fn is_broken<M: Model>(
    model: &M,
    items: &[Item<'_, M::Op>],
    initial: &M::State,
    attempt: u64,
    left: &mut u64,
) -> bool {
    let granted = attempt.min(*left);
    let mut budget = granted;
    let finding = Search::new(model, items, initial.clone()).run(&mut budget);
    *left -= granted - budget;
    matches!(finding, Finding::Broken { .. })
}

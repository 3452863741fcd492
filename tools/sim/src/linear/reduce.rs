//! From a part of a history that no order explains to the few operations that show why.
//!
//! Leaving out just anything would be wrong: without a write, an honest read of its value looks like a read of a value that
//! was never written. So each step must keep the proof. If the larger history had an order, then so would the smaller:
//!
//! 1. Everything after the end that could not be explained goes; what was open there becomes optional.
//! 2. Of a long history the beginning goes, up to a moment when only optional operations were open and only one
//!    state was possible.
//! 3. An operation that changes nothing may go. One that changes something may go if the rest has no order even when
//!    it is allowed to take effect at any time or not at all; it is kept aside in that form.
//!
//! Large groups are tried first, then smaller ones, always in the same order, so the witness is always the same.

use super::search::{Finding, Search};
use super::{Item, Model, Witness};

/// Operations that end after the cut of step 2, at least: enough to read a story from.
const CONTEXT: usize = 24;
/// The share of the budget that one attempt may use.
const ATTEMPTS: u64 = 20;
/// How many moments are tried for the cut.
const CUTS: usize = 8;

/// Makes a witness of a part in which nothing explains what had ended at `end`.
pub(super) fn reduce<M: Model>(
    model: &M,
    part: &[Item<'_, M::Op>],
    end: usize,
    budget: u64,
) -> Witness {
    let prefix = prefix(part, end);
    // The cut has half of the budget, so that something is left for the rest.
    let mut for_cut = budget / 2;
    let cut = cut(model, &prefix, &mut for_cut);
    let mut left = budget / 2 + for_cut;
    let start = cut.as_ref().map(|cut| format!("{:?}", cut.state));
    let (initial, kept) = match cut {
        Some(cut) => (cut.state, cut.rest),
        None => (model.initial(), prefix),
    };
    let mut reduction = Reduction { model, initial, kept, aside: Vec::new() };
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

struct Cut<'h, M: Model> {
    state: M::State,
    rest: Vec<Item<'h, M::Op>>,
}

/// The latest quiet moment with one possible state that leaves enough to read. Optional operations from before it stay, as
/// if none had been used up; where that explains the rest, an earlier moment is tried.
fn cut<'h, M: Model>(model: &M, prefix: &[Item<'h, M::Op>], left: &mut u64) -> Option<Cut<'h, M>> {
    let search = Search::new(model, prefix, model.initial());
    let last = search.turn_count().checked_sub(CONTEXT)?;
    let states = search.quiet_states(left)?;
    let single = states.range(1..=last).rev().filter(|(_, states)| states.len() == 1);
    for (turn, states) in single.take(CUTS) {
        let from = search.end_of(turn - 1)?;
        let state = states.first()?.clone();
        let stays = |item: &&Item<'h, M::Op>| item.call > from || item.end.is_none();
        let rest: Vec<_> = prefix.iter().filter(stays).copied().collect();
        if is_broken(model, &rest, &state, left) {
            return Some(Cut { state, rest });
        }
    }
    None
}

/// Whether it is certain that no order exists.
fn is_broken<M: Model>(
    model: &M,
    items: &[Item<'_, M::Op>],
    initial: &M::State,
    left: &mut u64,
) -> bool {
    let finding = Search::new(model, items, initial.clone()).run(left);
    matches!(finding, Finding::Broken { .. })
}

struct Reduction<'a, 'h, M: Model> {
    model: &'a M,
    initial: M::State,
    kept: Vec<Item<'h, M::Op>>,
    /// Operations that are not part of the witness, in a form that can only help an order.
    aside: Vec<Item<'h, M::Op>>,
}

impl<M: Model> Reduction<'_, '_, M> {
    fn shrink(&mut self, left: &mut u64) {
        let attempt = *left / ATTEMPTS;
        let mut group = self.kept.len().div_ceil(2);
        while group > 0 {
            let mut removed = false;
            let mut to = self.kept.len();
            while to > 0 {
                let from = to.saturating_sub(group);
                removed |= self.try_without(from, to, attempt, left);
                to = from;
            }
            if !(removed && group == 1) {
                group /= 2;
            }
        }
    }

    fn try_without(&mut self, from: usize, to: usize, attempt: u64, left: &mut u64) -> bool {
        let mut kept = self.kept.clone();
        let loosened: Vec<_> = kept
            .drain(from..to)
            .filter(|item| self.model.changes(item.op, item.seen))
            .map(|item| Item { call: 0, end: None, ..item })
            .collect();
        let aside: Vec<_> = self.aside.iter().copied().chain(loosened).collect();
        let all: Vec<_> = aside.iter().chain(&kept).copied().collect();
        let granted = attempt.min(*left);
        let mut budget = granted;
        let broken = is_broken(self.model, &all, &self.initial, &mut budget);
        *left -= granted - budget;
        if broken {
            (self.kept, self.aside) = (kept, aside);
        }
        broken
    }
}

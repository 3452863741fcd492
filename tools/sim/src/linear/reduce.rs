//! From a part of a history that no order explains to the few operations that show why.
//!
//! Leaving out just anything would be wrong: without a write, an honest read of its value looks like a read of a value that
//! was never written. So each step must keep the proof. If the larger history had an order, then so would the smaller:
//!
//! 1. Everything after the end that could not be explained goes; what was open there becomes optional.
//! 2. Of a long history the beginning goes, up to a moment when nothing was open and only one state was possible.
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

/// Makes a witness of a part in which nothing explains what had ended at `end`.
pub(super) fn reduce<M: Model>(
    model: &M,
    part: &[Item<'_, M::Op>],
    end: usize,
    budget: u64,
) -> Witness {
    let prefix = prefix(part, end);
    let mut left = budget;
    let cut = cut(model, &prefix, left / 2);
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

/// The latest quiet moment with one possible state that leaves enough to read.
fn cut<'h, M: Model>(model: &M, prefix: &[Item<'h, M::Op>], mut left: u64) -> Option<Cut<'h, M>> {
    let search = Search::new(model, prefix, model.initial());
    let last = search.turn_count().checked_sub(CONTEXT)?;
    let states = search.quiet_states(&mut left)?;
    let (turn, state) = states
        .range(1..=last)
        .rev()
        .find_map(|(turn, states)| Some((*turn, <&[_; 1]>::try_from(&states[..]).ok()?)))?;
    let from = search.end_of(turn - 1)?;
    let rest = prefix.iter().filter(|item| item.call > from).copied().collect();
    Some(Cut { state: state[0].clone(), rest })
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
        let finding = Search::new(self.model, &all, self.initial.clone()).run(&mut budget);
        *left -= granted - budget;
        let broken = matches!(finding, Finding::Broken { .. });
        if broken {
            (self.kept, self.aside) = (kept, aside);
        }
        broken
    }
}

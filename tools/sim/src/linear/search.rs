//! The search for an order: just-in-time linearization with a memory of what was tried.
//!
//! After Wing and Gong (1993) and Lowe (2017). The search walks over the *ends* of operations. When an operation ends it
//! must have taken effect; if it has not yet, the search lets it, or first any sequence of the others that are open then.
//! Nothing takes effect earlier than some end forces it to, which loses no order: what could be early can be late until
//! its own end.
//!
//! A [`Config`] says where the search is: the next end, which open operations took effect already, which optional ones
//! were used up, and the state. Two configs that agree in all of that have the same future, so the second is dropped. A
//! config that used up *more* optional operations than another one which agrees in the rest can do nothing that the
//! other cannot, so it is dropped as well; this keeps operations with unknown outcome cheap.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

use super::{Item, Model};
use crate::history::Op;

pub(super) enum Finding {
    Holds,
    /// No order explains what had ended at this position.
    Broken {
        end: usize,
    },
    /// The budget ran out.
    Exhausted,
}

/// An end of an operation.
struct Turn {
    /// Index of the item that ends.
    item: u32,
    /// The items that are open then, itself included, optional ones excluded; in the order of their invocations.
    open: Vec<u32>,
    /// Whether no item that is not optional was open at the end before.
    quiet: bool,
}

/// What is tried from a config: optional items only after everything else has failed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Choice {
    Open,
    Optional,
}

#[derive(Clone)]
struct Config<S> {
    turn: usize,
    /// Open items that took effect; sorted.
    done: Vec<u32>,
    /// Optional items that took effect; sorted.
    spent: Vec<u32>,
    state: S,
}

pub(super) struct Search<'a, 'h, M: Model> {
    model: &'a M,
    items: &'a [Item<'h, M::Op>],
    initial: M::State,
    turns: Vec<Turn>,
    /// The optional items in the order of their invocations.
    optional: Vec<u32>,
    /// For each item the optional one before it that asks the same: using that first is as good.
    twin: Vec<Option<u32>>,
}

impl<'a, 'h, M: Model> Search<'a, 'h, M> {
    /// `items` are in the order of their invocations.
    pub(super) fn new(model: &'a M, items: &'a [Item<'h, M::Op>], initial: M::State) -> Self {
        let optional: Vec<u32> = (0_u32..)
            .zip(items)
            .filter(|(_, item)| item.end.is_none())
            .map(|(index, _)| index)
            .collect();
        let mut twin = vec![None; items.len()];
        for (position, &index) in optional.iter().enumerate() {
            let item = &items[index as usize];
            let same = |&&other: &&u32| {
                let other = &items[other as usize];
                other.op == item.op && other.seen == item.seen
            };
            twin[index as usize] = optional[..position].iter().rev().find(same).copied();
        }
        Self { model, items, initial, turns: turns(items), optional, twin }
    }

    /// Looks for an order; `left` is the budget of calls of [`Model::step`].
    pub(super) fn run(&self, left: &mut u64) -> Finding {
        self.explore(left, |_, _| {})
    }

    /// The states that are possible at each quiet turn, or none if the budget runs out. Only a history without an order
    /// is explored whole; of another one the states are those of one order.
    pub(super) fn quiet_states(&self, left: &mut u64) -> Option<BTreeMap<usize, Vec<M::State>>> {
        let mut states: BTreeMap<usize, Vec<M::State>> = BTreeMap::new();
        let finding = self.explore(left, |turn, state| {
            let known = states.entry(turn).or_default();
            if !known.contains(state) {
                known.push(state.clone());
            }
        });
        (!matches!(finding, Finding::Exhausted)).then_some(states)
    }

    /// The end that a turn stands for.
    pub(super) fn end_of(&self, turn: usize) -> Option<usize> {
        self.items[self.turns.get(turn)?.item as usize].end
    }

    /// How many turns there are.
    pub(super) fn turn_count(&self) -> usize {
        self.turns.len()
    }

    fn explore(&self, left: &mut u64, mut at_quiet: impl FnMut(usize, &M::State)) -> Finding {
        let mut memory = Memory::default();
        let mut deepest = 0;
        let start =
            Config { turn: 0, done: Vec::new(), spent: Vec::new(), state: self.initial.clone() };
        let mut stack = vec![(start, Choice::Open)];
        while let Some((mut config, choice)) = stack.pop() {
            if choice == Choice::Open {
                if !self.advance(&mut config, &mut at_quiet) {
                    return Finding::Holds;
                }
                deepest = deepest.max(config.turn);
            }
            let candidates = match choice {
                Choice::Open => self.open_candidates(&config),
                Choice::Optional => self.optional_candidates(&config),
            };
            let alone = candidates.len() == 1 && self.optional.is_empty();
            // The stack gives back the last one first.
            if choice == Choice::Open && !self.optional.is_empty() {
                stack.push((config.clone(), Choice::Optional));
            }
            for index in candidates {
                if *left == 0 {
                    return Finding::Exhausted;
                }
                *left -= 1;
                if let Some(next) = self.linearize(&config, index)
                    && (alone || memory.is_new(&next))
                {
                    stack.push((next, Choice::Open));
                }
            }
        }
        Finding::Broken { end: self.end_of(deepest).unwrap_or_default() }
    }

    /// Goes on to the first end whose item has not taken effect; false when there is none.
    fn advance(
        &self,
        config: &mut Config<M::State>,
        at_quiet: &mut impl FnMut(usize, &M::State),
    ) -> bool {
        while let Some(turn) = self.turns.get(config.turn) {
            if turn.quiet && config.done.is_empty() {
                at_quiet(config.turn, &config.state);
            }
            let Ok(position) = config.done.binary_search(&turn.item) else { return true };
            config.done.remove(position);
            config.turn += 1;
        }
        false
    }

    /// The open items that may take effect next; last the one that must.
    fn open_candidates(&self, config: &Config<M::State>) -> Vec<u32> {
        let turn = &self.turns[config.turn];
        let others = turn.open.iter().rev().filter(|index| **index != turn.item);
        let waiting = others.filter(|index| config.done.binary_search(index).is_err());
        waiting.copied().chain([turn.item]).collect()
    }

    /// The optional items that may take effect next.
    fn optional_candidates(&self, config: &Config<M::State>) -> Vec<u32> {
        let end = self.end_of(config.turn).unwrap_or(usize::MAX);
        let begun = self.optional.partition_point(|index| self.items[*index as usize].call < end);
        let spent = |index: u32| config.spent.binary_search(&index).is_ok();
        let unspent = self.optional[..begun].iter().rev().copied().filter(|index| !spent(*index));
        unspent.filter(|index| self.twin[*index as usize].is_none_or(spent)).collect()
    }

    fn linearize(&self, config: &Config<M::State>, index: u32) -> Option<Config<M::State>> {
        let item = &self.items[index as usize];
        let state = self.model.step(config.state.clone(), item.op, item.seen)?;
        let mut next = Config {
            turn: config.turn,
            done: config.done.clone(),
            spent: config.spent.clone(),
            state,
        };
        let taken = if item.end.is_some() { &mut next.done } else { &mut next.spent };
        if let Err(position) = taken.binary_search(&index) {
            taken.insert(position, index);
        }
        Some(next)
    }
}

/// The configs that were met.
struct Memory<S>(HashMap<(usize, Vec<u32>, S), Vec<Vec<u32>>>);

impl<S> Default for Memory<S> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<S: Clone + Eq + Hash> Memory<S> {
    /// Remembers the config, unless one that can do as much is known.
    fn is_new(&mut self, config: &Config<S>) -> bool {
        let key = (config.turn, config.done.clone(), config.state.clone());
        let known = self.0.entry(key).or_default();
        if known.iter().any(|spent| is_subset(spent, &config.spent)) {
            return false;
        }
        known.retain(|spent| !is_subset(&config.spent, spent));
        known.push(config.spent.clone());
        true
    }
}

fn is_subset(small: &[u32], large: &[u32]) -> bool {
    small.len() <= large.len() && small.iter().all(|index| large.binary_search(index).is_ok())
}

fn turns<O: Op>(items: &[Item<'_, O>]) -> Vec<Turn> {
    let mut ends: Vec<(usize, u32)> =
        (0_u32..).zip(items).filter_map(|(index, item)| Some((item.end?, index))).collect();
    ends.sort_unstable();
    let mut open: Vec<u32> = Vec::new();
    let mut waiting = (0_u32..).zip(items).filter(|(_, item)| item.end.is_some()).peekable();
    let mut turns = Vec::with_capacity(ends.len());
    for (end, item) in ends {
        // What began before the last end was taken in then.
        let carried = open.len();
        while let Some((index, _)) = waiting.next_if(|(_, item)| item.call < end) {
            open.push(index);
        }
        turns.push(Turn { item, open: open.clone(), quiet: carried == 0 });
        open.retain(|index| *index != item);
    }
    turns
}

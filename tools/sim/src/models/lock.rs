//! Locks and elections with fences, one a key.
//!
//! The end of a lease is a `release` that the holder did not ask for. A run records it as an operation of a process of its
//! own, with unknown outcome, from the earliest moment at which the lease may end.

use serde::{Deserialize, Serialize};

use crate::history::{Op, Seen};
use crate::linear::Model;

/// Locks: at most one holder, and each grant has a fence above all before.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lock;

/// What a client asks of a lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", content = "value", rename_all = "snake_case", deny_unknown_fields)]
pub enum LockOp {
    /// Take it if it is free. A grant carries [`Seen::fence`].
    Acquire {
        /// The lock.
        key: String,
        /// Who takes it.
        holder: String,
    },
    /// Free it if this holder has it.
    Release {
        /// The lock.
        key: String,
        /// Who has it.
        holder: String,
    },
    /// Who has it? The reply may carry [`Seen::fence`].
    Holder {
        /// The lock.
        key: String,
    },
}

/// What a lock answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", content = "value", rename_all = "snake_case")]
pub enum LockReply {
    /// Whether it was granted.
    Acquire(bool),
    /// Whether this holder had it.
    Release(bool),
    /// The holder.
    Holder(Option<String>),
}

impl Op for LockOp {
    type Reply = LockReply;
}

/// A lock between two operations.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct LockState {
    /// Who has it, and the fence of that grant where it is known.
    holder: Option<(String, Option<u64>)>,
    /// No later grant may have this fence or a lower one.
    last_fence: u64,
}

impl Model for Lock {
    type Op = LockOp;
    type State = LockState;

    fn initial(&self) -> LockState {
        LockState::default()
    }

    fn step(&self, state: LockState, op: &LockOp, seen: &Seen<LockReply>) -> Option<LockState> {
        match op {
            LockOp::Acquire { holder, .. } => acquire(state, holder, seen),
            LockOp::Release { holder, .. } => {
                let held = state.holder.as_ref().is_some_and(|(name, _)| name == holder);
                let next = LockState { holder: if held { None } else { state.holder }, ..state };
                seen.reply
                    .as_ref()
                    .is_none_or(|reply| *reply == LockReply::Release(held))
                    .then_some(next)
            }
            LockOp::Holder { .. } => match &seen.reply {
                None => Some(state),
                Some(LockReply::Holder(name)) => observe(state, name.as_deref(), seen.fence),
                Some(_) => None,
            },
        }
    }

    fn keys<'a>(&self, op: &'a LockOp) -> Vec<&'a str> {
        match op {
            LockOp::Acquire { key, .. } | LockOp::Release { key, .. } | LockOp::Holder { key } => {
                vec![key]
            }
        }
    }

    fn changes(&self, op: &LockOp, seen: &Seen<LockReply>) -> bool {
        match op {
            LockOp::Holder { .. } => false,
            LockOp::Acquire { .. } => seen.reply != Some(LockReply::Acquire(false)),
            LockOp::Release { .. } => seen.reply != Some(LockReply::Release(false)),
        }
    }
}

fn acquire(state: LockState, holder: &str, seen: &Seen<LockReply>) -> Option<LockState> {
    let free = state.holder.is_none();
    let last_fence = match &seen.reply {
        Some(LockReply::Acquire(granted)) if *granted != free => return None,
        Some(LockReply::Acquire(true)) => seen.fence.filter(|fence| *fence > state.last_fence)?,
        Some(LockReply::Acquire(false)) => return Some(state),
        Some(_) => return None,
        None if !free => return Some(state),
        // The fence of a grant that nobody heard of is at least the next one.
        None => seen.fence.unwrap_or(state.last_fence + 1).max(state.last_fence + 1),
    };
    let known = if seen.reply.is_some() { Some(last_fence) } else { seen.fence };
    Some(LockState { holder: Some((holder.to_owned(), known)), last_fence })
}

fn observe(mut state: LockState, name: Option<&str>, fence: Option<u64>) -> Option<LockState> {
    if state.holder.as_ref().map(|(holder, _)| holder.as_str()) != name {
        return None;
    }
    if let (Some((_, known)), Some(fence)) = (&mut state.holder, fence) {
        let right = known.map_or(fence >= state.last_fence, |known| known == fence);
        *known = Some(fence);
        state.last_fence = state.last_fence.max(fence);
        return right.then_some(state);
    }
    Some(state)
}

//! Registers, one a key: read, write, compare and set.

use serde::{Deserialize, Serialize};

use crate::history::{Op, Seen};
use crate::linear::Model;

/// Independent registers that hold a number or nothing; at first nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Register;

/// What a client asks of a register.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", content = "value", rename_all = "snake_case", deny_unknown_fields)]
pub enum RegisterOp {
    /// What does it hold?
    Read {
        /// The register.
        key: String,
    },
    /// Hold this from now on.
    Write {
        /// The register.
        key: String,
        /// The new content.
        value: i64,
    },
    /// Hold `to` if it holds `from`.
    Cas {
        /// The register.
        key: String,
        /// The expected content.
        from: Option<i64>,
        /// The new content.
        to: i64,
    },
}

/// What a register answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", content = "value", rename_all = "snake_case")]
pub enum RegisterReply {
    /// It held this.
    Read(Option<i64>),
    /// Done.
    Write,
    /// Whether it held what was expected.
    Cas(bool),
}

impl Op for RegisterOp {
    type Reply = RegisterReply;
}

impl Model for Register {
    type Op = RegisterOp;
    type State = Option<i64>;

    fn initial(&self) -> Option<i64> {
        None
    }

    fn step(
        &self,
        state: Option<i64>,
        op: &RegisterOp,
        seen: &Seen<RegisterReply>,
    ) -> Option<Option<i64>> {
        let (next, right) = match op {
            RegisterOp::Read { .. } => (state, RegisterReply::Read(state)),
            RegisterOp::Write { value, .. } => (Some(*value), RegisterReply::Write),
            RegisterOp::Cas { from, to, .. } => {
                let matched = state == *from;
                (if matched { Some(*to) } else { state }, RegisterReply::Cas(matched))
            }
        };
        seen.reply.as_ref().is_none_or(|reply| *reply == right).then_some(next)
    }

    fn keys<'a>(&self, op: &'a RegisterOp) -> Vec<&'a str> {
        match op {
            RegisterOp::Read { key }
            | RegisterOp::Write { key, .. }
            | RegisterOp::Cas { key, .. } => vec![key],
        }
    }

    fn changes(&self, op: &RegisterOp, seen: &Seen<RegisterReply>) -> bool {
        !matches!(op, RegisterOp::Read { .. }) && seen.reply != Some(RegisterReply::Cas(false))
    }
}

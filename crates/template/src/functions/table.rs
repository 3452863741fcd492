//! The shape of one row in the tables of built-in functions.

use super::Args;
use crate::error::CallError;
use crate::scope::Scope;
use crate::value::Value;

/// The code of a built-in function.
pub(crate) type Run = fn(&Scope<'_>, &Args<'_>) -> Result<Value, CallError>;

/// A built-in function: name, arity, documentation and code.
pub(crate) struct Builtin {
    pub(crate) name: &'static str,
    /// Fewest arguments.
    pub(crate) min: usize,
    /// Most arguments; `usize::MAX` for any number.
    pub(crate) max: usize,
    /// Signature in Go's notation.
    pub(crate) signature: &'static str,
    /// Lines of help.
    pub(crate) description: &'static [&'static str],
    pub(crate) run: Run,
}

/// A function of exactly `count` arguments.
pub(crate) const fn one(
    name: &'static str,
    count: usize,
    signature: &'static str,
    description: &'static [&'static str],
    run: Run,
) -> Builtin {
    Builtin { name, min: count, max: count, signature, description, run }
}

/// A function of `min` to `max` arguments.
pub(crate) const fn opt(
    name: &'static str,
    (min, max): (usize, usize),
    signature: &'static str,
    description: &'static [&'static str],
    run: Run,
) -> Builtin {
    Builtin { name, min, max, signature, description, run }
}

/// A function of at least `min` arguments.
pub(crate) const fn many(
    name: &'static str,
    min: usize,
    signature: &'static str,
    description: &'static [&'static str],
    run: Run,
) -> Builtin {
    Builtin { name, min, max: usize::MAX, signature, description, run }
}

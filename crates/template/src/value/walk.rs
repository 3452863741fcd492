//! Walks over whole values, all of them bounded.
//!
//! A template can share one list many times inside another, so that a small value in memory is an
//! exponentially large tree on paper. Every walk therefore pays for each node from a [`Budget`].

use super::{MAX_NESTING, Map, Value};

/// How many more nodes and bytes a walk may visit or write.
#[derive(Debug)]
pub(crate) struct Budget {
    left: usize,
    depth: usize,
}

/// A walk ran out of its budget or met a value nested too deep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooBig;

impl Default for Budget {
    fn default() -> Self {
        Self::new(64 * 1024 * 1024)
    }
}

impl Budget {
    /// A budget of `units`: one for each node, one for each byte of text.
    pub(crate) fn new(units: usize) -> Self {
        Self { left: units, depth: 0 }
    }

    /// Pays for `units`.
    pub(crate) fn take(&mut self, units: usize) -> Result<(), TooBig> {
        self.left = self.left.checked_sub(units).ok_or(TooBig)?;
        Ok(())
    }

    /// Goes one level down; every `Ok` needs a [`Budget::leave`].
    pub(crate) fn enter(&mut self) -> Result<(), TooBig> {
        if self.depth >= MAX_NESTING {
            return Err(TooBig);
        }
        self.depth += 1;
        self.take(1)
    }

    /// Comes back up.
    pub(crate) fn leave(&mut self) {
        self.depth = self.depth.saturating_sub(1);
    }
}

/// Go's `reflect.DeepEqual`.
pub(crate) fn deep_equal(left: &Value, right: &Value, budget: &mut Budget) -> Result<bool, TooBig> {
    budget.enter()?;
    let equal = match (left, right) {
        (Value::Nil, Value::Nil) => true,
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::Int(a), Value::Int(b)) => a == b,
        (Value::Float(a), Value::Float(b)) => a == b,
        (Value::Str(a), Value::Str(b)) => a == b,
        (Value::Time(a), Value::Time(b)) => a == b,
        (Value::Object(a), Value::Object(b)) => a.type_name == b.type_name && a.text == b.text,
        (Value::List(a), Value::List(b)) => {
            let mut equal = a.len() == b.len();
            for (x, y) in a.items().iter().zip(b.items()) {
                if !equal {
                    break;
                }
                equal = deep_equal(x, y, budget)?;
            }
            equal
        }
        (Value::Map(a), Value::Map(b)) => a.same(b) || equal_maps(a, b, budget)?,
        _ => false,
    };
    budget.leave();
    Ok(equal)
}

fn equal_maps(left: &Map, right: &Map, budget: &mut Budget) -> Result<bool, TooBig> {
    let (left, right) = (left.entries(), right.entries());
    if left.len() != right.len() {
        return Ok(false);
    }
    for ((left_key, left), (right_key, right)) in left.iter().zip(&right) {
        if left_key != right_key || !deep_equal(left, right, budget)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A copy that shares no map with the original.
pub(crate) fn deep_copy(value: &Value, budget: &mut Budget) -> Result<Value, TooBig> {
    budget.enter()?;
    let copy = match value {
        Value::List(list) => Value::List(
            list.items().iter().map(|item| deep_copy(item, budget)).collect::<Result<_, _>>()?,
        ),
        Value::Map(map) => Value::Map(
            map.entries()
                .into_iter()
                .map(|(key, item)| Ok((key, deep_copy(&item, budget)?)))
                .collect::<Result<_, _>>()?,
        ),
        other => other.clone(),
    };
    budget.leave();
    Ok(copy)
}

/// Whether `target` can be reached from `from`, that is: whether putting `from` into `target`
/// would close a cycle.
pub(crate) fn reaches(from: &Value, target: &Map, budget: &mut Budget) -> Result<bool, TooBig> {
    let mut seen = std::collections::BTreeSet::new();
    let mut pending = vec![from.clone()];
    while let Some(value) = pending.pop() {
        budget.take(1)?;
        match value {
            Value::Map(map) => {
                if map.same(target) {
                    return Ok(true);
                }
                if seen.insert(map.address()) {
                    pending.extend(map.entries().into_iter().map(|(_, value)| value));
                }
            }
            Value::List(list) => {
                budget.take(list.len())?;
                pending.extend(list.items().iter().filter(|item| is_branch(item)).cloned());
            }
            _ => {}
        }
    }
    Ok(false)
}

fn is_branch(value: &Value) -> bool {
    matches!(value, Value::List(_) | Value::Map(_))
}

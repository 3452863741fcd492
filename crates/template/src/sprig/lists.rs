//! Lists. They are never changed; each function makes a new one.

use super::{Result, texts_of};
use crate::functions::{Args, Builtin, many, one, opt};
use crate::scope::Scope;
use crate::value::{Value, deep_equal};

pub(super) const TABLE: &[Builtin] = &[
    many(
        "list",
        0,
        "func(...interface {}) []interface {}",
        &["A list of the arguments."],
        |_, a| Ok(Value::list(a.values().iter().cloned())),
    ),
    many("tuple", 0, "func(...interface {}) []interface {}", &["Older name of list."], |_, a| {
        Ok(Value::list(a.values().iter().cloned()))
    }),
    one(
        "append",
        2,
        "func([]interface {}, interface {}) []interface {}",
        &["The list with one more element at its end."],
        append,
    ),
    one(
        "push",
        2,
        "func([]interface {}, interface {}) []interface {}",
        &["Same as append."],
        append,
    ),
    one(
        "prepend",
        2,
        "func([]interface {}, interface {}) []interface {}",
        &["The list with one more element at its start."],
        |s, a| {
            s.charge(a.list(0)?.len())?;
            Ok(Value::list(std::iter::once(a.any(1)).chain(items(a, 0)?).cloned()))
        },
    ),
    many("concat", 0, "func(...interface {}) []interface {}", &["All lists as one."], concat),
    one("first", 1, "func([]interface {}) interface {}", &["The first element."], |_, a| {
        Ok(items(a, 0)?.first().cloned().unwrap_or_default())
    }),
    one("last", 1, "func([]interface {}) interface {}", &["The last element."], |_, a| {
        Ok(items(a, 0)?.last().cloned().unwrap_or_default())
    }),
    one(
        "rest",
        1,
        "func([]interface {}) []interface {}",
        &["All but the first element."],
        |s, a| part(s, items(a, 0)?.split_first().map(|(_, rest)| rest)),
    ),
    one(
        "initial",
        1,
        "func([]interface {}) []interface {}",
        &["All but the last element."],
        |s, a| part(s, items(a, 0)?.split_last().map(|(_, rest)| rest)),
    ),
    one("reverse", 1, "func([]interface {}) []interface {}", &["The list backwards."], |s, a| {
        s.charge(a.list(0)?.len())?;
        Ok(Value::list(items(a, 0)?.iter().rev().cloned()))
    }),
    one("uniq", 1, "func([]interface {}) []interface {}", &["The list without repetitions."], uniq),
    many(
        "without",
        1,
        "func([]interface {}, ...interface {}) []interface {}",
        &["The list without the other arguments."],
        without,
    ),
    one(
        "has",
        2,
        "func(interface {}, []interface {}) bool",
        &["Whether the first argument is in the list."],
        |s, a| {
            if matches!(a.any(1), Value::Nil) {
                return Ok(Value::Bool(false));
            }
            Ok(Value::Bool(contains(s, items(a, 1)?, a.any(0))?))
        },
    ),
    one(
        "compact",
        1,
        "func([]interface {}) []interface {}",
        &["The list without empty elements."],
        |s, a| {
            s.charge(a.list(0)?.len())?;
            Ok(Value::list(
                items(a, 0)?.iter().filter(|item| !super::misc::is_empty(item)).cloned(),
            ))
        },
    ),
    one(
        "sortAlpha",
        1,
        "func(interface {}) []string",
        &["The elements printed and in alphabetical order."],
        |s, a| {
            let mut texts = texts_of(s, a.any(0))?;
            s.charge(texts.len().saturating_mul(4))?;
            texts.sort();
            Ok(Value::list(texts.into_iter().map(Value::from)))
        },
    ),
    one(
        "chunk",
        2,
        "func(int, []interface {}) [][]interface {}",
        &["The list in lists of at most so many elements."],
        |s, a| {
            let size = a.count(0)?.max(1);
            s.charge(a.list(1)?.len())?;
            Ok(Value::list(
                items(a, 1)?.chunks(size).map(|chunk| Value::list(chunk.iter().cloned())),
            ))
        },
    ),
    one(
        "until",
        1,
        "func(int) []int",
        &["The whole numbers from 0 up to the argument, which is left out."],
        |s, a| {
            let stop = a.int(0)?;
            steps(s, 0, stop, if stop < 0 { -1 } else { 1 })
        },
    ),
    one(
        "untilStep",
        3,
        "func(int, int, int) []int",
        &["Whole numbers: start, end, which is left out, and step."],
        |s, a| steps(s, a.int(0)?, a.int(1)?, a.int(2)?),
    ),
    opt(
        "seq",
        (0, 3),
        "func(...int) string",
        &["Whole numbers as text with blanks between: [start] [step] end, both included."],
        seq,
    ),
];

fn items<'a>(args: &Args<'a>, index: usize) -> Result<&'a [Value]> {
    Ok(args.list(index)?.items())
}

fn append(scope: &Scope<'_>, args: &Args<'_>) -> Result {
    let list = items(args, 0)?;
    scope.charge(list.len())?;
    Ok(Value::list(list.iter().chain(std::iter::once(args.any(1))).cloned()))
}

fn concat(scope: &Scope<'_>, args: &Args<'_>) -> Result {
    let mut all = Vec::new();
    for index in 0..args.len() {
        let list = items(args, index)?;
        scope.charge(list.len())?;
        all.extend(list.iter().cloned());
        scope.room(all.len().saturating_mul(size_of::<Value>()))?;
    }
    Ok(Value::list(all))
}

/// A part of a list; nil when there is none, as in sprig.
fn part(scope: &Scope<'_>, items: Option<&[Value]>) -> Result {
    match items {
        None => Ok(Value::Nil),
        Some(items) => {
            scope.charge(items.len())?;
            Ok(Value::list(items.iter().cloned()))
        }
    }
}

fn contains(scope: &Scope<'_>, items: &[Value], wanted: &Value) -> Result<bool> {
    scope.charge(items.len())?;
    let mut budget = scope.budget();
    for item in items {
        if deep_equal(item, wanted, &mut budget).map_err(|error| scope.too_big(error))? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn uniq(scope: &Scope<'_>, args: &Args<'_>) -> Result {
    let mut kept: Vec<Value> = Vec::new();
    for item in items(args, 0)? {
        if !contains(scope, &kept, item)? {
            kept.push(item.clone());
        }
    }
    Ok(Value::list(kept))
}

fn without(scope: &Scope<'_>, args: &Args<'_>) -> Result {
    let mut kept = Vec::new();
    for item in items(args, 0)? {
        if !contains(scope, args.rest(1), item)? {
            kept.push(item.clone());
        }
    }
    Ok(Value::list(kept))
}

/// The numbers from `start` towards `stop`, which is left out. None when the step leads away.
fn numbers(scope: &Scope<'_>, start: i64, stop: i64, step: i64) -> Result<Vec<i64>> {
    if step == 0 || (stop < start) != (step < 0) {
        return Ok(Vec::new());
    }
    let count = start.abs_diff(stop).div_ceil(step.unsigned_abs());
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    scope.charge(count)?;
    scope.room(count.saturating_mul(size_of::<Value>()))?;
    let next = |at: &i64| at.checked_add(step);
    Ok(std::iter::successors(Some(start), next).take(count).collect())
}

fn steps(scope: &Scope<'_>, start: i64, stop: i64, step: i64) -> Result {
    Ok(Value::list(numbers(scope, start, stop, step)?.into_iter().map(Value::Int)))
}

fn seq(scope: &Scope<'_>, args: &Args<'_>) -> Result {
    let (start, step, end) = match args.len() {
        0 => return Ok(Value::from("")),
        1 => (1, None, args.int(0)?),
        2 => (args.int(0)?, None, args.int(1)?),
        _ => (args.int(0)?, Some(args.int(1)?), args.int(2)?),
    };
    let step = step.unwrap_or(if end < start { -1 } else { 1 });
    let numbers = numbers(scope, start, end.saturating_add(step.signum()), step)?;
    let texts: Vec<String> = numbers.iter().map(i64::to_string).collect();
    Ok(Value::from(texts.join(" ")))
}

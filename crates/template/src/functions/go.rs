//! The functions that Go's template language itself has.

use super::{Args, Builtin, many, one, opt};
use crate::error::CallError;
use crate::gofmt::{print_value, sprint, sprintf, sprintln};
use crate::scope::Scope;
use crate::value::{Value, deep_equal};
use std::cmp::Ordering;

type Result = std::result::Result<Value, CallError>;

pub(super) const TABLE: &[Builtin] = &[
    many(
        "and",
        1,
        "func(interface {}, ...interface {}) interface {}",
        &["First false argument, else the last."],
        |_, args| Ok(junction(args, false)),
    ),
    many(
        "or",
        1,
        "func(interface {}, ...interface {}) interface {}",
        &["First true argument, else the last."],
        |_, args| Ok(junction(args, true)),
    ),
    one(
        "not",
        1,
        "func(interface {}) bool",
        &["Whether the argument is false or empty."],
        |_, args| Ok(Value::Bool(!args.any(0).is_true())),
    ),
    one(
        "len",
        1,
        "func(interface {}) int",
        &["Length of a text in bytes, or of a list or map in elements."],
        len,
    ),
    many(
        "index",
        1,
        "func(interface {}, ...interface {}) interface {}",
        &["Element of a list or map at the given indexes or keys, one after the other."],
        index,
    ),
    opt(
        "slice",
        (1, 4),
        "func(interface {}, ...int) interface {}",
        &["Part of a text or list from one position up to another."],
        slice,
    ),
    many(
        "print",
        0,
        "func(...interface {}) string",
        &["Prints the arguments, with blanks between those that are not text."],
        |scope, args| text(scope, sprint(args.values(), &mut scope.budget())),
    ),
    many(
        "println",
        0,
        "func(...interface {}) string",
        &["Prints the arguments with blanks between them and a newline at the end."],
        |scope, args| text(scope, sprintln(args.values(), &mut scope.budget())),
    ),
    many(
        "printf",
        1,
        "func(string, ...interface {}) string",
        &["Prints the arguments by a format as Go's fmt package does."],
        |scope, args| text(scope, sprintf(args.text(0)?, args.rest(1), &mut scope.budget())),
    ),
    many(
        "html",
        0,
        "func(...interface {}) string",
        &["The arguments printed, with the characters special to HTML escaped."],
        |scope, args| escaped(scope, args, html),
    ),
    many(
        "js",
        0,
        "func(...interface {}) string",
        &["The arguments printed, escaped for a JavaScript string."],
        |scope, args| escaped(scope, args, js),
    ),
    many(
        "urlquery",
        0,
        "func(...interface {}) string",
        &["The arguments printed, escaped for a query in a URL."],
        |scope, args| escaped(scope, args, url_query),
    ),
    many(
        "call",
        1,
        "func(interface {}, ...interface {}) interface {}",
        &["Calls a function value; here no value is a function."],
        |_, args| Err(args.fail(format!("non-function of type {}", args.any(0).type_name()))),
    ),
    many(
        "eq",
        2,
        "func(interface {}, ...interface {}) bool",
        &["Whether the first argument equals any of the others."],
        |scope, args| {
            for other in args.rest(1) {
                if equal(scope, args, args.any(0), other)? {
                    return Ok(Value::Bool(true));
                }
            }
            Ok(Value::Bool(false))
        },
    ),
    one(
        "ne",
        2,
        "func(interface {}, interface {}) bool",
        &["Whether the arguments differ."],
        |scope, args| Ok(Value::Bool(!equal(scope, args, args.any(0), args.any(1))?)),
    ),
    one(
        "lt",
        2,
        "func(interface {}, interface {}) bool",
        &["Whether the first argument is less than the second."],
        |_, args| ordered(args, Ordering::is_lt),
    ),
    one(
        "le",
        2,
        "func(interface {}, interface {}) bool",
        &["Whether the first argument is at most the second."],
        |_, args| ordered(args, Ordering::is_le),
    ),
    one(
        "gt",
        2,
        "func(interface {}, interface {}) bool",
        &["Whether the first argument is greater than the second."],
        |_, args| ordered(args, Ordering::is_gt),
    ),
    one(
        "ge",
        2,
        "func(interface {}, interface {}) bool",
        &["Whether the first argument is at least the second."],
        |_, args| ordered(args, Ordering::is_ge),
    ),
];

/// `and` and `or` with all arguments evaluated; the evaluator has its own for actions.
fn junction(args: &Args<'_>, stops_at: bool) -> Value {
    let stop = args.values().iter().find(|value| value.is_true() == stops_at);
    stop.or(args.values().last()).cloned().unwrap_or_default()
}

fn text(scope: &Scope<'_>, printed: std::result::Result<String, crate::value::TooBig>) -> Result {
    printed.map(Value::from).map_err(|error| scope.too_big(error))
}

fn len(_: &Scope<'_>, args: &Args<'_>) -> Result {
    let length = match args.any(0) {
        Value::Str(text) => text.len(),
        Value::List(list) => list.len(),
        Value::Map(map) => map.len(),
        Value::Nil => return Err(args.fail("len of nil pointer")),
        other => return Err(args.fail(format!("len of type {}", other.type_name()))),
    };
    Ok(Value::Int(i64::try_from(length).unwrap_or(i64::MAX)))
}

fn index(scope: &Scope<'_>, args: &Args<'_>) -> Result {
    let mut value = args.any(0).clone();
    for key in args.rest(1) {
        value = match (&value, key) {
            (Value::Map(map), Value::Str(key)) => {
                map.get(key).unwrap_or_else(|| scope.options().missing_key.value())
            }
            (Value::Map(_), key) => {
                let kind = key.type_name();
                return Err(args.fail(format!("value has type {kind}; should be string")));
            }
            (Value::List(list), key) => list.items()[position(args, key, list.len())?].clone(),
            (Value::Str(text), key) => {
                let at = position(args, key, text.len())?;
                Value::Int(i64::from(text.as_bytes()[at]))
            }
            (Value::Nil, _) => return Err(args.fail("index of untyped nil")),
            (other, _) => {
                return Err(args.fail(format!("can't index item of type {}", other.type_name())));
            }
        };
    }
    Ok(value)
}

fn position(args: &Args<'_>, key: &Value, length: usize) -> std::result::Result<usize, CallError> {
    let Some(number) = key.as_int() else {
        return Err(args.fail(format!("cannot index slice/array with type {}", key.type_name())));
    };
    match usize::try_from(number) {
        Ok(at) if at < length => Ok(at),
        _ => Err(args.fail(format!("index out of range: {number}"))),
    }
}

/// Go's `slice` on texts and lists; sprig's of the same name is the same on lists.
fn slice(_: &Scope<'_>, args: &Args<'_>) -> Result {
    let length = match args.any(0) {
        Value::Str(text) => text.len(),
        Value::List(list) => list.len(),
        other => return Err(args.fail(format!("can't slice item of type {}", other.type_name()))),
    };
    let bound = |at: usize, default: usize| match args.rest(at).first() {
        None => Ok(default),
        Some(_) => {
            let number = args.int(at)?;
            let bound = usize::try_from(number).ok().filter(|bound| *bound <= length);
            bound.ok_or_else(|| args.fail(format!("index out of range: {number}")))
        }
    };
    let (from, to, cap) = (bound(1, 0)?, bound(2, length)?, bound(3, length)?);
    if from > to || to > cap {
        return Err(args.fail(format!("invalid slice index: {from} > {to}")));
    }
    match args.any(0) {
        Value::Str(text) => match text.get(from..to) {
            Some(part) => Ok(Value::from(part)),
            None => Err(args.fail("the bounds cut a UTF-8 character in two")),
        },
        Value::List(list) => Ok(Value::list(list.items()[from..to].iter().cloned())),
        _ => Ok(Value::Nil),
    }
}

/// Go compares only values of one basic kind. Whole and floating numbers compare here too, where
/// Go fails: numbers of JSON documents are floats, and `eq .count 1` should work.
fn equal(
    scope: &Scope<'_>,
    args: &Args<'_>,
    left: &Value,
    right: &Value,
) -> std::result::Result<bool, CallError> {
    match (left, right) {
        (Value::Int(a), Value::Int(b)) => Ok(a == b),
        (Value::Int(_) | Value::Float(_), Value::Int(_) | Value::Float(_)) => {
            Ok(left.as_float() == right.as_float())
        }
        (Value::Nil, Value::Nil) => Ok(true),
        (Value::Nil, _) | (_, Value::Nil) => Ok(false),
        (Value::List(_) | Value::Map(_), _) | (_, Value::List(_) | Value::Map(_)) => {
            Err(args.fail(format!("non-comparable type {}", left.type_name())))
        }
        _ if left.kind_name() != right.kind_name() => {
            Err(args.fail("incompatible types for comparison"))
        }
        _ => deep_equal(left, right, &mut scope.budget()).map_err(|error| scope.too_big(error)),
    }
}

fn ordered(args: &Args<'_>, holds: fn(Ordering) -> bool) -> Result {
    let (left, right) = (args.any(0), args.any(1));
    let order = match (left, right) {
        (Value::Int(a), Value::Int(b)) => Some(a.cmp(b)),
        (Value::Str(a), Value::Str(b)) => Some(a.cmp(b)),
        (Value::Int(_) | Value::Float(_), Value::Int(_) | Value::Float(_)) => {
            // A comparison with not-a-number is false, whatever is asked.
            match left.as_float().partial_cmp(&right.as_float()) {
                Some(order) => Some(order),
                None => return Ok(Value::Bool(false)),
            }
        }
        (Value::Time(a), Value::Time(b)) => Some(a.timestamp().cmp(&b.timestamp())),
        _ => None,
    };
    match order {
        Some(order) => Ok(Value::Bool(holds(order))),
        None if left.kind_name() != right.kind_name() => {
            Err(args.fail("incompatible types for comparison"))
        }
        None => Err(args.fail("invalid type for comparison")),
    }
}

fn escaped(scope: &Scope<'_>, args: &Args<'_>, escape: fn(char, &mut String)) -> Result {
    let mut budget = scope.budget();
    let printed = match args.values() {
        [Value::Nil] => "<no value>".to_owned(),
        [value] => {
            let mut out = String::new();
            print_value(&mut out, value, &mut budget).map_err(|error| scope.too_big(error))?;
            out
        }
        values => sprint(values, &mut budget).map_err(|error| scope.too_big(error))?,
    };
    let mut out = String::with_capacity(printed.len());
    for c in printed.chars() {
        escape(c, &mut out);
    }
    Ok(Value::from(out))
}

fn html(c: char, out: &mut String) {
    match c {
        '\0' => out.push('\u{fffd}'),
        '"' => out.push_str("&#34;"),
        '\'' => out.push_str("&#39;"),
        '&' => out.push_str("&amp;"),
        '<' => out.push_str("&lt;"),
        '>' => out.push_str("&gt;"),
        c => out.push(c),
    }
}

fn js(c: char, out: &mut String) {
    match c {
        '\\' => out.push_str("\\\\"),
        '\'' => out.push_str("\\'"),
        '"' => out.push_str("\\\""),
        '<' | '>' | '&' | '=' => out.push_str(&format!("\\u{:04X}", c as u32)),
        c if (c as u32) < 0x20 => out.push_str(&format!("\\u{:04X}", c as u32)),
        '\u{2028}' | '\u{2029}' | '\u{feff}' => out.push_str(&format!("\\u{:04X}", c as u32)),
        c => out.push(c),
    }
}

fn url_query(c: char, out: &mut String) {
    match c {
        ' ' => out.push('+'),
        'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '_' | '.' | '~' => out.push(c),
        c => {
            let mut bytes = [0; 4];
            for byte in c.encode_utf8(&mut bytes).bytes() {
                out.push_str(&format!("%{byte:02X}"));
            }
        }
    }
}

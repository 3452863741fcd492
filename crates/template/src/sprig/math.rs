//! Arithmetic. Everything is read as a 64-bit whole number, text included, as in sprig.

use super::Result;
use crate::functions::{Args, Builtin, many, one, opt};
use crate::scope::Scope;
use crate::value::Value;
use rand::RngExt;

pub(super) const TABLE: &[Builtin] = &[
    one("atoi", 1, "func(string) int", &["The whole number that a text is, else 0."], |_, a| {
        Ok(Value::Int(a.text(0)?.parse().unwrap_or(0)))
    }),
    one(
        "int",
        1,
        "func(interface {}) int",
        &["The argument as a whole number, else 0."],
        |_, a| Ok(Value::Int(whole(a.any(0)))),
    ),
    one(
        "int64",
        1,
        "func(interface {}) int64",
        &["The argument as a whole number, else 0."],
        |_, a| Ok(Value::Int(whole(a.any(0)))),
    ),
    one(
        "float64",
        1,
        "func(interface {}) float64",
        &["The argument as a floating point number, else 0."],
        |_, a| Ok(Value::Float(float(a.any(0)))),
    ),
    one(
        "toDecimal",
        1,
        "func(interface {}) int64",
        &["The whole number that octal digits stand for."],
        |s, a| {
            let text = super::text_of(s, a.any(0))?;
            Ok(Value::Int(i64::from_str_radix(&text, 8).unwrap_or(0)))
        },
    ),
    one("add1", 1, "func(interface {}) int64", &["One more."], |_, a| {
        Ok(Value::Int(whole(a.any(0)).wrapping_add(1)))
    }),
    many("add", 0, "func(...interface {}) int64", &["The sum."], |_, a| {
        Ok(fold(a.values(), 0, i64::wrapping_add))
    }),
    many("mul", 1, "func(interface {}, ...interface {}) int64", &["The product."], |_, a| {
        Ok(fold(a.values(), 1, i64::wrapping_mul))
    }),
    one(
        "sub",
        2,
        "func(interface {}, interface {}) int64",
        &["The first number less the second."],
        |_, a| Ok(Value::Int(whole(a.any(0)).wrapping_sub(whole(a.any(1))))),
    ),
    one(
        "div",
        2,
        "func(interface {}, interface {}) int64",
        &["The first number by the second, without remainder."],
        |_, a| divide(a, i64::wrapping_div),
    ),
    one(
        "mod",
        2,
        "func(interface {}, interface {}) int64",
        &["The remainder of the first number by the second."],
        |_, a| divide(a, i64::wrapping_rem),
    ),
    many(
        "max",
        1,
        "func(interface {}, ...interface {}) int64",
        &["The greatest number."],
        |_, a| Ok(fold(a.values(), i64::MIN, i64::max)),
    ),
    many("biggest", 1, "func(interface {}, ...interface {}) int64", &["Same as max."], |_, a| {
        Ok(fold(a.values(), i64::MIN, i64::max))
    }),
    many("min", 1, "func(interface {}, ...interface {}) int64", &["The least number."], |_, a| {
        Ok(fold(a.values(), i64::MAX, i64::min))
    }),
    one("ceil", 1, "func(interface {}) float64", &["The next whole number upwards."], |_, a| {
        Ok(Value::Float(float(a.any(0)).ceil()))
    }),
    one("floor", 1, "func(interface {}) float64", &["The next whole number downwards."], |_, a| {
        Ok(Value::Float(float(a.any(0)).floor()))
    }),
    opt(
        "round",
        (2, 3),
        "func(interface {}, int, ...float64) float64",
        &[
            "Rounded to so many decimals: number, decimals, and the fraction from which to round up, 0.5 if not given.",
        ],
        round,
    ),
    one(
        "randInt",
        2,
        "func(int, int) int",
        &["A random whole number from the first argument up to the second, which is left out."],
        |_, a| {
            let (from, to) = (a.int(0)?, a.int(1)?);
            if from >= to {
                return Err(a.fail(format!("there is no number from {from} up to {to}")));
            }
            Ok(Value::Int(rand::rng().random_range(from..to)))
        },
    ),
];

/// Sprig's `toInt64`: 0 for what is no number.
fn whole(value: &Value) -> i64 {
    match value {
        Value::Int(number) => *number,
        // Saturates where Go's conversion is undefined.
        Value::Float(number) => *number as i64,
        Value::Bool(flag) => i64::from(*flag),
        Value::Str(text) => parse_whole(text).unwrap_or(0),
        _ => 0,
    }
}

/// A Go literal in any base.
fn parse_whole(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (radix, body) = match digits.get(..2) {
        Some("0x" | "0X") => (16, &digits[2..]),
        Some("0b" | "0B") => (2, &digits[2..]),
        Some("0o" | "0O") => (8, &digits[2..]),
        Some(two) if two.starts_with('0') => (8, &digits[1..]),
        _ => (10, digits),
    };
    if body.starts_with(['+', '-']) {
        return None;
    }
    let size = i128::from(u64::from_str_radix(body, radix).ok()?);
    i64::try_from(if negative { -size } else { size }).ok()
}

fn float(value: &Value) -> f64 {
    match value {
        Value::Str(text) => text.parse().unwrap_or(0.0),
        Value::Bool(flag) => f64::from(u8::from(*flag)),
        other => other.as_float().unwrap_or(0.0),
    }
}

fn fold(values: &[Value], start: i64, combine: fn(i64, i64) -> i64) -> Value {
    Value::Int(values.iter().map(whole).fold(start, combine))
}

fn divide(args: &Args<'_>, divide: fn(i64, i64) -> i64) -> Result {
    match whole(args.any(1)) {
        0 => Err(args.fail("integer divide by zero")),
        divisor => Ok(Value::Int(divide(whole(args.any(0)), divisor))),
    }
}

fn round(_: &Scope<'_>, args: &Args<'_>) -> Result {
    let number = float(args.any(0));
    let decimals = i32::try_from(args.int(1)?.clamp(-300, 300)).unwrap_or(0);
    let limit = if args.len() > 2 { float(args.any(2)) } else { 0.5 };
    let scale = 10f64.powi(decimals);
    let digits = number * scale;
    let rounded = if digits.fract() >= limit { digits.ceil() } else { digits.floor() };
    Ok(Value::Float(rounded / scale))
}

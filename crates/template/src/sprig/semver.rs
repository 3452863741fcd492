//! Semantic versions and constraints on them, in the notation of the library behind sprig:
//! `>= 1.2, < 3 || ^4`, `~1.2.3`, `1.2.x`, `1.2 - 1.4`.

use super::Result;
use crate::functions::{Args, Builtin, one};
use crate::scope::Scope;
use crate::value::{Object, Value};
use std::cmp::Ordering;

pub(super) const TABLE: &[Builtin] = &[
    one(
        "semver",
        1,
        "func(string) (*semver.Version, error)",
        &["A version, with fields Major, Minor, Patch, Prerelease, Metadata and Original."],
        |_, a| parsed(a),
    ),
    one(
        "semverCompare",
        2,
        "func(string, string) (bool, error)",
        &["Whether a version satisfies a constraint: constraint, version."],
        compare,
    ),
];

#[derive(Debug, Clone, PartialEq, Eq)]
struct Version {
    /// Major, minor, patch; `None` where the text left it open (`1.2`, `1.x`).
    numbers: [Option<u64>; 3],
    prerelease: String,
    metadata: String,
}

impl Version {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let text = text.strip_prefix('v').unwrap_or(text);
        let (text, metadata) = text.split_once('+').unwrap_or((text, ""));
        let (core, prerelease) = text.split_once('-').unwrap_or((text, ""));
        let good = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
        if !(prerelease.chars().all(good) && metadata.chars().all(good)) {
            return None;
        }
        let mut numbers = [None; 3];
        let mut open = false;
        for (index, part) in core.split('.').enumerate() {
            let slot = numbers.get_mut(index)?;
            if matches!(part, "x" | "X" | "*") {
                open = true;
            } else if open || !part.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            } else {
                *slot = Some(part.parse().ok()?);
            }
        }
        let (prerelease, metadata) = (prerelease.to_owned(), metadata.to_owned());
        Some(Self { numbers, prerelease, metadata })
    }

    fn number(&self, index: usize) -> u64 {
        self.numbers.get(index).copied().flatten().unwrap_or(0)
    }

    fn key(&self) -> (u64, u64, u64) {
        (self.number(0), self.number(1), self.number(2))
    }

    fn order(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key()).then_with(|| order(&self.prerelease, &other.prerelease))
    }
}

/// A version without prerelease comes after all that have one.
fn order(left: &str, right: &str) -> Ordering {
    match (left.is_empty(), right.is_empty()) {
        (true, true) => return Ordering::Equal,
        (true, false) => return Ordering::Greater,
        (false, true) => return Ordering::Less,
        (false, false) => {}
    }
    let mut others = right.split('.');
    for part in left.split('.') {
        let Some(other) = others.next() else { return Ordering::Greater };
        let order = match (part.parse::<u64>(), other.parse::<u64>()) {
            (Ok(a), Ok(b)) => a.cmp(&b),
            (Ok(_), Err(_)) => Ordering::Less,
            (Err(_), Ok(_)) => Ordering::Greater,
            (Err(_), Err(_)) => part.cmp(other),
        };
        if order != Ordering::Equal {
            return order;
        }
    }
    if others.next().is_some() { Ordering::Less } else { Ordering::Equal }
}

fn parsed(args: &Args<'_>) -> Result {
    let text = args.text(0)?;
    let open = |version: &Version| text.contains(['x', 'X', '*']) && version.prerelease.is_empty();
    let version = Version::parse(text).filter(|v| v.numbers[0].is_some() && !open(v));
    let Some(version) = version else {
        return Err(args.fail(format!("invalid semantic version {text:?}")));
    };
    let (major, minor, patch) = version.key();
    let mut printed = format!("{major}.{minor}.{patch}");
    for (mark, part) in [('-', &version.prerelease), ('+', &version.metadata)] {
        if !part.is_empty() {
            printed.push(mark);
            printed.push_str(part);
        }
    }
    let number = |number: u64| Value::Int(i64::try_from(number).unwrap_or(i64::MAX));
    let fields = [
        ("Major", number(major)),
        ("Minor", number(minor)),
        ("Patch", number(patch)),
        ("Prerelease", Value::from(version.prerelease)),
        ("Metadata", Value::from(version.metadata)),
        ("Original", Value::from(text)),
    ];
    Ok(Value::Object(
        Object {
            type_name: "*semver.Version".to_owned(),
            text: printed,
            fields: fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        }
        .into(),
    ))
}

fn compare(_: &Scope<'_>, args: &Args<'_>) -> Result {
    let (constraint, text) = (args.text(0)?, args.text(1)?);
    let version = Version::parse(text).filter(|version| version.numbers[0].is_some());
    let version = version.ok_or_else(|| args.fail(format!("invalid semantic version {text:?}")))?;
    let holds = satisfies(constraint, &version);
    holds.map(Value::Bool).ok_or_else(|| args.fail(format!("improper constraint: {constraint}")))
}

/// Alternatives joined by `||`, each of them conditions joined by commas.
fn satisfies(constraint: &str, version: &Version) -> Option<bool> {
    let mut any = false;
    for alternative in constraint.split("||") {
        let mut all = true;
        for condition in alternative.split(',') {
            all &= match condition.split_once(" - ") {
                Some((from, to)) => {
                    check(&format!(">={from}"), version)? & check(&format!("<={to}"), version)?
                }
                None => check(condition, version)?,
            };
        }
        any |= all;
    }
    Some(any)
}

const OPERATORS: &[&str] = &["!=", ">=", "=>", "<=", "=<", "~>", "=", ">", "<", "~", "^"];

fn check(condition: &str, version: &Version) -> Option<bool> {
    let condition = condition.trim();
    let operator = OPERATORS.iter().find(|operator| condition.starts_with(**operator));
    let operator = operator.copied().unwrap_or("");
    let bound = Version::parse(&condition[operator.len()..])?;
    // A prerelease only satisfies a condition that names one.
    if !version.prerelease.is_empty() && bound.prerelease.is_empty() && operator != "!=" {
        return Some(false);
    }
    let order = version.order(&bound);
    let open = bound.numbers.contains(&None);
    let same_start = bound
        .numbers
        .iter()
        .enumerate()
        .all(|(index, number)| number.is_none_or(|number| number == version.number(index)));
    Some(match operator {
        "" | "=" if open => same_start,
        "" | "=" => order == Ordering::Equal,
        "!=" if open => !same_start,
        "!=" => order != Ordering::Equal,
        ">" => order == Ordering::Greater,
        "<" => order == Ordering::Less,
        ">=" | "=>" => order != Ordering::Less,
        "<=" | "=<" => order != Ordering::Greater,
        "~" | "~>" => tilde(&bound, version, order),
        _ => caret(&bound, version, order),
    })
}

/// `~1.2.3` and `~1.2`: same minor version; `~1`: same major version; `~*`: all.
fn tilde(bound: &Version, version: &Version, order: Ordering) -> bool {
    let fixed = match bound.numbers {
        [None, ..] => return true,
        [_, None, _] => 1,
        _ => 2,
    };
    order != Ordering::Less && (0..fixed).all(|at| bound.number(at) == version.number(at))
}

/// `^1.2.3`: same major version and not less.
fn caret(bound: &Version, version: &Version, order: Ordering) -> bool {
    bound.numbers[0].is_none() || (order != Ordering::Less && bound.number(0) == version.number(0))
}

//! Strings: cutting, padding, searching, splitting and joining.

use super::{Result, text_of, texts_of};
use crate::functions::{Args, Builtin, many, one};
use crate::gofmt::quote;
use crate::scope::Scope;
use crate::value::Value;

pub(super) const TABLE: &[Builtin] = &[
    one("hello", 0, "func() string", &["Says Hello!"], |_, _| Ok(Value::from("Hello!"))),
    one("trim", 1, "func(string) string", &["Removes white space from both ends."], |_, a| {
        Ok(Value::from(a.text(0)?.trim()))
    }),
    one(
        "trimAll",
        2,
        "func(string, string) string",
        &["Removes the characters of the first text from both ends of the second."],
        trim_all,
    ),
    one("trimall", 2, "func(string, string) string", &["Older name of trimAll."], trim_all),
    one(
        "trimSuffix",
        2,
        "func(string, string) string",
        &["Removes the first text from the end of the second."],
        |_, a| Ok(Value::from(a.text(1)?.strip_suffix(a.text(0)?).unwrap_or(a.text(1)?))),
    ),
    one(
        "trimPrefix",
        2,
        "func(string, string) string",
        &["Removes the first text from the start of the second."],
        |_, a| Ok(Value::from(a.text(1)?.strip_prefix(a.text(0)?).unwrap_or(a.text(1)?))),
    ),
    one("upper", 1, "func(string) string", &["In capitals."], |_, a| {
        Ok(Value::from(a.text(0)?.to_uppercase()))
    }),
    one("lower", 1, "func(string) string", &["In small letters."], |_, a| {
        Ok(Value::from(a.text(0)?.to_lowercase()))
    }),
    one("repeat", 2, "func(int, string) string", &["The text so many times."], repeat),
    one(
        "substr",
        3,
        "func(int, int, string) string",
        &["The bytes of a text from start up to end; a negative end means to the end."],
        substr,
    ),
    one(
        "trunc",
        2,
        "func(int, string) string",
        &["The first so many bytes of a text; with a negative number the last ones."],
        trunc,
    ),
    one(
        "abbrev",
        2,
        "func(int, string) string",
        &["Cuts a text to a width and ends it in three dots."],
        |_, a| Ok(Value::from(abbreviate(a.text(1)?, 0, a.int(0)?))),
    ),
    one(
        "abbrevboth",
        3,
        "func(int, int, string) string",
        &["Cuts a text on both sides: offset, width, text."],
        |_, a| Ok(Value::from(abbreviate(a.text(2)?, a.int(0)?, a.int(1)?))),
    ),
    one(
        "contains",
        2,
        "func(string, string) bool",
        &["Whether the second text contains the first."],
        |_, a| Ok(Value::Bool(a.text(1)?.contains(a.text(0)?))),
    ),
    one(
        "hasPrefix",
        2,
        "func(string, string) bool",
        &["Whether the second text starts with the first."],
        |_, a| Ok(Value::Bool(a.text(1)?.starts_with(a.text(0)?))),
    ),
    one(
        "hasSuffix",
        2,
        "func(string, string) bool",
        &["Whether the second text ends with the first."],
        |_, a| Ok(Value::Bool(a.text(1)?.ends_with(a.text(0)?))),
    ),
    many(
        "quote",
        0,
        "func(...interface {}) string",
        &["The arguments in double quotes with a blank between them."],
        |s, a| quoted(s, a, quote),
    ),
    many(
        "squote",
        0,
        "func(...interface {}) string",
        &["The arguments in single quotes with a blank between them."],
        |s, a| quoted(s, a, |text| format!("'{text}'")),
    ),
    many(
        "cat",
        0,
        "func(...interface {}) string",
        &["The arguments with a blank between them."],
        |s, a| {
            let texts = present(s, a)?;
            Ok(Value::from(texts.join(" ")))
        },
    ),
    one(
        "indent",
        2,
        "func(int, string) string",
        &["Puts so many blanks before each line."],
        |s, a| indent(s, a, ""),
    ),
    one("nindent", 2, "func(int, string) string", &["A newline, then as indent."], |s, a| {
        indent(s, a, "\n")
    }),
    one(
        "replace",
        3,
        "func(string, string, string) string",
        &["Replaces the first text by the second in the third."],
        replace,
    ),
    one(
        "plural",
        3,
        "func(string, string, int) string",
        &["The first text if the number is one, else the second."],
        |_, a| Ok(Value::from(if a.int(2)? == 1 { a.text(0)? } else { a.text(1)? })),
    ),
    one("toString", 1, "func(interface {}) string", &["The argument printed."], |s, a| {
        Ok(Value::from(text_of(s, a.any(0))?))
    }),
    one(
        "toStrings",
        1,
        "func(interface {}) []string",
        &["The elements of a list printed."],
        |s, a| Ok(Value::list(texts_of(s, a.any(0))?.into_iter().map(Value::from))),
    ),
    one(
        "join",
        2,
        "func(string, interface {}) string",
        &["The elements of a list with the first argument between them."],
        join,
    ),
    one(
        "split",
        2,
        "func(string, string) map[string]string",
        &["Splits a text at the first argument into a map with keys _0, _1 and so on."],
        |s, a| split(s, a.text(0)?, a.text(1)?, usize::MAX),
    ),
    one(
        "splitn",
        3,
        "func(string, int, string) map[string]string",
        &["As split, into at most so many parts."],
        |s, a| split(s, a.text(0)?, a.text(2)?, usize::try_from(a.int(1)?).unwrap_or(usize::MAX)),
    ),
    one(
        "splitList",
        2,
        "func(string, string) []string",
        &["Splits a text at the first argument into a list."],
        |s, a| {
            let parts = parts(s, a.text(0)?, a.text(1)?, usize::MAX)?;
            Ok(Value::list(parts.into_iter().map(Value::from)))
        },
    ),
];

fn trim_all(_: &Scope<'_>, args: &Args<'_>) -> Result {
    let set = args.text(0)?;
    Ok(Value::from(args.text(1)?.trim_matches(|c| set.contains(c))))
}

fn repeat(scope: &Scope<'_>, args: &Args<'_>) -> Result {
    let count = args.int(0)?;
    let text = args.text(1)?;
    let count = usize::try_from(count)
        .map_err(|_| args.fail(format!("a text cannot be repeated {count} times")))?;
    scope.room(count.saturating_mul(text.len()))?;
    Ok(Value::from(text.repeat(count)))
}

/// The bytes `from..to`, or an error where Go would cut a character or run past the end.
fn cut(args: &Args<'_>, text: &str, from: i64, to: i64) -> Result {
    let bounds = usize::try_from(from).ok().zip(usize::try_from(to).ok());
    match bounds.and_then(|(from, to)| text.get(from..to)) {
        Some(part) => Ok(Value::from(part)),
        None => Err(args.fail(format!(
            "no bytes {from}..{to} in a text of {} bytes, or the bounds cut a character",
            text.len()
        ))),
    }
}

fn length(text: &str) -> i64 {
    i64::try_from(text.len()).unwrap_or(i64::MAX)
}

fn substr(_: &Scope<'_>, args: &Args<'_>) -> Result {
    let (start, end, text) = (args.int(0)?, args.int(1)?, args.text(2)?);
    if start < 0 {
        cut(args, text, 0, end)
    } else if end < 0 || end > length(text) {
        cut(args, text, start, length(text))
    } else {
        cut(args, text, start, end)
    }
}

fn trunc(_: &Scope<'_>, args: &Args<'_>) -> Result {
    let (count, text) = (args.int(0)?, args.text(1)?);
    if count < 0 {
        let from = length(text).saturating_add(count).max(0);
        return cut(args, text, from, length(text));
    }
    cut(args, text, 0, count.min(length(text)))
}

/// The rules are those of the library behind sprig: three dots on the side that was cut, nothing
/// cut on the left unless more than four bytes go.
fn abbreviate(text: &str, offset: i64, width: i64) -> String {
    let size = length(text);
    if width < 4 || (offset > 0 && width < 7) || size <= width {
        return text.to_owned();
    }
    let keep = width - 3;
    let offset = offset.clamp(0, size).min(size - keep);
    let part = |from: i64, to: i64| {
        let at = |bound: i64| text.floor_char_boundary(usize::try_from(bound).unwrap_or(0));
        &text[at(from)..at(to)]
    };
    if offset <= 4 {
        return format!("{}...", part(0, keep));
    }
    if offset + keep < size {
        return format!("...{}...", part(offset, offset + keep - 3));
    }
    format!("...{}", part(size - keep, size))
}

/// The arguments that are not nil, printed.
fn present(scope: &Scope<'_>, args: &Args<'_>) -> Result<Vec<String>> {
    let values = args.values().iter().filter(|value| !matches!(value, Value::Nil));
    values.map(|value| text_of(scope, value)).collect()
}

fn quoted(scope: &Scope<'_>, args: &Args<'_>, quote: fn(&str) -> String) -> Result {
    let texts = present(scope, args)?;
    let quoted: Vec<String> = texts.iter().map(|text| quote(text)).collect();
    Ok(Value::from(quoted.join(" ")))
}

fn indent(scope: &Scope<'_>, args: &Args<'_>, before: &str) -> Result {
    let (count, text) = (args.count(0)?, args.text(1)?);
    let lines = text.matches('\n').count() + 1;
    scope.room(count.saturating_mul(lines).saturating_add(text.len()))?;
    let pad = " ".repeat(count);
    Ok(Value::from(format!("{before}{pad}{}", text.replace('\n', &format!("\n{pad}")))))
}

fn replace(scope: &Scope<'_>, args: &Args<'_>) -> Result {
    let (old, new, text) = (args.text(0)?, args.text(1)?, args.text(2)?);
    let found = text.matches(old).count();
    scope.room(found.saturating_mul(new.len()).saturating_add(text.len()))?;
    Ok(Value::from(text.replace(old, new)))
}

fn join(scope: &Scope<'_>, args: &Args<'_>) -> Result {
    let separator = args.text(0)?;
    let texts = texts_of(scope, args.any(1))?;
    let size: usize = texts.iter().map(String::len).sum();
    scope.room(size.saturating_add(texts.len().saturating_mul(separator.len())))?;
    Ok(Value::from(texts.join(separator)))
}

fn parts<'t>(
    scope: &Scope<'_>,
    separator: &str,
    text: &'t str,
    max: usize,
) -> Result<Vec<&'t str>> {
    scope.charge(text.len() / 4)?;
    if max == 0 {
        return Ok(Vec::new());
    }
    // Go splits at an empty separator into characters, without empty ends.
    if separator.is_empty() {
        let mut parts: Vec<&str> = text.split("").filter(|part| !part.is_empty()).collect();
        if parts.len() > max {
            let start: usize = parts[..max - 1].iter().map(|part| part.len()).sum();
            parts.truncate(max - 1);
            parts.push(&text[start..]);
        }
        return Ok(parts);
    }
    Ok(text.splitn(max, separator).collect())
}

fn split(scope: &Scope<'_>, separator: &str, text: &str, max: usize) -> Result {
    let parts = parts(scope, separator, text, max)?;
    let entries = parts.into_iter().enumerate();
    Ok(Value::map(entries.map(|(index, part)| (format!("_{index}"), Value::from(part)))))
}

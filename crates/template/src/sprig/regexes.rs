//! Regular expressions. The syntax is Go's in all but corners: both are made for linear time.

use super::Result;
use crate::functions::{Args, Builtin, one};
use crate::scope::Scope;
use crate::value::Value;
use regex::{Regex, RegexBuilder};

/// Bytes that one compiled expression may take.
const MAX_COMPILED_BYTES: usize = 1024 * 1024;

pub(super) const TABLE: &[Builtin] = &[
    one(
        "regexMatch",
        2,
        "func(string, string) bool",
        &["Whether the text contains a match: expression, text."],
        |s, a| Ok(Value::Bool(compile(s, a)?.is_match(a.text(1)?))),
    ),
    one(
        "regexFind",
        2,
        "func(string, string) string",
        &["The first match: expression, text."],
        |s, a| Ok(Value::from(compile(s, a)?.find(a.text(1)?).map_or("", |found| found.as_str()))),
    ),
    one(
        "regexFindAll",
        3,
        "func(string, string, int) []string",
        &["All matches: expression, text, most of them to give, -1 for all."],
        |s, a| {
            let all = compile(s, a)?;
            s.charge(a.text(1)?.len())?;
            let found = all.find_iter(a.text(1)?).take(most(a.int(2)?));
            Ok(Value::list(found.map(|found| Value::from(found.as_str()))))
        },
    ),
    one(
        "regexReplaceAll",
        3,
        "func(string, string, string) string",
        &["Replaces all matches: expression, text, replacement with $1 or ${name} for groups."],
        |s, a| replace(s, a, true),
    ),
    one(
        "regexReplaceAllLiteral",
        3,
        "func(string, string, string) string",
        &["Replaces all matches by the replacement as it stands: expression, text, replacement."],
        |s, a| replace(s, a, false),
    ),
    one(
        "regexSplit",
        3,
        "func(string, string, int) []string",
        &["Splits at matches: expression, text, most parts to give, -1 for all."],
        split,
    ),
    one(
        "regexQuoteMeta",
        1,
        "func(string) string",
        &["An expression that matches the text itself."],
        |_, a| Ok(Value::from(regex::escape(a.text(0)?))),
    ),
];

fn compile(scope: &Scope<'_>, args: &Args<'_>) -> Result<Regex> {
    let expression = args.text(0)?;
    // Compiling costs far more than an ordinary step.
    scope.charge(100 + expression.len())?;
    RegexBuilder::new(expression)
        .size_limit(MAX_COMPILED_BYTES)
        .build()
        .map_err(|error| args.fail(format!("bad regular expression {expression:?}: {error}")))
}

/// Go's count: negative for all.
fn most(count: i64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

fn replace(scope: &Scope<'_>, args: &Args<'_>, expands: bool) -> Result {
    let expression = compile(scope, args)?;
    let (text, replacement) = (args.text(1)?, args.text(2)?);
    scope.charge(text.len())?;
    let mut out = String::with_capacity(text.len());
    let mut end = 0;
    for captures in expression.captures_iter(text) {
        let Some(found) = captures.get(0) else { continue };
        out.push_str(&text[end..found.start()]);
        if expands {
            captures.expand(replacement, &mut out);
        } else {
            out.push_str(replacement);
        }
        scope.room(out.len())?;
        end = found.end();
    }
    out.push_str(&text[end..]);
    Ok(Value::from(out))
}

fn split(scope: &Scope<'_>, args: &Args<'_>) -> Result {
    let expression = compile(scope, args)?;
    let (text, count) = (args.text(1)?, most(args.int(2)?));
    scope.charge(text.len())?;
    if count == 0 {
        return Ok(Value::list([]));
    }
    let mut parts = Vec::new();
    let mut start = 0;
    for found in expression.find_iter(text) {
        if parts.len() + 1 >= count {
            break;
        }
        // Go leaves out an empty match at the very start.
        if found.end() == 0 {
            continue;
        }
        parts.push(Value::from(&text[start..found.start()]));
        start = found.end();
    }
    if !(expression.as_str().is_empty() && start == text.len()) {
        parts.push(Value::from(&text[start..]));
    }
    Ok(Value::list(parts))
}

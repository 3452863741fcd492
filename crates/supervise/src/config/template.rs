//! The templates of ContainerPilot: Go's, over the environment, with seven functions of its own.
//!
//! Sprig's functions are there too, except where these have their names: here the text to work on
//! is the last argument, so that it can be piped. Documents are not fetched: a file is complete by
//! itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use regrow_template::{
    Args, CallError, FetchError, Fetcher, Function, FunctionSet, Headers, Limits, MissingKey,
    Options, Scope, Template, TemplateError, Value,
};

use super::MAX_BYTES;
use super::error::ConfigError;

/// Renders a text with the environment `env`: the template step by itself.
///
/// # Errors
///
/// [`ConfigError::Template`].
pub fn render(text: &str, env: &BTreeMap<String, String>) -> Result<String, ConfigError> {
    render_at("config", text, env).map_err(|error| ConfigError::Template(Box::new(error)))
}

/// The same; errors name the text `name`.
pub(super) fn render_at(
    name: &str,
    text: &str,
    env: &BTreeMap<String, String>,
) -> Result<String, TemplateError> {
    let limits = Limits { max_output_bytes: MAX_BYTES as u64, ..Limits::default() };
    let options = Options {
        multi_pass: false,
        missing_key: MissingKey::Zero,
        limits,
        fetcher: Arc::new(Nowhere),
        ..Options::default()
    };
    let context =
        Value::map(env.iter().map(|(name, value)| (name.as_str(), Value::text(value.as_str()))));
    Template::from_text(text, name, &options)
        .functions("containerpilot", functions(env))
        .render_value(context)
        .map(|rendered| rendered.text)
}

/// Fetches nothing.
struct Nowhere;

impl Fetcher for Nowhere {
    fn fetch(&self, url: &str, _: &Headers, _: u64) -> Result<Vec<u8>, FetchError> {
        Err(FetchError::Scheme(url.to_owned()))
    }
}

fn functions(env: &BTreeMap<String, String>) -> FunctionSet {
    let env = env.clone();
    vec![
        Function::new(
            "default",
            "func(interface {}, interface {}) string",
            "The second argument if it is a text and not empty, else the first.",
            default,
        ),
        Function::new(
            "env",
            "func(string) string",
            "The value of an environment variable.",
            move |_, args| {
                args.check_count(1, 1)?;
                Ok(env.get(args.text(0)?).map_or("", String::as_str).into())
            },
        ),
        Function::new(
            "split",
            "func(string, string) []string",
            "The parts of a text between separators: separator, text.",
            split,
        ),
        Function::new(
            "join",
            "func(string, []string) string",
            "One text of several, with a separator between them: separator, list.",
            join,
        ),
        Function::new(
            "replaceAll",
            "func(string, string, string) string",
            "Replaces all occurrences: what, by what, text.",
            replace_all,
        ),
        Function::new(
            "regexReplaceAll",
            "func(string, string, string) string",
            "Replaces all matches: expression, replacement with $1 or ${name}, text.",
            regex_replace_all,
        ),
        Function::new(
            "loop",
            "func(...interface {}) []int",
            "The whole numbers from 0 to before N, or from A to before B, also downwards.",
            numbers,
        ),
    ]
}

type Called<T = Value> = Result<T, CallError>;

fn default(scope: &Scope<'_>, args: &Args<'_>) -> Called {
    args.check_count(2, 2)?;
    match (args.any(1), args.any(0)) {
        (Value::Str(value), _) if !value.is_empty() => Ok(Value::Str(value.clone())),
        (_, Value::Str(default)) => Ok(Value::Str(default.clone())),
        (_, default) => scope.builtin(&Args::new("print", std::slice::from_ref(default))),
    }
}

fn split(scope: &Scope<'_>, args: &Args<'_>) -> Called {
    args.check_count(2, 2)?;
    let (separator, text) = (args.text(0)?, args.text(1)?.trim());
    scope.charge(text.len())?;
    if text.is_empty() {
        return Ok(Value::list([]));
    }
    if separator.is_empty() {
        return Ok(Value::list(text.chars().map(|c| Value::from(c.to_string()))));
    }
    Ok(Value::list(text.split(separator).map(Value::from)))
}

fn join(scope: &Scope<'_>, args: &Args<'_>) -> Called {
    args.check_count(2, 2)?;
    let separator = args.text(0)?;
    let items = args.list(1)?.items();
    let texts: Option<Vec<&str>> = items.iter().map(Value::as_str).collect();
    let texts = texts.ok_or_else(|| args.wrong_type(1, "[]string"))?;
    scope.charge(texts.len())?;
    let between = separator.len().saturating_mul(texts.len());
    scope.room(texts.iter().map(|text| text.len()).sum::<usize>().saturating_add(between))?;
    Ok(texts.join(separator).into())
}

fn replace_all(scope: &Scope<'_>, args: &Args<'_>) -> Called {
    args.check_count(3, 3)?;
    let (from, to, text) = (args.text(0)?, args.text(1)?, args.text(2)?);
    scope.charge(text.len())?;
    let times = if from.is_empty() { text.len() + 1 } else { text.len() / from.len() };
    scope.room(times.saturating_mul(to.len()).saturating_add(text.len()))?;
    Ok(text.replace(from, to).into())
}

/// Sprig has the same with the text in the middle.
fn regex_replace_all(scope: &Scope<'_>, args: &Args<'_>) -> Called {
    args.check_count(3, 3)?;
    let values = [args.any(0).clone(), args.any(2).clone(), args.any(1).clone()];
    scope.builtin(&Args::new("regexReplaceAll", &values))
}

fn numbers(scope: &Scope<'_>, args: &Args<'_>) -> Called {
    let (from, to) = match args.values() {
        [_] => (0, number(args, 0)?),
        [_, _] => (number(args, 0)?, number(args, 1)?),
        values => {
            let count = values.len();
            return Err(CallError::Fail(format!(
                "loop: wrong number of arguments, expected 1 or 2, but got {count}"
            )));
        }
    };
    let count = usize::try_from(from.abs_diff(to)).unwrap_or(usize::MAX);
    scope.charge(count)?;
    scope.room(count.saturating_mul(size_of::<Value>()))?;
    if from <= to {
        return Ok(Value::list((from..to).map(Value::Int)));
    }
    Ok(Value::list((to + 1..=from).rev().map(Value::Int)))
}

fn number(args: &Args<'_>, index: usize) -> Called<i64> {
    let value = args.any(index);
    let parsed = value.as_str().and_then(|text| text.trim().parse().ok());
    parsed.or_else(|| value.as_int()).ok_or_else(|| args.wrong_type(index, "int"))
}

#[cfg(test)]
mod tests;

//! Variables, metadata and dependency expressions.

use super::Args;
use crate::error::CallError;
use crate::metadata::lookup;
use crate::options::MissingKey;
use crate::scope::Scope;
use crate::value::{Budget, Value, to_json};
use std::time::Duration;

type Result = std::result::Result<Value, CallError>;

fn nothing() -> Value {
    Value::from("")
}

pub(super) fn var(scope: &Scope<'_>, args: &Args<'_>) -> Result {
    let name = args.text(0)?;
    if let [_, .., value] = args.values() {
        scope.set_variable(name, value);
        return Ok(nothing());
    }
    if let Some(value) = scope.variable(name).filter(|value| !matches!(value, Value::Nil)) {
        return Ok(value);
    }
    if let Some(value) = lookup(scope, name)? {
        return Ok(value);
    }
    let options = scope.options();
    if options.multi_pass {
        // Without a default argument and in raw quotes, so that it survives inside JSON text.
        let (left, right) = &options.delimiters;
        return Ok(Value::from(format!("{left} var `{name}` {right}")));
    }
    match options.missing_key {
        MissingKey::Error => Err(CallError::MissingVariable(name.to_owned())),
        missing => Ok(missing.value()),
    }
}

pub(super) fn global(scope: &Scope<'_>, args: &Args<'_>) -> Result {
    scope.set_variable(args.text(0)?, args.values().last().unwrap_or(&Value::Nil));
    Ok(nothing())
}

pub(super) fn def(scope: &Scope<'_>, args: &Args<'_>) -> Result {
    let name = args.text(0)?;
    if scope.variable(name).is_none() {
        scope.set_variable(name, args.values().last().unwrap_or(&Value::Nil));
    }
    Ok(nothing())
}

pub(super) fn reference(scope: &Scope<'_>, args: &Args<'_>) -> Result {
    Ok(scope.variable(args.text(0)?).unwrap_or_default())
}

pub(super) fn metadata(scope: &Scope<'_>, args: &Args<'_>) -> Result {
    args.check_count(1, 4)?;
    let path = args.text(0)?;
    match args.len() {
        1 => Ok(lookup(scope, path)?.unwrap_or_default()),
        2 => set_metadata(scope, path, args),
        _ => wait_for_metadata(scope, path, args),
    }
}

fn set_metadata(scope: &Scope<'_>, path: &str, args: &Args<'_>) -> Result {
    let failed = |message: String| CallError::Metadata { path: path.to_owned(), message };
    let json = to_json(args.any(1), &mut Budget::default()).map_err(|e| scope.too_big(e))?;
    let metadata = scope.session.metadata.ok_or_else(|| failed("no metadata here".into()))?;
    metadata.set(path, &json).map_err(failed)?;
    Ok(nothing())
}

fn wait_for_metadata(scope: &Scope<'_>, path: &str, args: &Args<'_>) -> Result {
    let retry = duration(args, 1)?.max(Duration::from_millis(1));
    let timeout = duration(args, 2)?;
    let fails = args.len() > 3 && args.flag(3)?;
    let mut waited = Duration::ZERO;
    loop {
        scope.charge(1)?;
        if let Some(value) = lookup(scope, path)? {
            return Ok(value);
        }
        let left = timeout.saturating_sub(waited);
        let Some(metadata) = scope.session.metadata.filter(|_| !left.is_zero()) else {
            if fails {
                let message = format!("no value after {waited:?}");
                return Err(CallError::Metadata { path: path.to_owned(), message });
            }
            return Ok(Value::Nil);
        };
        let pause = retry.min(left).min(scope.session.time_left()?);
        metadata.wait(pause);
        waited += pause;
    }
}

fn duration(args: &Args<'_>, index: usize) -> std::result::Result<Duration, CallError> {
    let text = args.text(index)?;
    let parsed = crate::sprig::goduration::parse(text).and_then(|d| Duration::try_from(d).ok());
    parsed
        .ok_or_else(|| args.fail(format!("bad duration {text:?}: write for example 500ms, 1m30s")))
}

/// `@depend('path')@` as JSON text.
pub(super) fn depend(_: &Scope<'_>, args: &Args<'_>) -> Result {
    let path = args.text(0)?;
    let good = |c: char| c.is_ascii_alphanumeric() || "-_:./[]".contains(c);
    if path.is_empty() || !path.chars().all(good) {
        return Err(args
            .fail(format!("bad path {path:?}: only letters, digits and - _ : . / [ ] may occur")));
    }
    Ok(Value::from(format!("\"@depend('{path}')@\"")))
}

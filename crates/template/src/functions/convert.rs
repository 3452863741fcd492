//! Functions that turn one form of data into another.

use super::Args;
use crate::error::CallError;
use crate::gofmt::{print_value, sprintln};
use crate::scope::Scope;
use crate::value::{Layout, Value, deep_equal, encode_json};
use crate::{hcl, ini, yaml};

type Result<T = Value> = std::result::Result<T, CallError>;

/// The printed form of a value.
fn printed(scope: &Scope<'_>, value: &Value) -> Result<String> {
    let mut out = String::new();
    print_value(&mut out, value, &mut scope.budget()).map_err(|error| scope.too_big(error))?;
    Ok(out)
}

pub(super) fn repeat_unit(scope: &Scope<'_>, args: &Args<'_>) -> Result {
    let count = args.int(0)?;
    let count = usize::try_from(count)
        .map_err(|_| args.fail(format!("a list cannot have {count} elements")))?;
    scope.charge(count)?;
    scope.room(count.saturating_mul(size_of::<Value>()))?;
    let unit = Value::unit();
    Ok(Value::list(std::iter::repeat_n(unit, count)))
}

pub(super) fn key(scope: &Scope<'_>, args: &Args<'_>) -> Result {
    let key = printed(scope, args.any(0))?;
    if matches!(args.any(1), Value::Nil) {
        return Ok(Value::Nil);
    }
    Ok(args.map(1)?.get(&key).unwrap_or_default())
}

fn encode(scope: &Scope<'_>, value: &Value, prefix: &str, indent: &str) -> Result {
    let layout = Layout { prefix, indent, escape_html: true };
    let text = encode_json(value, Some(layout), &mut scope.budget());
    text.map(Value::from).map_err(|error| scope.too_big(error))
}

pub(super) fn json_encode(scope: &Scope<'_>, args: &Args<'_>) -> Result {
    encode(scope, args.any(0), "", "  ")
}

pub(super) fn json_encode_indent(scope: &Scope<'_>, args: &Args<'_>) -> Result {
    encode(scope, args.any(2), args.text(0)?, args.text(1)?)
}

pub(super) fn json_decode(scope: &Scope<'_>, args: &Args<'_>) -> Result {
    let text = args.text(0)?;
    scope.charge(text.len() / 16)?;
    let json: serde_json::Value = serde_json::from_str(text)
        .map_err(|error| args.fail(format!("the text is not JSON: {error}")))?;
    Ok(Value::from_json(&json, scope.options().numbers))
}

pub(super) fn yaml_encode(scope: &Scope<'_>, args: &Args<'_>) -> Result {
    let text = yaml::encode(args.any(0), &mut scope.budget());
    text.map(Value::from).map_err(|error| scope.too_big(error))
}

pub(super) fn yaml_decode(scope: &Scope<'_>, args: &Args<'_>) -> Result {
    let text = args.text(0)?;
    scope.charge(text.len() / 16)?;
    let json = yaml::decode(text)
        .map_err(|message| args.fail(format!("the text is not YAML: {message}")))?;
    Ok(Value::from_json(&json, scope.options().numbers))
}

pub(super) fn ini_decode(scope: &Scope<'_>, args: &Args<'_>) -> Result {
    let text = args.text(0)?;
    scope.charge(text.len() / 16)?;
    ini::decode(text).map_err(|message| args.fail(message))
}

pub(super) fn hcl_decode(scope: &Scope<'_>, args: &Args<'_>) -> Result {
    let text = args.text(0)?;
    scope.charge(text.len() / 16)?;
    hcl::decode(text).map_err(|message| args.fail(format!("the text is not HCL: {message}")))
}

pub(super) fn unixtime(_: &Scope<'_>, _: &Args<'_>) -> Result {
    Ok(Value::Int(jiff::Timestamp::now().as_second()))
}

pub(super) fn lines(scope: &Scope<'_>, args: &Args<'_>) -> Result {
    let text = args.text(0)?;
    scope.charge(text.len() / 8)?;
    Ok(Value::list(text.split('\n').map(Value::from)))
}

pub(super) fn index_of(scope: &Scope<'_>, args: &Args<'_>) -> Result {
    let strict = args.len() > 2 && args.flag(2)?;
    let Value::List(list) = args.any(1) else { return Ok(Value::Int(-1)) };
    scope.charge(list.len())?;
    let searched = args.any(0);
    let text = printed(scope, searched)?;
    for (position, item) in list.items().iter().enumerate() {
        let equal =
            deep_equal(searched, item, &mut scope.budget()).map_err(|e| scope.too_big(e))?;
        if equal || (!strict && printed(scope, item)? == text) {
            return Ok(Value::Int(i64::try_from(position).unwrap_or(i64::MAX)));
        }
    }
    Ok(Value::Int(-1))
}

pub(super) fn escape(scope: &Scope<'_>, args: &Args<'_>) -> Result {
    let text = printed(scope, args.any(0))?;
    scope.room(text.len() * 2)?;
    Ok(Value::from(text.replace("{{", "\\{\\{").replace("}}", "\\}\\}")))
}

pub(super) fn unescape(scope: &Scope<'_>, args: &Args<'_>) -> Result {
    let text = printed(scope, args.any(0))?;
    Ok(Value::from(text.replace("\\{\\{", "{{").replace("\\}\\}", "}}")))
}

pub(super) fn echo(scope: &Scope<'_>, args: &Args<'_>) -> Result {
    let line =
        sprintln(args.values(), &mut scope.budget()).map_err(|error| scope.too_big(error))?;
    // Its text leaves the program, so it counts as output.
    scope.session.write(line.len())?;
    (scope.options().echo)(line.trim_end_matches('\n'));
    Ok(Value::from(""))
}

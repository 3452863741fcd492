//! Sprig's text functions, version 2, as tables of data.
//!
//! Argument order is sprig's: the value worked on comes last, so that it can be piped.

mod crypto;
mod dates;
mod dicts;
pub(crate) mod goduration;
pub(crate) mod golayout;
mod lists;
mod math;
mod misc;
mod paths;
mod regexes;
mod semver;
mod strings;
mod words;

pub(crate) use golayout::time_method;

use crate::error::CallError;
use crate::functions::Builtin;
use crate::gofmt::print_value;
use crate::scope::Scope;
use crate::value::Value;

type Result<T = Value> = std::result::Result<T, CallError>;

/// All tables; a later one replaces names of an earlier one.
pub(crate) const TABLES: &[&[Builtin]] = &[
    strings::TABLE,
    words::TABLE,
    lists::TABLE,
    dicts::TABLE,
    math::TABLE,
    dates::TABLE,
    misc::TABLE,
    paths::TABLE,
    crypto::TABLE,
    regexes::TABLE,
    semver::TABLE,
];

/// Sprig's `strval`: text as it is, anything else printed.
fn text_of(scope: &Scope<'_>, value: &Value) -> Result<String> {
    let mut out = String::new();
    print_value(&mut out, value, &mut scope.budget()).map_err(|error| scope.too_big(error))?;
    Ok(out)
}

/// Sprig's `strslice`: the elements of a list printed, nils left out; anything else alone.
fn texts_of(scope: &Scope<'_>, value: &Value) -> Result<Vec<String>> {
    match value {
        Value::Nil => Ok(Vec::new()),
        Value::List(list) => {
            scope.charge(list.len())?;
            let items = list.items().iter().filter(|item| !matches!(item, Value::Nil));
            items.map(|item| text_of(scope, item)).collect()
        }
        other => Ok(vec![text_of(scope, other)?]),
    }
}

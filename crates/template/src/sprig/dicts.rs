//! Dictionaries. `set`, `unset` and the merges change their first argument, as in Go.

use super::{Result, text_of};
use crate::functions::{Args, Builtin, many, one, opt};
use crate::scope::Scope;
use crate::value::{Map, Value, deep_copy, reaches};
use std::sync::Arc;

pub(super) const TABLE: &[Builtin] = &[
    many(
        "dict",
        0,
        "func(...interface {}) map[string]interface {}",
        &["A dictionary of keys and values by turns."],
        dict,
    ),
    one(
        "set",
        3,
        "func(map[string]interface {}, string, interface {}) map[string]interface {}",
        &["Sets a key of a dictionary and gives the dictionary."],
        |s, a| {
            put(s, a, a.map(0)?, &a.key(1)?, a.any(2))?;
            Ok(a.any(0).clone())
        },
    ),
    one(
        "unset",
        2,
        "func(map[string]interface {}, string) map[string]interface {}",
        &["Removes a key from a dictionary and gives the dictionary."],
        |_, a| {
            a.map(0)?.remove(a.text(1)?);
            Ok(a.any(0).clone())
        },
    ),
    one(
        "hasKey",
        2,
        "func(map[string]interface {}, string) bool",
        &["Whether a dictionary has a key."],
        |_, a| Ok(Value::Bool(a.map(0)?.contains(a.text(1)?))),
    ),
    one(
        "get",
        2,
        "func(map[string]interface {}, string) interface {}",
        &["The value at a key, empty text if there is none."],
        |_, a| Ok(a.map(0)?.get(a.text(1)?).unwrap_or_else(|| Value::from(""))),
    ),
    many(
        "pluck",
        1,
        "func(string, ...map[string]interface {}) []interface {}",
        &["The values at a key in all the dictionaries that have it."],
        |_, a| {
            let key = a.text(0)?;
            let mut found = Vec::new();
            for index in 1..a.len() {
                found.extend(a.map(index)?.get(key));
            }
            Ok(Value::list(found))
        },
    ),
    many(
        "keys",
        1,
        "func(...map[string]interface {}) []string",
        &["The keys of the dictionaries, in order."],
        |s, a| {
            let mut keys = Vec::new();
            for index in 0..a.len() {
                s.charge(a.map(index)?.len())?;
                keys.extend(a.map(index)?.entries().into_iter().map(|(key, _)| Value::Str(key)));
            }
            Ok(Value::list(keys))
        },
    ),
    one(
        "values",
        1,
        "func(map[string]interface {}) []interface {}",
        &["The values of a dictionary, in the order of the keys."],
        |s, a| {
            s.charge(a.map(0)?.len())?;
            Ok(Value::list(a.map(0)?.entries().into_iter().map(|(_, value)| value)))
        },
    ),
    many(
        "pick",
        1,
        "func(map[string]interface {}, ...string) map[string]interface {}",
        &["A dictionary with only the given keys."],
        |_, a| {
            let picked = Map::default();
            for index in 1..a.len() {
                if let Some(value) = a.map(0)?.get(a.text(index)?) {
                    picked.insert(a.key(index)?, value);
                }
            }
            Ok(Value::Map(picked))
        },
    ),
    many(
        "omit",
        1,
        "func(map[string]interface {}, ...string) map[string]interface {}",
        &["A dictionary without the given keys."],
        |s, a| {
            s.charge(a.map(0)?.len())?;
            let left: Map = a.map(0)?.entries().into_iter().collect();
            for index in 1..a.len() {
                left.remove(a.text(index)?);
            }
            Ok(Value::Map(left))
        },
    ),
    many(
        "merge",
        1,
        "func(map[string]interface {}, ...map[string]interface {}) interface {}",
        &["Fills keys that the first dictionary lacks from the others, at all levels."],
        |s, a| merge(s, a, false),
    ),
    many(
        "mergeOverwrite",
        1,
        "func(map[string]interface {}, ...map[string]interface {}) interface {}",
        &["Sets keys of the first dictionary from the others, at all levels."],
        |s, a| merge(s, a, true),
    ),
    one(
        "deepCopy",
        1,
        "func(interface {}) interface {}",
        &["A copy that shares nothing with the original."],
        |s, a| deep_copy(a.any(0), &mut s.budget()).map_err(|error| s.too_big(error)),
    ),
    opt(
        "dig",
        (3, usize::MAX),
        "func(...interface {}) interface {}",
        &["The value at a path of keys, or a default: keys, default, dictionary."],
        dig,
    ),
];

fn dict(scope: &Scope<'_>, args: &Args<'_>) -> Result {
    let map = Map::default();
    for pair in args.values().chunks(2) {
        let key = text_of(scope, pair.first().unwrap_or(&Value::Nil))?;
        map.insert(key, pair.get(1).cloned().unwrap_or_else(|| Value::from("")));
    }
    Ok(Value::Map(map))
}

/// Stores a value unless the map would then contain itself.
fn put(scope: &Scope<'_>, args: &Args<'_>, map: &Map, key: &Arc<str>, value: &Value) -> Result<()> {
    let cycle = reaches(value, map, &mut scope.budget()).map_err(|error| scope.too_big(error))?;
    if cycle {
        return Err(args.fail(format!("the dictionary would contain itself at key {key:?}")));
    }
    map.insert(key.clone(), value.clone());
    Ok(())
}

fn merge(scope: &Scope<'_>, args: &Args<'_>, overwrites: bool) -> Result {
    for index in 1..args.len() {
        let source = args.map(index)?;
        if !source.same(args.map(0)?) {
            merge_into(scope, args, args.map(0)?, source, overwrites, 0)?;
        }
    }
    Ok(args.any(0).clone())
}

fn merge_into(
    scope: &Scope<'_>,
    args: &Args<'_>,
    target: &Map,
    source: &Map,
    overwrites: bool,
    depth: usize,
) -> Result<()> {
    if depth > 50 {
        return Err(args.fail("dictionaries nest deeper than 50 levels"));
    }
    scope.charge(source.len())?;
    for (key, value) in source.entries() {
        match (target.get(&key), &value) {
            (Some(Value::Map(into)), Value::Map(from)) if !into.same(from) => {
                merge_into(scope, args, &into, from, overwrites, depth + 1)?;
            }
            (Some(old), new) => {
                // An empty value counts as missing, on both sides.
                let fills = super::misc::is_empty(&old) || overwrites;
                if fills && !super::misc::is_empty(new) {
                    put(scope, args, target, &key, new)?;
                }
            }
            (None, new) => put(scope, args, target, &key, new)?,
        }
    }
    Ok(())
}

fn dig(_: &Scope<'_>, args: &Args<'_>) -> Result {
    let default = args.any(args.len() - 2);
    let mut value = args.any(args.len() - 1).clone();
    for index in 0..args.len() - 2 {
        let key = args.text(index)?;
        let Value::Map(map) = &value else {
            return Err(args.fail(format!("the value before {key:?} is not a dictionary")));
        };
        match map.get(key) {
            Some(found) => value = found,
            None => return Ok(default.clone()),
        }
    }
    Ok(value)
}

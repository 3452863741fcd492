//! Reading and changing a JSON tree by path. Plain functions of their arguments.

use regrow_codec::gojson;
use serde_json::{Map, Value};

use super::path::{Path, Step};
use super::{MAX_DEPTH, TreeError};

/// The value at a path.
pub fn get<'a>(tree: &'a Value, path: &Path) -> Option<&'a Value> {
    path.steps().iter().try_fold(tree, |node, step| match (step, node) {
        (Step::Key(key), Value::Object(fields)) => fields.get(key),
        (_, Value::Array(items)) => items.get(position(items, step)?),
        _ => None,
    })
}

/// Names of the children below a path, sorted: keys of a map, `[0]`, `[1]`, … of a list. Joined to
/// the path with a `/`, each of them is the path of that child; keys that need it are quoted.
pub fn keys(tree: &Value, path: &Path) -> Vec<String> {
    let mut names: Vec<_> = match get(tree, path) {
        Some(Value::Object(fields)) => {
            fields.keys().map(|key| Step::Key(key.clone()).to_string()).collect()
        }
        Some(Value::Array(items)) => (0..items.len()).map(|at| format!("[{at}]")).collect(),
        _ => Vec::new(),
    };
    names.sort_unstable();
    names
}

/// Lays a patch over a tree: maps are merged at every depth, anything else is replaced, and a key
/// whose value in the patch is `null` is removed (RFC 7396).
///
/// The original keeps such a key, with `null` or its old value: it cannot remove keys at all.
pub fn merge(tree: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *tree = patch;
        return;
    };
    let Some(fields) = make_map(tree) else { return };
    for (key, value) in patch {
        if value.is_null() {
            fields.remove(&key);
        } else {
            merge(fields.entry(key).or_insert(Value::Null), value);
        }
    }
}

/// Merges a value into the tree at a path, making the maps on the way; `null` removes what is
/// there.
///
/// A scalar on the way gives way to a map. Items of lists must exist: a list grows only by being
/// replaced as a whole.
///
/// # Errors
/// A key meant for a list, or an item that is not there. The tree is unchanged then.
pub fn set(tree: &mut Value, path: &Path, value: Value) -> Result<(), TreeError> {
    check(tree, path)?;
    if value.is_null() && get(tree, path).is_none() {
        return Ok(()); // removing what is not there must not make the maps on the way to it
    }
    let Some((last, way)) = path.steps().split_last() else {
        merge(tree, value);
        return Ok(());
    };
    let mut node = tree;
    for step in way {
        let Some(next) = down(node, step) else { return Ok(()) };
        node = next;
    }
    match (last, node) {
        (Step::Key(key), Value::Object(fields)) if value.is_null() => {
            fields.remove(key);
        }
        (step, Value::Array(items)) if value.is_null() => {
            if let Some(at) = position(items, step) {
                items.remove(at);
            }
        }
        (step, node) => {
            if let Some(target) = down(node, step) {
                merge(target, value);
            }
        }
    }
    Ok(())
}

/// Levels of maps and lists, 0 for a scalar.
pub fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// Finds out whether a path can be set, before anything is changed.
fn check(tree: &Value, path: &Path) -> Result<(), TreeError> {
    if path.steps().len() > MAX_DEPTH {
        return Err(TreeError::TooDeep);
    }
    let mut node = Some(tree);
    for (at, step) in path.steps().iter().enumerate() {
        let here = || Path::from_steps(path.steps()[..at].iter().cloned()).to_string();
        node = match (step, node) {
            (Step::Key(_), Some(Value::Array(_))) => {
                return Err(TreeError::KeyOfList { path: path.to_string(), list: here() });
            }
            (Step::Key(key), Some(Value::Object(fields))) => fields.get(key),
            (Step::Key(_), _) => None,
            (step, Some(Value::Array(items))) => match position(items, step) {
                Some(found) => items.get(found),
                None => {
                    let (list, items) = (here(), items.len());
                    return Err(TreeError::NoItem { path: path.to_string(), list, items });
                }
            },
            _ => return Err(TreeError::NotAList { path: path.to_string(), at: here() }),
        };
    }
    Ok(())
}

/// The node one step further, made where a key is missing.
fn down<'a>(node: &'a mut Value, step: &Step) -> Option<&'a mut Value> {
    match step {
        Step::Key(key) => Some(make_map(node)?.entry(key.as_str()).or_insert(Value::Null)),
        step => {
            let items = node.as_array_mut()?;
            let at = position(items, step)?;
            items.get_mut(at)
        }
    }
}

/// The node's map, replacing whatever else it was; always there.
fn make_map(node: &mut Value) -> Option<&mut Map<String, Value>> {
    if !node.is_object() {
        *node = Value::Object(Map::new());
    }
    node.as_object_mut()
}

/// Which item of a list a step means. The original takes the first one for an index out of range.
fn position(items: &[Value], step: &Step) -> Option<usize> {
    match step {
        Step::Key(_) => None,
        Step::Index(index) => {
            let at = usize::try_from(index.unsigned_abs()).ok()?;
            let at = if *index < 0 { items.len().checked_sub(at)? } else { at };
            (at < items.len()).then_some(at)
        }
        Step::Select { keys, value } => items.iter().position(|item| {
            let field = keys.iter().try_fold(item, |node, key| node.get(key));
            field.is_some_and(|field| prints_as(field, value))
        }),
    }
}

fn prints_as(value: &Value, text: &str) -> bool {
    match value {
        Value::String(own) => own == text,
        Value::Number(number) => gojson::number_text(number) == text,
        Value::Bool(own) => text == if *own { "true" } else { "false" },
        Value::Null | Value::Array(_) | Value::Object(_) => false,
    }
}

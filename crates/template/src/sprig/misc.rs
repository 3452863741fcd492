//! Defaults, types, JSON, flow, the environment, and random ids.

use super::{Result, text_of};
use crate::error::CallError;
use crate::functions::{Args, Builtin, many, one};
use crate::scope::Scope;
use crate::value::{JsonNumbers, Layout, Value, deep_equal, encode_json};

pub(super) const TABLE: &[Builtin] = &[
    many(
        "default",
        1,
        "func(interface {}, ...interface {}) interface {}",
        &["The second argument, or the first if that is empty."],
        |_, a| Ok(if is_empty(a.any(1)) { a.any(0).clone() } else { a.any(1).clone() }),
    ),
    one(
        "empty",
        1,
        "func(interface {}) bool",
        &["Whether the argument is nil, false, zero or without content."],
        |_, a| Ok(Value::Bool(is_empty(a.any(0)))),
    ),
    many(
        "coalesce",
        0,
        "func(...interface {}) interface {}",
        &["The first argument that is not empty."],
        |_, a| Ok(a.values().iter().find(|value| !is_empty(value)).cloned().unwrap_or_default()),
    ),
    many("all", 0, "func(...interface {}) bool", &["Whether no argument is empty."], |_, a| {
        Ok(Value::Bool(!a.values().iter().any(is_empty)))
    }),
    many(
        "any",
        0,
        "func(...interface {}) bool",
        &["Whether some argument is not empty."],
        |_, a| Ok(Value::Bool(!a.values().iter().all(is_empty))),
    ),
    one(
        "ternary",
        3,
        "func(interface {}, interface {}, bool) interface {}",
        &["The first argument if the third is true, else the second."],
        |_, a| Ok(if a.flag(2)? { a.any(0).clone() } else { a.any(1).clone() }),
    ),
    one(
        "toJson",
        1,
        "func(interface {}) string",
        &["The argument as JSON on one line."],
        |s, a| json(s, a.any(0), None),
    ),
    one(
        "toPrettyJson",
        1,
        "func(interface {}) string",
        &["The argument as JSON, indented by two spaces."],
        |s, a| json(s, a.any(0), Some(Layout { prefix: "", indent: "  ", escape_html: true })),
    ),
    one(
        "toRawJson",
        1,
        "func(interface {}) string",
        &["The argument as JSON on one line, with < > & as they are."],
        |s, a| {
            let json =
                a.any(0).to_json().ok_or_else(|| a.fail("the value is too large or too deep"))?;
            s.charge(1)?;
            Ok(Value::from(json.to_string()))
        },
    ),
    one(
        "fromJson",
        1,
        "func(string) interface {}",
        &["The value that a JSON text stands for; nil if it is none."],
        |s, a| {
            s.charge(a.text(0)?.len() / 16)?;
            let json: Option<serde_json::Value> = serde_json::from_str(a.text(0)?).ok();
            Ok(json.map_or(Value::Nil, |json| Value::from_json(&json, numbers(s))))
        },
    ),
    one("typeOf", 1, "func(interface {}) string", &["The name of the type."], |_, a| {
        Ok(Value::from(a.any(0).type_name()))
    }),
    one(
        "typeIs",
        2,
        "func(string, interface {}) bool",
        &["Whether the type has the name."],
        |_, a| Ok(Value::Bool(a.text(0)? == a.any(1).type_name())),
    ),
    one(
        "typeIsLike",
        2,
        "func(string, interface {}) bool",
        &["Whether the type, or what it points to, has the name."],
        |_, a| Ok(Value::Bool(a.text(0)?.trim_start_matches('*') == a.any(1).type_name())),
    ),
    one(
        "kindOf",
        1,
        "func(interface {}) string",
        &["The kind of the type, for example map."],
        |_, a| Ok(Value::from(a.any(0).kind_name())),
    ),
    one(
        "kindIs",
        2,
        "func(string, interface {}) bool",
        &["Whether the type is of the kind."],
        |_, a| Ok(Value::Bool(a.text(0)? == a.any(1).kind_name())),
    ),
    one(
        "deepEqual",
        2,
        "func(interface {}, interface {}) bool",
        &["Whether two values are equal at all levels."],
        |s, a| {
            let equal = deep_equal(a.any(0), a.any(1), &mut s.budget());
            equal.map(Value::Bool).map_err(|error| s.too_big(error))
        },
    ),
    one(
        "fail",
        1,
        "func(string) (string, error)",
        &["Fails the rendering with a message."],
        |_, a| Err(CallError::Fail(a.text(0)?.to_owned())),
    ),
    one(
        "env",
        1,
        "func(string) string",
        &["An environment variable of the rendering process."],
        |_, a| Ok(Value::from(variable(a.text(0)?))),
    ),
    one(
        "expandenv",
        1,
        "func(string) string",
        &["The text with $name and ${name} replaced by environment variables."],
        expand,
    ),
    one("uuidv4", 0, "func() string", &["A random id."], |_, _| {
        Ok(Value::from(uuid(rand::random())))
    }),
];

fn numbers(scope: &Scope<'_>) -> JsonNumbers {
    scope.options().numbers
}

/// Sprig's notion of emptiness: nil, false, zero, or a length of zero.
pub(super) fn is_empty(value: &Value) -> bool {
    !value.is_true() && !matches!(value, Value::Time(_) | Value::Object(_))
}

fn json(scope: &Scope<'_>, value: &Value, layout: Option<Layout<'_>>) -> Result {
    let text = encode_json(value, layout, &mut scope.budget());
    text.map(Value::from).map_err(|error| scope.too_big(error))
}

fn variable(name: &str) -> String {
    // The standard library panics on these.
    if name.is_empty() || name.contains(['=', '\0']) {
        return String::new();
    }
    std::env::var(name).unwrap_or_default()
}

/// Go's `os.ExpandEnv`.
fn expand(scope: &Scope<'_>, args: &Args<'_>) -> Result {
    let text = text_of(scope, args.any(0))?;
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let (name, after) = match rest.strip_prefix('{').and_then(|body| body.split_once('}')) {
            Some(found) => found,
            None => {
                let word = |c: char| c == '_' || c.is_ascii_alphanumeric();
                rest.split_at(rest.find(|c| !word(c)).unwrap_or(rest.len()))
            }
        };
        let value = variable(name);
        scope.room(out.len().saturating_add(value.len()))?;
        // A lone dollar before something that is no name stays.
        out.push_str(if name.is_empty() { "$" } else { &value });
        rest = after;
    }
    out.push_str(rest);
    Ok(Value::from(out))
}

/// Version and variant put into 16 random bytes, printed in five groups.
fn uuid(mut bytes: [u8; 16]) -> String {
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let hex = data_encoding::HEXLOWER.encode(&bytes);
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

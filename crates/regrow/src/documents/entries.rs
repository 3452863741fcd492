//! The forms in which a document may ask for something.

use anyhow::{Result, anyhow, bail};
use regrow_codec::decode;
use regrow_plugin::spi::{GroupSpec, Spec};
use serde::Deserialize;
use serde_json::Value;

use super::{Document, Place};

/// Something with the place where it is written.
#[derive(Clone, Debug)]
pub struct Located<T> {
    /// Where.
    pub place: Place,
    /// What.
    pub item: T,
}

/// One thing that a document asks for.
#[derive(Clone, Debug)]
pub enum Entry {
    /// `{kind, metadata, properties, …}`.
    Spec(Spec),
    /// `{ID, Properties}`: a group in the older form.
    Group(GroupSpec),
    /// `{Plugin, Properties: {ID, Properties}}`: a group with the plugin that runs it.
    PluginGroup(String, GroupSpec),
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct PluginForm {
    plugin: String,
    properties: GroupSpec,
}

/// The entries of a document: one object, or a list of them.
pub fn entries(document: &Document) -> Result<Vec<Located<Entry>>> {
    let place = &document.place;
    match &document.value {
        Value::Array(items) => items
            .iter()
            .enumerate()
            .map(|(at, item)| entry(place.below(&format!("/{at}")), item))
            .collect(),
        Value::Null => Ok(Vec::new()),
        one => Ok(vec![entry(place.clone(), one)?]),
    }
}

fn entry(place: Place, value: &Value) -> Result<Located<Entry>> {
    let Value::Object(fields) = value else {
        bail!("read spec {place}: expected an object or a list of objects, found {}", found(value));
    };
    // Names match without regard to case, as everywhere.
    let has = |name: &str| fields.keys().any(|key| key.eq_ignore_ascii_case(name));
    let strict = |fault: decode::DecodeError| anyhow!("read spec {}", located(&place, &fault));
    let item = if has("kind") || has("metadata") {
        Entry::Spec(decode::from_value_strict(value).map_err(strict)?)
    } else if has("plugin") {
        let form: PluginForm = decode::from_value_strict(value).map_err(strict)?;
        Entry::PluginGroup(form.plugin, form.properties)
    } else if has("id") || has("properties") {
        Entry::Group(decode::from_value_strict(value).map_err(strict)?)
    } else {
        let keys: Vec<_> = fields.keys().map(String::as_str).collect();
        let keys = if keys.is_empty() { "nothing".to_owned() } else { keys.join(", ") };
        bail!(
            "read spec {place}: expected kind, metadata and properties, or ID and Properties; \
             found {keys}"
        );
    };
    check(&place, &item)?;
    Ok(Located { place, item })
}

fn check(place: &Place, item: &Entry) -> Result<()> {
    let Entry::Spec(spec) = item else { return Ok(()) };
    if spec.kind.is_empty() {
        bail!("read spec {}: it is missing; write for example kind: group", place.below("/kind"));
    }
    if spec.metadata.name.is_empty() {
        bail!(
            "read spec {}: it is missing; every spec needs a name",
            place.below("/metadata/name")
        );
    }
    Ok(())
}

/// A fault below a place: `FILE at /pointer: reason`.
pub fn located(place: &Place, fault: &decode::DecodeError) -> String {
    let text = format!("{}: {}", place.below(&fault.pointer), plain(&fault.reason));
    match fault.position {
        Some((line, column)) => format!("{text} (line {line}, column {column})"),
        None => text,
    }
}

/// Words of the JSON library, and ours for them.
const PLAIN: [(&str, &str); 9] = [
    ("a sequence", "a list"),
    ("a map", "an object"),
    ("a string", "a text"),
    ("a boolean", "true or false"),
    ("u32", "a whole number from 0 on"),
    ("u64", "a whole number from 0 on"),
    ("u16", "a whole number from 0 to 65535"),
    ("usize", "a whole number from 0 on"),
    ("i64", "a whole number"),
];

/// Kinds of values as the JSON library names them, and ours.
const KINDS: [(&str, &str); 8] = [
    ("string ", "the text "),
    ("integer ", "the number "),
    ("floating point ", "the number "),
    ("boolean ", "the value "),
    ("map", "an object"),
    ("sequence", "a list"),
    ("null", "nothing"),
    ("unit value", "nothing"),
];

/// `expected X, found Y` for people who do not know the types of this program.
fn plain(reason: &str) -> String {
    let fault = reason.strip_prefix("invalid type: ").or(reason.strip_prefix("invalid value: "));
    let Some((found, expected)) = fault.and_then(|fault| fault.rsplit_once(", expected ")) else {
        return reason.to_owned();
    };
    let expected = match PLAIN.iter().find(|(word, _)| *word == expected) {
        Some((_, word)) => word,
        None if expected.starts_with("struct ") => "an object",
        None => expected,
    };
    let found = KINDS.iter().find_map(|(word, ours)| {
        found.strip_prefix(word).map(|rest| format!("{ours}{}", rest.replace('`', "")))
    });
    match found {
        Some(found) => format!("expected {expected}, found {found}"),
        None => reason.to_owned(),
    }
}

/// What kind of thing a value is, for messages.
pub fn found(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(flag) => format!("{flag}"),
        Value::Number(number) => format!("the number {number}"),
        Value::String(text) if text.chars().count() <= 40 => format!("the text {text:?}"),
        Value::String(_) => "a text".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn faults_are_said_without_the_words_of_the_library() {
        for (reason, said) in [
            (
                "invalid type: string \"a\", expected struct X",
                "expected an object, found the text \"a\"",
            ),
            (
                "invalid value: integer `-1`, expected u32",
                "expected a whole number from 0 on, found the number -1",
            ),
            ("invalid type: map, expected a sequence", "expected a list, found an object"),
            ("unknown field", "unknown field"),
        ] {
            assert_eq!(plain(reason), said);
        }
    }
}

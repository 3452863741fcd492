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
    let text = format!("{}: {}", place.below(&fault.pointer), fault.reason);
    match fault.position {
        Some((line, column)) => format!("{text} (line {line}, column {column})"),
        None => text,
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

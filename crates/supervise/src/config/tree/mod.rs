//! Values of a file with the places where they stand.

mod json5;
mod raw;
mod yaml;

use std::fmt;
use std::path::Path;

/// How deep lists and objects may nest.
pub(crate) const MAX_DEPTH: usize = 32;

/// Where something stands in a text, both counted from 1; columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Line.
    pub line: usize,
    /// Column.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// A value and its place; none for values that were converted from an older form.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    pub(crate) value: Value,
    pub(crate) place: Option<Place>,
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    /// A whole number. One that does not fit is a float.
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    /// In the order of the file; of equal keys the last one counts.
    Map(Vec<(String, Node)>),
}

impl Value {
    /// Go's name for the type, as the texts of its decoder have it.
    pub(crate) fn go_type(&self) -> &'static str {
        match self {
            Self::Null => "<nil>",
            Self::Bool(_) => "bool",
            Self::Int(_) | Self::Float(_) => "float64",
            Self::Text(_) => "string",
            Self::List(_) => "[]interface {}",
            Self::Map(_) => "map[string]interface {}",
        }
    }
}

impl Node {
    /// The node of a JSON value, without places.
    pub(crate) fn from_json(json: serde_json::Value) -> Self {
        use serde_json::Value as Json;
        let value = match json {
            Json::Null => Value::Null,
            Json::Bool(flag) => Value::Bool(flag),
            Json::Number(number) => match number.as_i64() {
                Some(whole) => Value::Int(whole),
                None => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
            },
            Json::String(text) => Value::Text(text),
            Json::Array(items) => Value::List(items.into_iter().map(Self::from_json).collect()),
            Json::Object(entries) => Value::Map(
                entries.into_iter().map(|(key, item)| (key, Self::from_json(item))).collect(),
            ),
        };
        Self { value, place: None }
    }

    /// The JSON value of a node. `Infinity` and `NaN`, which JSON lacks, become null.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        use serde_json::Value as Json;
        match &self.value {
            Value::Null => Json::Null,
            Value::Bool(flag) => Json::Bool(*flag),
            Value::Int(number) => Json::from(*number),
            Value::Float(number) => Json::from(*number),
            Value::Text(text) => Json::String(text.clone()),
            Value::List(items) => Json::Array(items.iter().map(Self::to_json).collect()),
            Value::Map(entries) => Json::Object(
                entries.iter().map(|(key, item)| (key.clone(), item.to_json())).collect(),
            ),
        }
    }
}

/// Why a text is not a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// Why.
    pub reason: String,
    /// Where, if known.
    pub place: Option<Place>,
    /// The line there and the one before, each with its number.
    lines: Vec<(usize, String)>,
}

impl SyntaxError {
    fn new(text: &str, reason: impl Into<String>, place: Option<Place>) -> Self {
        let line = place.map_or(0, |place| place.line);
        let shown = lines(text).enumerate().map(|(index, text)| (index + 1, text.to_owned()));
        let lines = shown.filter(|(number, _)| *number == line || *number + 1 == line).collect();
        Self { reason: reason.into(), place, lines }
    }
}

impl fmt::Display for SyntaxError {
    /// The place, the reason, the lines, and an arrow of dashes to the column.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(place) = self.place else {
            return write!(f, "could not parse configuration: {}", self.reason);
        };
        write!(f, "parse error at line:col [{place}]: {}", self.reason)?;
        for (number, text) in &self.lines {
            write!(f, "\n{number:>5}: {text}")?;
        }
        // The number, the colon and the space take seven columns.
        write!(f, "\n{}^", "-".repeat(place.column + 6))
    }
}

/// The lines of a text as JSON5 counts them.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive(['\n', '\u{2028}', '\u{2029}'])
        .flat_map(|line| line.trim_end_matches(['\n', '\r', '\u{2028}', '\u{2029}']).split('\r'))
}

/// Reads a text: YAML when the file is called so, else JSON5; and what is not JSON5 but is YAML
/// with an object on top, as YAML after all.
///
/// A text that begins as JSON5 does, with a brace, is never tried as YAML: the fault that is told
/// would be of the wrong language.
pub(crate) fn read(text: &str, path: &Path) -> Result<Node, SyntaxError> {
    let named = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    if named.eq_ignore_ascii_case("yaml") || named.eq_ignore_ascii_case("yml") {
        return yaml::read(text);
    }
    match json5::read(text) {
        Ok(node) => Ok(node),
        Err(error) if begins_as_json5(text) => Err(error),
        Err(error) => match yaml::read(text) {
            Ok(node) if matches!(node.value, Value::Map(_)) => Ok(node),
            _ => Err(error),
        },
    }
}

fn begins_as_json5(text: &str) -> bool {
    let text = text.trim_start_matches(['\u{feff}', ' ', '\t', '\r', '\n']);
    text.is_empty() || text.starts_with(['{', '[', '/'])
}

#[cfg(test)]
mod tests;

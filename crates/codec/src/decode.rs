//! Reading JSON the way Go's decoder does, with the place of a fault.
//!
//! Plugins in the field are Go programs and rely on their decoder's leniency (InfraKit
//! specification §1.4): field names match without regard to case, `null` stands for the zero value
//! of any type, unknown fields are skipped. Any type with `#[serde(default)]` gets these rules here
//! without further attributes; `#[serde(flatten)]` is not supported, because it hides field names.
//!
//! Unknown fields are reported beside the value, so that a caller which reads what a person wrote
//! can refuse them ([`from_slice_strict`]) while the wire ignores them.

mod null;
mod reader;

use std::fmt;

use serde::de::DeserializeOwned;
use serde_json::Value;

use reader::{Reader, Trail};

/// Why a document could not be read, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeError {
    /// JSON pointer to the fault (RFC 6901), empty for the whole document.
    pub pointer: String,
    /// Line and column, both from 1, when the fault was met while reading text.
    pub position: Option<(usize, usize)>,
    /// What was found and what was expected.
    pub reason: String,
}

impl DecodeError {
    /// A fault in the syntax of a JSON text.
    pub fn syntax(fault: &serde_json::Error) -> Self {
        Self { pointer: String::new(), position: position(fault), reason: reason(fault) }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.pointer.is_empty() {
            write!(f, "at {}: ", self.pointer)?;
        }
        f.write_str(&self.reason)?;
        if let Some((line, column)) = self.position {
            write!(f, " (line {line}, column {column})")?;
        }
        Ok(())
    }
}

impl std::error::Error for DecodeError {}

/// A field that the target type does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownField {
    /// JSON pointer to the field.
    pub pointer: String,
    /// The known field with the most similar name, if one is similar at all.
    pub similar: Option<&'static str>,
}

/// Reads a JSON text; unknown fields are skipped.
///
/// # Errors
/// The text is not JSON, is nested deeper than 128 levels, or a field has the wrong type.
pub fn from_slice<T: DeserializeOwned>(json: &[u8]) -> Result<T, DecodeError> {
    read_text(json).map(|(value, _)| value)
}

/// Reads a JSON text and refuses the first unknown field.
///
/// # Errors
/// As [`from_slice`], and for unknown fields.
pub fn from_slice_strict<T: DeserializeOwned>(json: &[u8]) -> Result<T, DecodeError> {
    read_text(json).and_then(refuse_unknown)
}

/// Reads a parsed tree and refuses the first unknown field.
///
/// # Errors
/// A field has the wrong type or is unknown.
pub fn from_value_strict<T: DeserializeOwned>(tree: &Value) -> Result<T, DecodeError> {
    // Raw JSON fields need the text reader: a parsed tree cannot hand out its source bytes.
    let mut decoded = from_slice_strict(tree.to_string().as_bytes());
    if let Err(fault) = &mut decoded {
        fault.position = None; // a position in the re-printed text would mislead
    }
    decoded
}

fn refuse_unknown<T>((value, unknown): (T, Vec<UnknownField>)) -> Result<T, DecodeError> {
    match unknown.into_iter().next() {
        None => Ok(value),
        Some(field) => {
            let hint =
                field.similar.map_or_else(String::new, |name| format!("; did you mean {name:?}?"));
            Err(DecodeError {
                reason: format!("unknown field{hint}"),
                pointer: field.pointer,
                position: None,
            })
        }
    }
}

fn read_text<T: DeserializeOwned>(json: &[u8]) -> Result<(T, Vec<UnknownField>), DecodeError> {
    let trail = Trail::default();
    let mut parser = serde_json::Deserializer::from_slice(json);
    let value = T::deserialize(Reader::new(&mut parser, &trail)).map_err(|fault| DecodeError {
        pointer: trail.pointer(),
        position: position(&fault),
        reason: reason(&fault),
    })?;
    parser.end().map_err(|fault| DecodeError::syntax(&fault))?;
    Ok((value, trail.into_unknown()))
}

fn position(fault: &serde_json::Error) -> Option<(usize, usize)> {
    (fault.line() > 0).then(|| (fault.line(), fault.column()))
}

/// The message without serde_json's own " at line 1 column 2", which we print ourselves.
fn reason(fault: &serde_json::Error) -> String {
    let text = fault.to_string();
    match text.rfind(" at line ") {
        Some(at) if fault.line() > 0 => text[..at].to_owned(),
        _ => text,
    }
}

#[cfg(test)]
mod tests;

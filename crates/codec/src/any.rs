use std::fmt;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::decode::{self, DecodeError};
use crate::gojson;

/// Arbitrary JSON, kept as the bytes it came in. Cheap to clone.
///
/// The default is `null`. Two values are equal when their texts are.
// The box stays in the `Arc`: moved into it, a text would be copied, and of a request of 64 MiB
// there would be one more copy.
#[derive(Clone)]
pub struct Any(Arc<Box<RawValue>>);

impl Any {
    /// Encodes a value; `null` when the value has no JSON form (a map with non-text keys), which
    /// the types of the plugin protocol do not have.
    pub fn from_serialize<T: Serialize + ?Sized>(value: &T) -> Self {
        serde_json::value::to_raw_value(value)
            .map_or_else(|_| Self::default(), |raw| Self(Arc::new(raw)))
    }

    /// Takes a JSON text after checking that it is one.
    ///
    /// # Errors
    /// The text is not one JSON value; the error names the position.
    pub fn from_text(text: impl Into<String>) -> Result<Self, DecodeError> {
        RawValue::from_string(text.into())
            .map(|raw| Self(Arc::new(raw)))
            .map_err(|fault| DecodeError::syntax(&fault))
    }

    /// The JSON text.
    pub fn as_text(&self) -> &str {
        self.0.get()
    }

    /// True for JSON `null`.
    pub fn is_null(&self) -> bool {
        self.as_text() == "null"
    }

    /// The parsed tree; `null` when the nesting exceeds the parser's limit of 128 levels.
    pub fn to_value(&self) -> Value {
        serde_json::from_str(self.as_text()).unwrap_or(Value::Null)
    }

    /// Reads the JSON into a type with Go's rules (see [`decode`]).
    ///
    /// # Errors
    /// A field has the wrong type; the error holds a JSON pointer to it.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, DecodeError> {
        decode::from_slice(self.as_text().as_bytes())
    }

    /// The text as Go prints an indented document: sorted keys, every number as a float64.
    pub fn canonical(&self) -> String {
        gojson::indented(&self.to_value(), "", "")
    }
}

impl Default for Any {
    fn default() -> Self {
        Self(Arc::new(RawValue::NULL.to_owned()))
    }
}

impl From<Value> for Any {
    fn from(value: Value) -> Self {
        Self::from_serialize(&value)
    }
}

impl From<&Value> for Any {
    fn from(value: &Value) -> Self {
        Self::from_serialize(value)
    }
}

impl PartialEq for Any {
    fn eq(&self, other: &Self) -> bool {
        self.as_text() == other.as_text()
    }
}

impl Eq for Any {}

impl fmt::Debug for Any {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_text())
    }
}

impl fmt::Display for Any {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_text())
    }
}

impl Serialize for Any {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Any {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Box::<RawValue>::deserialize(deserializer).map(|raw| Self(Arc::new(raw)))
    }
}

#[cfg(test)]
mod tests {
    use super::Any;

    #[test]
    fn a_text_is_taken_without_a_copy() {
        let text = format!("\"{}\"", "x".repeat(100_000)).into_boxed_str().into_string();
        let address = text.as_ptr();
        let any = Any::from_text(text).expect("JSON");
        assert_eq!(any.as_text().as_ptr(), address);
        assert_eq!(any.clone().as_text().as_ptr(), address);
    }
}

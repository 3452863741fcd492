//! YAML with the place of each value.

use serde::Deserialize;
use serde::de::Deserializer;
use serde_saphyr::{Location, Spanned};

use super::raw::Any;
use super::{MAX_DEPTH, Node, Place, SyntaxError, Value};

/// A value with its place.
struct Placed(Spanned<Any<Placed>>);

impl<'de> Deserialize<'de> for Placed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Spanned::deserialize(deserializer).map(Self)
    }
}

/// Reads the first document of a text; an empty one is an empty object.
pub(super) fn read(text: &str) -> Result<Node, SyntaxError> {
    if text.trim().is_empty() {
        return Ok(Node { value: Value::Map(Vec::new()), place: None });
    }
    let budget = serde_saphyr::budget! { max_depth: MAX_DEPTH, flow_nesting_limit: MAX_DEPTH };
    let options = serde_saphyr::options! { strict_booleans: true, budget: budget };
    serde_saphyr::from_str_with_options::<Placed>(text, options)
        .map(node)
        .map_err(|error| SyntaxError::new(text, reason(&error), error.location().and_then(place)))
}

fn node(placed: Placed) -> Node {
    let Spanned { value, referenced, .. } = placed.0;
    let value = match value {
        Any::Scalar(value) => value,
        Any::List(items) => Value::List(items.into_iter().map(node).collect()),
        Any::Map(entries) => {
            Value::Map(entries.into_iter().map(|(key, item)| (key, node(item))).collect())
        }
    };
    Node { value, place: place(referenced) }
}

fn place(location: Location) -> Option<Place> {
    let line = usize::try_from(location.line()).ok()?;
    let column = usize::try_from(location.column()).ok()?;
    (line > 0).then_some(Place { line, column })
}

/// The first line of the crate's text: the excerpt below it is printed by our own error.
fn reason(error: &serde_saphyr::Error) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

//! `?filter=`: boolean expressions over the fields of an answer.
//!
//! ```text
//! or     = and { "or" and }
//! and    = not { "and" not }
//! not    = "not" not | "(" or ")" | match
//! match  = selector ("==" | "!=" | "contains" | ["not"] "matches") value
//!        | selector "is" ["not"] "empty"
//!        | value ["not"] "in" selector
//! ```
//!
//! A selector is names with dots between; names and values may be in double quotes or backquotes.
//! The words are those of go-bexpr; what an expression means for a field that the answer does not
//! have is an error there and here.

mod parser;

use regex::Regex;
use serde_json::Value;

use super::reply::HttpError;

/// Most characters of an expression.
const LENGTH_MAX: usize = 4096;
/// Largest compiled regular expression in bytes.
const REGEX_BYTES_MAX: usize = 1 << 20;

/// What is asked about a field.
#[derive(Debug)]
enum Test {
    Equal(String),
    /// A list has the value, a text has the part, a map has the key.
    Contains(String),
    Matches(Regex),
    Empty,
}

/// An expression.
#[derive(Debug)]
pub(super) enum Filter {
    Or(Box<Filter>, Box<Filter>),
    And(Box<Filter>, Box<Filter>),
    Not(Box<Filter>),
    Field(Vec<String>, FieldTest),
}

/// A question about a field, and nothing more.
#[derive(Debug)]
pub(super) struct FieldTest(Test);

/// Reads an expression.
///
/// # Errors
/// 400 that says what was expected.
pub(super) fn parse(text: &str) -> Result<Filter, HttpError> {
    if text.len() > LENGTH_MAX {
        let why = format!("it has more than {LENGTH_MAX} characters");
        return Err(HttpError::bad(format!(
            "Failed to create boolean expression evaluator: {why}"
        )));
    }
    parser::parse(text).map_err(|why| {
        HttpError::bad(format!("Failed to create boolean expression evaluator: {why}"))
    })
}

impl Filter {
    /// Whether an item is picked.
    ///
    /// # Errors
    /// 400 where the item can have no such field.
    pub fn picks(&self, item: &Value) -> Result<bool, HttpError> {
        match self {
            Self::Or(left, right) => Ok(left.picks(item)? || right.picks(item)?),
            Self::And(left, right) => Ok(left.picks(item)? && right.picks(item)?),
            Self::Not(inner) => Ok(!inner.picks(item)?),
            Self::Field(path, test) => test.0.holds(path, item),
        }
    }
}

impl Test {
    fn holds(&self, path: &[String], item: &Value) -> Result<bool, HttpError> {
        let mut found = vec![item];
        for (depth, name) in path.iter().enumerate() {
            let mut next = Vec::new();
            for value in found {
                match value {
                    Value::Object(fields) => match fields.get(name) {
                        Some(field) => next.push(field),
                        // Free maps lack most keys; the answer itself has all of its fields.
                        None if depth == 0 => {
                            return Err(HttpError::bad(format!(
                                "Selector {:?} is not valid: unknown field",
                                path.join(".")
                            )));
                        }
                        None => {}
                    },
                    Value::Array(items) => {
                        next.extend(items.iter().filter_map(|item| item.get(name)));
                    }
                    _ => {}
                }
            }
            found = next;
        }
        Ok(match self {
            Self::Empty => found.iter().all(|value| is_empty(value)),
            test => found.iter().any(|value| test.fits(value)),
        })
    }

    fn fits(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Equal(wanted), value) => text(value).is_some_and(|text| text == *wanted),
            (Self::Contains(wanted), Value::Array(items)) => {
                items.iter().any(|item| text(item).is_some_and(|text| text == *wanted))
            }
            (Self::Contains(wanted), Value::Object(fields)) => fields.contains_key(wanted),
            (Self::Contains(wanted), Value::String(text)) => text.contains(wanted.as_str()),
            (Self::Matches(regex), value) => text(value).is_some_and(|text| regex.is_match(&text)),
            _ => false,
        }
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

/// A scalar as a text.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn expressions_pick_what_they_say() {
        let item = json!({
            "Node": {"Meta": {"rack": "r1"}},
            "Service": {"Port": 8000, "Tags": ["a", "b"], "Service": "web", "Address": ""},
            "Checks": [{"Status": "passing"}, {"Status": "critical"}],
        });
        let cases = [
            ("Service.Port == 8000", true),
            ("Service.Port != 8000", false),
            ("\"a\" in Service.Tags", true),
            ("c not in Service.Tags", true),
            ("Service.Tags contains b", true),
            ("Service.Service matches `^w.b$`", true),
            ("Service.Service not matches \"x\"", true),
            ("Service.Address is empty", true),
            ("Service.Tags is not empty", true),
            ("Node.Meta.rack == r1 and not (Service.Port == 1 or Service.Port == 2)", true),
            ("Node.Meta.other == r1", false),
            ("Checks.Status == critical", true),
            ("Service.Port == 1 or Service.Port == 8000 and Service.Port == 2", false),
        ];
        for (expression, picked) in cases {
            let filter = parse(expression).map_err(|error| error.text).expect(expression);
            assert_eq!(filter.picks(&item).map_err(|e| e.text), Ok(picked), "{expression}");
        }
    }

    #[test]
    fn what_is_no_expression_is_refused() {
        for expression in
            ["Service.Port ==", "and", "(A == b", "A ? b", "A matches `(`", "A == \"b"]
        {
            assert_eq!(parse(expression).map_err(|e| e.status.as_u16()).err(), Some(400));
        }
        let deep = "not ".repeat(900) + "A == b";
        assert!(parse(&deep).is_err());
        let filter = parse("Nope == 1").map_err(|error| error.text).expect("a filter");
        assert!(filter.picks(&json!({"Node": 1})).is_err());
    }
}

//! From text to JSON trees, with the place of a fault.

use anyhow::{Result, anyhow};
use serde_json::Value;

use super::Place;

/// One document as a tree.
#[derive(Clone, Debug)]
pub struct Document {
    /// Where it stands.
    pub place: Place,
    /// What it says.
    pub value: Value,
}

/// Takes a text apart: one JSON document, or YAML with any number of them.
pub fn documents(source: &str, text: &str) -> Result<Vec<Document>> {
    let document = |source: String, value| {
        let place = Place { source, pointer: String::new() };
        Document { place, value }
    };
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    if looks_like_json(text) {
        let read = serde_json::from_str(text);
        let value = read.map_err(|fault| anyhow!("read {source} as JSON: {fault}"))?;
        return Ok(vec![document(source.to_owned(), value)]);
    }
    let values = yaml(text).map_err(|fault| anyhow!("read {source} as YAML: {fault}"))?;
    Ok(numbered(source, values, document))
}

fn numbered(
    source: &str,
    values: Vec<Value>,
    document: impl Fn(String, Value) -> Document,
) -> Vec<Document> {
    let many = values.len() > 1;
    let name = |at: usize| {
        if many { format!("{source} (document {})", at + 1) } else { source.to_owned() }
    };
    values.into_iter().enumerate().map(|(at, value)| document(name(at), value)).collect()
}

/// A bracket followed by what only JSON would have there; `{a: 1}` and `[a, b]` are YAML.
fn looks_like_json(text: &str) -> bool {
    let text = text.trim_start();
    let inside = text.strip_prefix(['{', '[']).map(str::trim_start);
    inside.is_some_and(|rest| rest.starts_with(['"', '{', '[', '}', ']']))
}

fn yaml(text: &str) -> Result<Vec<Value>, String> {
    let options = serde_saphyr::options! { strict_booleans: true, with_snippet: false };
    // What follows this is advice to programmers.
    let advice = ", set DuplicateKeyPolicy in Options if acceptable";
    serde_saphyr::from_multiple_with_options(text, options)
        .map_err(|fault| fault.to_string().replace(advice, ""))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::documents;

    #[test]
    fn reads_json_and_yaml() {
        let one = documents("a.json", "{\"a\": [1, 2.5, \"x\"]}").expect("json");
        assert_eq!(one[0].value, json!({"a": [1, 2.5, "x"]}));
        let two = documents("a.yaml", "a: no\n---\nb: 010\n---\n").expect("yaml");
        assert_eq!(two.len(), 2);
        assert_eq!(two[0].value, json!({"a": "no"}));
        assert_eq!(two[1].place.to_string(), "a.yaml (document 2)");
        assert!(documents("a", " \n").expect("empty").is_empty());
    }

    #[test]
    fn faults_have_a_line() {
        for (text, part) in [
            ("{\"a\": }", "as JSON: expected value at line 1 column 7"),
            ("a: [1\nb: 2\n", "line 2"),
            ("a: 1\na: 2\n", "duplicate"),
        ] {
            let fault = documents("x", text).expect_err(text).to_string();
            assert!(fault.contains(part), "{text:?}: {fault}");
        }
    }
}

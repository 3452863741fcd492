//! JSON as a person writes it: what is short stands on one line.

use serde::Serialize;

/// Longest line of what is put on one.
const COLUMNS: usize = 100;

/// The text, with a newline at its end. Plain data has no way to fail.
pub(super) fn print(value: &impl Serialize) -> String {
    joined(&serde_json::to_string_pretty(value).unwrap_or_default())
}

/// Each object and list goes on one line where there is room, except the whole document and lists of
/// objects. Texts have no line breaks of their own: JSON writes them as `\n`.
fn joined(pretty: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut openers = Vec::new();
    for line in pretty.lines() {
        let word = line.trim_start();
        if word.ends_with(['{', '[']) {
            openers.push(lines.len());
        }
        lines.push(line.to_owned());
        if word.starts_with(['}', ']'])
            && let Some(opener) = openers.pop()
            && !openers.is_empty()
            && let Some(joined) = one_line(&lines[opener..])
        {
            lines.truncate(opener);
            lines.push(joined);
        }
    }
    lines.join("\n") + "\n"
}

fn one_line(block: &[String]) -> Option<String> {
    let (opener, rest) = block.split_first()?;
    let (closer, inner) = rest.split_last()?;
    let inner: Vec<&str> = inner.iter().map(|line| line.trim_start()).collect();
    let objects = opener.ends_with('[') && inner.iter().any(|line| line.starts_with('{'));
    let line = format!("{opener}{}{}", inner.join(" "), closer.trim_start());
    // What did not go on one line itself cannot be part of one.
    let whole = inner.iter().all(|line| !line.ends_with(['{', '[']));
    (whole && !objects && line.chars().count() <= COLUMNS).then_some(line)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn what_is_short_stands_on_one_line() {
        let long = "x".repeat(90);
        let value = json!({"a": [1, "{", []], "b": [{"c": {"d": "["}}], "e": ["]", long], "f": {}});
        let text = format!(
            "{{\n  \"a\": [1, \"{{\", []],\n  \"b\": [\n    {{\"c\": {{\"d\": \"[\"}}}}\n  ],\n  \
             \"e\": [\n    \"]\",\n    \"{long}\"\n  ],\n  \"f\": {{}}\n}}\n"
        );
        assert_eq!(print(&value), text);
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_back(
            lists in prop::collection::vec(prop::collection::vec(".{0,9}", 0..9), 0..4),
            pairs in prop::collection::btree_map(".{0,5}", ".{0,40}", 0..6),
        ) {
            let value = json!({"lists": lists, "pairs": [pairs.clone(), {"deep": pairs}]});
            prop_assert_eq!(serde_json::from_str::<Value>(&print(&value)).expect("JSON"), value);
        }
    }
}

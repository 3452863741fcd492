//! Prints JSON with Go's indentation and keeps order of fields and digits of numbers.
//!
//! The original stores documents through `json.MarshalIndent` with two spaces as prefix and as
//! indent; what a spec holds as raw JSON keeps its order and its numbers on that way. A printer of
//! parsed trees would sort the fields and squeeze each number through a float64.

/// White space before every line but the first, and for each level.
const INDENT: &str = "  ";

/// The text that the original's file store writes for a JSON text.
pub(super) fn indented(json: &str) -> String {
    let mut printer = Printer { out: String::with_capacity(json.len() * 2), depth: 0 };
    let mut rest = json.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '"' => printer.text(&mut rest),
            '{' | '[' => {
                while rest.next_if(|c| c.is_ascii_whitespace()).is_some() {}
                match rest.next_if(|c| matches!(c, '}' | ']')) {
                    Some(close) => printer.out.extend([c, close]),
                    None => printer.open(c),
                }
            }
            '}' | ']' => printer.close(c),
            ',' => {
                printer.out.push(',');
                printer.line();
            }
            ':' => printer.out.push_str(": "),
            c if c.is_ascii_whitespace() => {}
            c => printer.out.push(c),
        }
    }
    printer.out
}

/// The same text without white space between its parts, as it goes into messages.
pub(super) fn compact(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let (mut within, mut escaped) = (false, false);
    for c in json.chars() {
        if within || !c.is_ascii_whitespace() {
            out.push(c);
        }
        within = if within { c != '"' || escaped } else { c == '"' };
        escaped = within && c == '\\' && !escaped;
    }
    out
}

struct Printer {
    out: String,
    depth: usize,
}

impl Printer {
    fn open(&mut self, bracket: char) {
        self.out.push(bracket);
        self.depth += 1;
        self.line();
    }

    fn close(&mut self, bracket: char) {
        self.depth = self.depth.saturating_sub(1);
        self.line();
        self.out.push(bracket);
    }

    fn line(&mut self) {
        self.out.push('\n');
        for _ in 0..=self.depth {
            self.out.push_str(INDENT);
        }
    }

    /// The rest of a string, with the escapes that Go adds for the sake of HTML.
    fn text(&mut self, rest: &mut impl Iterator<Item = char>) {
        self.out.push('"');
        let mut escaped = false;
        for c in rest {
            match c {
                '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                    self.out.push_str(&format!("\\u{:04x}", u32::from(c)));
                }
                c => self.out.push(c),
            }
            if c == '"' && !escaped {
                return;
            }
            escaped = c == '\\' && !escaped;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use regrow_codec::gojson;
    use serde_json::{Value, json};

    use super::{compact, indented};

    #[test]
    fn keeps_order_and_digits() {
        assert_eq!(
            indented(r#"{"b":9007199254740993, "a":[],"c":{ },"d":["<\"\\",{"x":null}]}"#),
            "{\n    \"b\": 9007199254740993,\n    \"a\": [],\n    \"c\": {},\n    \"d\": [\n      \
             \"\\u003c\\\"\\\\\",\n      {\n        \"x\": null\n      }\n    ]\n  }"
        );
    }

    fn tree() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            "[ -~\\n\u{e9}\u{2028}\"]{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-z<]{0,4}", inner, 0..4).prop_map(|map| json!(map)),
            ]
        })
    }

    proptest! {
        #[test]
        fn sorted_trees_print_as_the_go_printer_prints_them(tree in tree()) {
            let text = gojson::compact(&tree);
            prop_assert_eq!(indented(&text), gojson::indented(&tree, "  ", "  "));
            prop_assert_eq!(compact(&indented(&text)), text);
        }
    }
}

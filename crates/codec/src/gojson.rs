//! JSON as Go's `encoding/json` prints it.
//!
//! The configuration hash (InfraKit specification §3.7), the change hash of updatable metadata
//! (§2.4) and the stored documents (§5.4) are defined by that printer's output: keys sorted by
//! bytes, `<`, `>`, `&`, U+2028 and U+2029 escaped, all numbers through a float64.

use std::fmt::Write as _;

use serde_json::{Number, Value};

/// Prints like `json.MarshalIndent(value, prefix, indent)`: the first line carries no prefix.
pub fn indented(value: &Value, prefix: &str, indent: &str) -> String {
    let mut printer = Printer { out: String::new(), layout: Some((prefix, indent)), depth: 0 };
    printer.value(value);
    printer.out
}

/// Prints like `json.Marshal(value)`: no white space.
pub fn compact(value: &Value) -> String {
    let mut printer = Printer { out: String::new(), layout: None, depth: 0 };
    printer.value(value);
    printer.out
}

struct Printer<'a> {
    out: String,
    layout: Option<(&'a str, &'a str)>,
    depth: usize,
}

impl Printer<'_> {
    fn value(&mut self, value: &Value) {
        match value {
            Value::Null => self.out.push_str("null"),
            Value::Bool(true) => self.out.push_str("true"),
            Value::Bool(false) => self.out.push_str("false"),
            Value::Number(number) => self.out.push_str(&number_text(number)),
            Value::String(text) => self.text(text),
            Value::Array(items) if items.is_empty() => self.out.push_str("[]"),
            Value::Array(items) => {
                self.open('[');
                for (at, item) in items.iter().enumerate() {
                    self.separate(at);
                    self.value(item);
                }
                self.close(']');
            }
            Value::Object(fields) if fields.is_empty() => self.out.push_str("{}"),
            Value::Object(fields) => {
                // Sorted here and not by the map type: a feature of serde_json that any crate of
                // the build may switch on changes that type to insertion order.
                let mut fields: Vec<_> = fields.iter().collect();
                fields.sort_unstable_by_key(|(name, _)| name.as_bytes());
                self.open('{');
                for (at, (name, item)) in fields.into_iter().enumerate() {
                    self.separate(at);
                    self.text(name);
                    self.out.push_str(if self.layout.is_some() { ": " } else { ":" });
                    self.value(item);
                }
                self.close('}');
            }
        }
    }

    fn open(&mut self, bracket: char) {
        self.out.push(bracket);
        self.depth += 1;
        self.line();
    }

    fn close(&mut self, bracket: char) {
        self.depth -= 1;
        self.line();
        self.out.push(bracket);
    }

    fn separate(&mut self, at: usize) {
        if at > 0 {
            self.out.push(',');
            self.line();
        }
    }

    fn line(&mut self) {
        if let Some((prefix, indent)) = self.layout {
            self.out.push('\n');
            self.out.push_str(prefix);
            for _ in 0..self.depth {
                self.out.push_str(indent);
            }
        }
    }

    fn text(&mut self, text: &str) {
        self.out.push('"');
        for c in text.chars() {
            match c {
                '"' => self.out.push_str("\\\""),
                '\\' => self.out.push_str("\\\\"),
                '\n' => self.out.push_str("\\n"),
                '\r' => self.out.push_str("\\r"),
                '\t' => self.out.push_str("\\t"),
                // Go before 1.22, which is what wrote the states that we take over, prints
                // backspace and form feed in this form too.
                '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => {
                    // Writing to a String cannot fail.
                    let _ = write!(self.out, "\\u{:04x}", c as u32);
                }
                c => self.out.push(c),
            }
        }
        self.out.push('"');
    }
}

/// A number as Go prints a float64: shortest digits that read back, exponent form below 1e-6 and
/// from 1e21 on.
pub fn number_text(number: &Number) -> String {
    let float = number.as_f64().unwrap_or(0.0);
    if float == 0.0 {
        return if float.is_sign_negative() { "-0".into() } else { "0".into() };
    }
    if (1e-6..1e21).contains(&float.abs()) {
        return format!("{float}");
    }
    // Rust prints the shortest digits as well, but `1e21` for Go's `1e+21`.
    let text = format!("{float:e}");
    match text.split_once('e') {
        Some((digits, exponent)) if !exponent.starts_with('-') => format!("{digits}e+{exponent}"),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{compact, indented};

    #[test]
    fn sorts_escapes_and_indents_as_go_does() {
        let value = json!({"b": [1, 2.5, []], "a": {"x<y": "&\u{2028}\u{8}\n\"\\é"}, "c": {}});
        assert_eq!(
            compact(&value),
            r#"{"a":{"x\u003cy":"\u0026\u2028\u0008\n\"\\é"},"b":[1,2.5,[]],"c":{}}"#
        );
        assert_eq!(
            indented(&json!({"b": [1], "a": null}), "  ", "  "),
            "{\n    \"a\": null,\n    \"b\": [\n      1\n    ]\n  }"
        );
        assert_eq!(indented(&json!({"b": [1]}), "", ""), "{\n\"b\": [\n1\n]\n}");
    }

    #[test]
    fn numbers_print_as_go_float64() {
        for (json, text) in [
            ("0", "0"),
            ("-0.0", "-0"),
            ("12345678901", "12345678901"),
            ("1e20", "100000000000000000000"),
            ("1e21", "1e+21"),
            ("0.000001", "0.000001"),
            ("0.0000001", "1e-7"),
            ("1.5e-9", "1.5e-9"),
            ("9007199254740993", "9007199254740992"),
            ("0.1", "0.1"),
            ("-2.50", "-2.5"),
        ] {
            let value: serde_json::Value = serde_json::from_str(json).expect(json);
            assert_eq!(compact(&value), text, "{json}");
        }
    }
}

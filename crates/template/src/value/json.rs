//! JSON in and out, with Go's choices: numbers become floats, `<`, `>` and `&` are escaped.

use super::{Budget, TooBig, Value};
use std::sync::Arc;

/// What numbers of a JSON or YAML document become.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum JsonNumbers {
    /// Every number is a float, as Go's decoder makes it: 5 prints as `5`, but 12345678901 prints
    /// as `1.2345678901e+10`. The default, because existing templates were written against it.
    #[default]
    Float,
    /// Whole numbers stay whole and print with all digits.
    Exact,
}

impl Value {
    /// The value of a JSON document, numbers as `numbers` says.
    pub fn from_json(json: &serde_json::Value, numbers: JsonNumbers) -> Self {
        use serde_json::Value as Json;
        match json {
            Json::Null => Self::Nil,
            Json::Bool(flag) => Self::Bool(*flag),
            Json::Number(number) => match (numbers, number.as_i64()) {
                (JsonNumbers::Exact, Some(whole)) => Self::Int(whole),
                _ => Self::Float(number.as_f64().unwrap_or(f64::NAN)),
            },
            Json::String(text) => Self::text(text.as_str()),
            Json::Array(items) => {
                Self::list(items.iter().map(|item| Self::from_json(item, numbers)))
            }
            Json::Object(entries) => Self::map(
                entries.iter().map(|(key, item)| (key.as_str(), Self::from_json(item, numbers))),
            ),
        }
    }

    /// The value as JSON: whole floats become whole numbers, times become RFC 3339 text, objects
    /// become their fields. `None` if the value is too deep or too large.
    pub fn to_json(&self) -> Option<serde_json::Value> {
        to_json(self, &mut Budget::default()).ok()
    }
}

pub(crate) fn to_json(value: &Value, budget: &mut Budget) -> Result<serde_json::Value, TooBig> {
    use serde_json::Value as Json;
    budget.enter()?;
    let json = match value {
        Value::Nil => Json::Null,
        Value::Bool(flag) => Json::Bool(*flag),
        Value::Int(number) => Json::from(*number),
        Value::Float(number) => match value.as_int() {
            Some(whole) => Json::from(whole),
            None => Json::from(*number),
        },
        Value::Str(text) => {
            budget.take(text.len())?;
            Json::String(text.to_string())
        }
        Value::Time(time) => Json::String(time_text(time)),
        Value::List(list) => {
            Json::Array(list.items().iter().map(|v| to_json(v, budget)).collect::<Result<_, _>>()?)
        }
        Value::Map(map) => {
            let mut object = serde_json::Map::new();
            for (key, value) in map.entries() {
                budget.take(key.len())?;
                object.insert(key.to_string(), to_json(&value, budget)?);
            }
            Json::Object(object)
        }
        Value::Object(object) => {
            let mut json = serde_json::Map::new();
            for (key, value) in &object.fields {
                json.insert(key.clone(), to_json(value, budget)?);
            }
            Json::Object(json)
        }
    };
    budget.leave();
    Ok(json)
}

/// RFC 3339 with as many fraction digits as needed, as Go's `time.Time` marshals.
pub(crate) fn time_text(time: &jiff::Zoned) -> String {
    let text = time.timestamp().display_with_offset(time.offset()).to_string();
    match text.strip_suffix("+00:00") {
        Some(rest) => format!("{rest}Z"),
        None => text,
    }
}

/// How the encoder lays out its text.
#[derive(Clone, Copy)]
pub(crate) struct Layout<'a> {
    pub(crate) prefix: &'a str,
    pub(crate) indent: &'a str,
    pub(crate) escape_html: bool,
}

/// JSON text as Go's `json.Marshal` (no layout) or `json.MarshalIndent` writes it.
pub(crate) fn encode_json(
    value: &Value,
    layout: Option<Layout<'_>>,
    budget: &mut Budget,
) -> Result<String, TooBig> {
    let mut out = String::new();
    let mut encoder = Encoder { out: &mut out, layout, depth: 0, budget };
    encoder.value(value)?;
    Ok(out)
}

struct Encoder<'a> {
    out: &'a mut String,
    layout: Option<Layout<'a>>,
    depth: usize,
    budget: &'a mut Budget,
}

impl Encoder<'_> {
    fn value(&mut self, value: &Value) -> Result<(), TooBig> {
        self.budget.enter()?;
        match value {
            Value::Nil => self.out.push_str("null"),
            Value::Bool(flag) => self.out.push_str(if *flag { "true" } else { "false" }),
            Value::Int(number) => self.out.push_str(&number.to_string()),
            Value::Float(number) => self.out.push_str(&crate::gofmt::json_float(*number)),
            Value::Str(text) => self.string(text)?,
            Value::Time(time) => self.string(&time_text(time))?,
            Value::List(list) => self.sequence(list.items())?,
            Value::Map(map) => self.object(&map.entries())?,
            Value::Object(object) => {
                let entries: Vec<_> = object
                    .fields
                    .iter()
                    .map(|(key, value)| (Arc::from(key.as_str()), value.clone()))
                    .collect();
                self.object(&entries)?;
            }
        }
        self.budget.leave();
        Ok(())
    }

    fn sequence(&mut self, items: &[Value]) -> Result<(), TooBig> {
        self.out.push('[');
        self.depth += 1;
        for (index, item) in items.iter().enumerate() {
            self.separate(index)?;
            self.value(item)?;
        }
        self.depth -= 1;
        self.close(items.is_empty(), ']')
    }

    fn object(&mut self, entries: &[(Arc<str>, Value)]) -> Result<(), TooBig> {
        self.out.push('{');
        self.depth += 1;
        for (index, (key, value)) in entries.iter().enumerate() {
            self.separate(index)?;
            self.string(key)?;
            self.out.push_str(if self.layout.is_some() { ": " } else { ":" });
            self.value(value)?;
        }
        self.depth -= 1;
        self.close(entries.is_empty(), '}')
    }

    fn separate(&mut self, index: usize) -> Result<(), TooBig> {
        if index > 0 {
            self.out.push(',');
        }
        self.newline()
    }

    fn close(&mut self, empty: bool, bracket: char) -> Result<(), TooBig> {
        if !empty {
            self.newline()?;
        }
        self.out.push(bracket);
        Ok(())
    }

    fn newline(&mut self) -> Result<(), TooBig> {
        // Indentation grows with depth, so it is paid for like any other output.
        let Some(layout) = self.layout else { return Ok(()) };
        self.budget.take(layout.prefix.len() + layout.indent.len() * self.depth)?;
        self.out.push('\n');
        self.out.push_str(layout.prefix);
        for _ in 0..self.depth {
            self.out.push_str(layout.indent);
        }
        Ok(())
    }

    fn string(&mut self, text: &str) -> Result<(), TooBig> {
        self.budget.take(text.len())?;
        let escape_html = self.layout.is_none_or(|layout| layout.escape_html);
        self.out.push('"');
        for c in text.chars() {
            match c {
                '"' => self.out.push_str("\\\""),
                '\\' => self.out.push_str("\\\\"),
                '\n' => self.out.push_str("\\n"),
                '\r' => self.out.push_str("\\r"),
                '\t' => self.out.push_str("\\t"),
                '<' | '>' | '&' if escape_html => self.unicode(c),
                '\u{2028}' | '\u{2029}' => self.unicode(c),
                c if (c as u32) < 0x20 => self.unicode(c),
                c => self.out.push(c),
            }
        }
        self.out.push('"');
        Ok(())
    }

    fn unicode(&mut self, c: char) {
        self.out.push_str(&format!("\\u{:04x}", c as u32));
    }
}

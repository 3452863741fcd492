//! YAML in and out. Out follows the library that InfraKit used: keys in order, lists not indented
//! under their key, the least quoting that reads back as the same value.

use crate::value::{Budget, TooBig, Value, json_time};
use std::sync::Arc;

/// The JSON value of a YAML document.
pub(crate) fn decode(text: &str) -> Result<serde_json::Value, String> {
    if text.trim().is_empty() {
        return Ok(serde_json::Value::Null);
    }
    // InfraKit's library read version 1.1: `010` is eight, `yes` is true.
    let options = serde_saphyr::options! { legacy_octal_numbers: true };
    let documents: Vec<serde_json::Value> = serde_saphyr::from_multiple_with_options(text, options)
        .map_err(|error| error.to_string())?;
    // As in Go only the first document of a stream counts.
    Ok(documents.into_iter().next().unwrap_or_default())
}

/// The value as a YAML document, with a newline at its end.
pub(crate) fn encode(value: &Value, budget: &mut Budget) -> Result<String, TooBig> {
    let mut out = String::new();
    node(&mut out, value, 0, Place::Top, budget)?;
    Ok(out)
}

/// Where a node stands: decides what separates it from what is before it.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Top,
    /// After `key:`.
    Key,
    /// After `- `.
    Item,
}

fn node(
    out: &mut String,
    value: &Value,
    indent: usize,
    place: Place,
    budget: &mut Budget,
) -> Result<(), TooBig> {
    budget.enter()?;
    match value {
        Value::Map(map) if !map.is_empty() => mapping(out, &map.entries(), indent, place, budget)?,
        Value::Object(object) if !object.fields.is_empty() => {
            let fields = object.fields.iter();
            let entries: Vec<_> = fields.map(|(k, v)| (k.as_str().into(), v.clone())).collect();
            mapping(out, &entries, indent, place, budget)?;
        }
        Value::List(list) if !list.is_empty() => {
            // A list under a key starts at the column of the key, a list in a list on its line.
            let indent = if place == Place::Key { indent - 2 } else { indent };
            if place == Place::Key {
                out.push('\n');
            }
            for (index, item) in list.items().iter().enumerate() {
                if place != Place::Item || index > 0 {
                    pad(out, indent, budget)?;
                }
                out.push_str("- ");
                node(out, item, indent + 2, Place::Item, budget)?;
            }
        }
        scalar => {
            if place == Place::Key {
                out.push(' ');
            }
            match scalar {
                Value::Map(_) | Value::Object(_) => out.push_str("{}"),
                Value::List(_) => out.push_str("[]"),
                Value::Str(text) => string(out, text, indent, place, budget)?,
                Value::Nil => out.push_str("null"),
                Value::Float(number) => out.push_str(&crate::gofmt::json_float(*number)),
                Value::Time(time) => string(out, &json_time(time), indent, place, budget)?,
                other => out.push_str(&other.to_string()),
            }
            out.push('\n');
        }
    }
    budget.leave();
    Ok(())
}

fn mapping(
    out: &mut String,
    entries: &[(Arc<str>, Value)],
    indent: usize,
    place: Place,
    budget: &mut Budget,
) -> Result<(), TooBig> {
    if place == Place::Key {
        out.push('\n');
    }
    for (index, (key, value)) in entries.iter().enumerate() {
        if place != Place::Item || index > 0 {
            pad(out, indent, budget)?;
        }
        budget.take(key.len())?;
        out.push_str(&key_text(key));
        out.push(':');
        node(out, value, indent + 2, Place::Key, budget)?;
    }
    Ok(())
}

fn pad(out: &mut String, indent: usize, budget: &mut Budget) -> Result<(), TooBig> {
    budget.take(indent)?;
    out.extend(std::iter::repeat_n(' ', indent));
    Ok(())
}

fn key_text(key: &str) -> String {
    match style(key) {
        Style::Plain => key.to_owned(),
        Style::Single => single_quoted(key),
        Style::Double | Style::Block => double_quoted(key),
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Style {
    Plain,
    Single,
    Double,
    Block,
}

fn string(
    out: &mut String,
    text: &str,
    indent: usize,
    place: Place,
    budget: &mut Budget,
) -> Result<(), TooBig> {
    budget.take(text.len())?;
    match style(text) {
        Style::Plain => out.push_str(text),
        Style::Single => out.push_str(&single_quoted(text)),
        Style::Double => out.push_str(&double_quoted(text)),
        Style::Block => {
            let indent = if place == Place::Top { 2 } else { indent };
            block(out, text, indent, budget)?;
        }
    }
    Ok(())
}

/// A literal block `|`, without the newline that ends the node.
fn block(out: &mut String, text: &str, indent: usize, budget: &mut Budget) -> Result<(), TooBig> {
    out.push('|');
    if text.starts_with([' ', '\n']) {
        out.push('2');
    }
    let body = text.strip_suffix('\n');
    match body {
        None => out.push('-'),
        Some(body) if body.ends_with('\n') || body.is_empty() => out.push('+'),
        Some(_) => {}
    }
    for line in body.unwrap_or(text).split('\n') {
        out.push('\n');
        if !line.is_empty() {
            pad(out, indent, budget)?;
            out.push_str(line);
        }
    }
    Ok(())
}

fn style(text: &str) -> Style {
    let special = |c: char| {
        (c.is_control() && c != '\n')
            || matches!(c, '\u{85}' | '\u{feff}' | '\u{2028}' | '\u{2029}')
    };
    if text.chars().any(special) {
        return Style::Double;
    }
    if text.contains('\n') {
        // A blank before a newline cannot stand in a literal block of that library.
        let literal = !text.contains(" \n") && !text.ends_with(' ') && text.trim() != "";
        return if literal { Style::Block } else { Style::Double };
    }
    if reads_as_other_type(text) {
        return Style::Double;
    }
    if plain_is_allowed(text) { Style::Plain } else { Style::Single }
}

/// Whether plain text would be read as something other than text.
fn reads_as_other_type(text: &str) -> bool {
    const WORDS: &[&str] = &[
        "", "~", "null", "Null", "NULL", "true", "True", "TRUE", "false", "False", "FALSE", "yes",
        "Yes", "YES", "no", "No", "NO", "on", "On", "ON", "off", "Off", "OFF", "y", "Y", "n", "N",
        ".nan", ".NaN", ".NAN", ".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF", "-.inf",
        "-.Inf", "-.INF", "<<",
    ];
    if WORDS.contains(&text) {
        return true;
    }
    let digits = text.trim_start_matches(['+', '-']);
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return false;
    }
    let clean = digits.replace('_', "");
    let radix = |prefix: &str, radix| {
        clean.strip_prefix(prefix).is_some_and(|rest| u64::from_str_radix(rest, radix).is_ok())
    };
    clean.parse::<f64>().is_ok()
        || radix("0x", 16)
        || radix("0b", 2)
        || radix("0o", 8)
        || looks_like_date(text)
}

/// `2006-01-02`, alone or with a time.
fn looks_like_date(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() >= 8
        && bytes[..4].iter().all(u8::is_ascii_digit)
        && bytes[4] == b'-'
        && text.chars().all(|c| c.is_ascii_digit() || "-:.TtZz+ ".contains(c))
        && jiff::civil::Date::strptime("%Y-%m-%d", text.get(..10).unwrap_or(text)).is_ok()
}

fn plain_is_allowed(text: &str) -> bool {
    let Some(first) = text.chars().next() else { return false };
    let second_blank = text.chars().nth(1).is_none_or(|c| c == ' ');
    let bad_first = "#,[]{}&*!|>'\"%@`".contains(first)
        || ("-?:".contains(first) && second_blank)
        || text.starts_with("---")
        || text.starts_with("...");
    let bad_inside = text.contains(": ") || text.contains(" #") || text.ends_with(':');
    !(bad_first || bad_inside || text.starts_with(' ') || text.ends_with(' '))
}

fn single_quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn double_quoted(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{85}' => out.push_str("\\N"),
            c if c.is_control() && (c as u32) < 0x100 => {
                out.push_str(&format!("\\x{:02X}", c as u32));
            }
            '\u{feff}' | '\u{2028}' | '\u{2029}' => out.push_str(&format!("\\u{:04X}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

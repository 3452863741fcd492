//! Go's `fmt` package as far as templates can reach it: printed forms of values and `printf`.

mod number;
mod printf;

pub(crate) use number::{float_text, json_float};
pub(crate) use printf::sprintf;

use crate::value::{Budget, TooBig, Value};

/// Appends Go's `%v` form of `value`.
pub(crate) fn print_value(
    out: &mut String,
    value: &Value,
    budget: &mut Budget,
) -> Result<(), TooBig> {
    budget.enter()?;
    match value {
        Value::Nil => out.push_str("<nil>"),
        Value::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Value::Int(number) => out.push_str(&number.to_string()),
        Value::Float(number) => out.push_str(&float_text(*number)),
        Value::Str(text) => {
            budget.take(text.len())?;
            out.push_str(text);
        }
        Value::Time(time) => out.push_str(&time_text(time)),
        Value::Object(object) => {
            budget.take(object.text.len())?;
            out.push_str(&object.text);
        }
        Value::List(list) => {
            out.push('[');
            for (index, item) in list.items().iter().enumerate() {
                if index > 0 {
                    out.push(' ');
                }
                print_value(out, item, budget)?;
            }
            out.push(']');
        }
        Value::Map(map) => {
            out.push_str("map[");
            for (index, (key, item)) in map.entries().iter().enumerate() {
                if index > 0 {
                    out.push(' ');
                }
                budget.take(key.len())?;
                out.push_str(key);
                out.push(':');
                print_value(out, item, budget)?;
            }
            out.push(']');
        }
    }
    budget.leave();
    Ok(())
}

/// Go's `time.Time.String()`, without the reading of the monotonic clock.
fn time_text(time: &jiff::Zoned) -> String {
    crate::sprig::golayout::format(time, "2006-01-02 15:04:05.999999999 -0700 MST")
}

/// Go's `fmt.Sprint`: a space between two operands when neither is text.
pub(crate) fn sprint(values: &[Value], budget: &mut Budget) -> Result<String, TooBig> {
    let mut out = String::new();
    let mut previous_was_text = true;
    for (index, value) in values.iter().enumerate() {
        let is_text = matches!(value, Value::Str(_));
        if index > 0 && !is_text && !previous_was_text {
            out.push(' ');
        }
        print_value(&mut out, value, budget)?;
        previous_was_text = is_text;
    }
    Ok(out)
}

/// Go's `fmt.Sprintln`: spaces between all operands and a newline at the end.
pub(crate) fn sprintln(values: &[Value], budget: &mut Budget) -> Result<String, TooBig> {
    let mut out = String::new();
    for (index, value) in values.iter().enumerate() {
        if index > 0 {
            out.push(' ');
        }
        print_value(&mut out, value, budget)?;
    }
    out.push('\n');
    Ok(out)
}

/// Go's `strconv.Quote`: a double-quoted string literal.
pub(crate) fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{b}' => out.push_str("\\v"),
            c if is_printable(c) => out.push(c),
            c if (c as u32) < 0x80 => out.push_str(&format!("\\x{:02x}", c as u32)),
            c if (c as u32) < 0x1_0000 => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push_str(&format!("\\U{:08x}", c as u32)),
        }
    }
    out.push('"');
    out
}

/// Go's `unicode.IsPrint`, near enough: the tables of format and private characters are ranges.
fn is_printable(c: char) -> bool {
    match c {
        ' '..='~' => true,
        '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' => {
            false
        }
        '\u{e000}'..='\u{f8ff}' | '\u{feff}' | '\u{fff0}'..='\u{fffb}' | '\u{f0000}'.. => false,
        c => !c.is_control() && !c.is_whitespace(),
    }
}

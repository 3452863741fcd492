//! Single values, weakly typed.

use super::super::tree::Value;

/// A text.
pub(super) fn text(value: &Value, path: &str) -> Result<String, String> {
    match value {
        Value::Null => Ok(String::new()),
        Value::Text(text) => Ok(text.clone()),
        Value::Bool(flag) => Ok(if *flag { "1" } else { "0" }.to_owned()),
        Value::Int(_) | Value::Float(_) => Ok(plain(value)),
        Value::List(_) | Value::Map(_) => Err(unconvertible(value, path, "string")),
    }
}

/// A whole number.
pub(super) fn int(value: &Value, path: &str) -> Result<i64, String> {
    match value {
        Value::Null => Ok(0),
        Value::Bool(flag) => Ok(i64::from(*flag)),
        Value::Int(number) => Ok(*number),
        Value::Float(number) => whole(*number).ok_or_else(|| {
            format!("cannot parse '{path}' as int: {} is out of range", plain(value))
        }),
        Value::Text(text) => parse_int(text).map_err(|reason| {
            format!("cannot parse '{path}' as int: strconv.ParseInt: parsing {text:?}: {reason}")
        }),
        Value::List(_) | Value::Map(_) => Err(unconvertible(value, path, "int")),
    }
}

/// A flag.
pub(super) fn flag(value: &Value, path: &str) -> Result<bool, String> {
    match value {
        Value::Null => Ok(false),
        Value::Bool(flag) => Ok(*flag),
        Value::Int(number) => Ok(*number != 0),
        Value::Float(number) => Ok(*number != 0.0),
        Value::Text(text) => match text.as_str() {
            "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
            "" | "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
            text => Err(format!(
                "cannot parse '{path}' as bool: strconv.ParseBool: parsing {text:?}: invalid syntax"
            )),
        },
        Value::List(_) | Value::Map(_) => Err(unconvertible(value, path, "bool")),
    }
}

fn unconvertible(value: &Value, path: &str, wanted: &str) -> String {
    format!("'{path}' expected type '{wanted}', got unconvertible type '{}'", value.go_type())
}

/// A float without its fraction, if that is a number that fits.
pub(in super::super) fn whole(number: f64) -> Option<i64> {
    // The bounds are powers of two, so exact as floats.
    let fits = number >= i64::MIN as f64 && number < i64::MAX as f64;
    fits.then_some(number as i64)
}

/// A number in Go's form with a base: `0x1f` is hexadecimal, `017` octal.
fn parse_int(text: &str) -> Result<i64, &'static str> {
    let (negative, digits) = match text.strip_prefix(['+', '-']) {
        Some(rest) => (text.starts_with('-'), rest),
        None => (false, text),
    };
    let (base, digits) = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(hex) => (16, hex),
        None if digits.len() > 1 && digits.starts_with('0') => (8, &digits[1..]),
        None => (10, digits),
    };
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(base)) {
        return Err("invalid syntax");
    }
    let number = i128::from_str_radix(digits, base).map_err(|_| "value out of range")?;
    i64::try_from(if negative { -number } else { number }).map_err(|_| "value out of range")
}

/// A value as it stands in an argument of a command: numbers with as few digits as they need.
///
/// ContainerPilot writes numbers from 2^21 on, and floats below 0.0001, with an exponent, where they
/// come from a list; here they are written out.
pub(in super::super) fn plain(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Int(number) => number.to_string(),
        Value::Float(number) if number.is_infinite() => {
            if *number > 0.0 { "+Inf" } else { "-Inf" }.to_owned()
        }
        Value::Float(number) => number.to_string(),
        Value::Text(text) => text.clone(),
        Value::List(items) => {
            let items: Vec<String> = items.iter().map(|item| plain(&item.value)).collect();
            format!("[{}]", items.join(" "))
        }
        Value::Map(entries) => {
            let mut entries: Vec<String> =
                entries.iter().map(|(key, item)| format!("{key}:{}", plain(&item.value))).collect();
            entries.sort();
            format!("map[{}]", entries.join(" "))
        }
    }
}

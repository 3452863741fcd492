//! Floats as Go prints them.

/// Exponents from here on are printed in scientific form: 999999 stays, 1000000 is `1e+06`.
const SCIENTIFIC_FROM: i32 = 6;

/// Go's `%v` of a float: the fewest digits that read back the same, scientific for exponents below
/// -4 and from 6 on.
pub(crate) fn float_text(number: f64) -> String {
    shortest(number)
}

/// Digits and decimal exponent of the shortest text that reads back as `number`.
fn digits(number: f64) -> (String, i32) {
    // Rust's `{:e}` prints the shortest digits: `1.2345e10`.
    let text = format!("{:e}", number.abs());
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    (mantissa.replace('.', ""), exponent.parse().unwrap_or(0))
}

fn special(number: f64) -> Option<&'static str> {
    if number.is_nan() {
        Some("NaN")
    } else if number.is_infinite() {
        Some(if number > 0.0 { "+Inf" } else { "-Inf" })
    } else {
        None
    }
}

fn shortest(number: f64) -> String {
    if let Some(text) = special(number) {
        return text.to_owned();
    }
    let (digits, exponent) = digits(number);
    let sign = if number.is_sign_negative() { "-" } else { "" };
    if !(-4..SCIENTIFIC_FROM).contains(&exponent) {
        format!("{sign}{}", scientific(&digits, exponent))
    } else {
        format!("{sign}{}", plain(&digits, exponent))
    }
}

fn scientific(digits: &str, exponent: i32) -> String {
    let (first, rest) = digits.split_at(1);
    let dot = if rest.is_empty() { "" } else { "." };
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{first}{dot}{rest}e{sign}{:02}", exponent.abs())
}

fn plain(digits: &str, exponent: i32) -> String {
    if exponent < 0 {
        let zeros = "0".repeat(usize::try_from(-exponent - 1).unwrap_or(0));
        return format!("0.{zeros}{digits}");
    }
    let whole = usize::try_from(exponent + 1).unwrap_or(1);
    if digits.len() <= whole {
        format!("{digits}{}", "0".repeat(whole - digits.len()))
    } else {
        let (whole, fraction) = digits.split_at(whole);
        format!("{whole}.{fraction}")
    }
}

/// A float as Go's `encoding/json` writes it: plain between 1e-6 and 1e21, else scientific with
/// no leading zero in a negative exponent. Not-a-number and infinities, which Go refuses, are null.
pub(crate) fn json_float(number: f64) -> String {
    if !number.is_finite() {
        return "null".to_owned();
    }
    let size = number.abs();
    let (digits, exponent) = digits(number);
    let sign = if number.is_sign_negative() { "-" } else { "" };
    if size != 0.0 && !(1e-6..1e21).contains(&size) {
        let text = scientific(&digits, exponent);
        return format!("{sign}{}", text.replace("e-0", "e-"));
    }
    format!("{sign}{}", plain(&digits, exponent))
}

/// `%e`, `%f`, `%g` with an optional precision, without sign handling for positive numbers.
pub(super) fn with_verb(number: f64, verb: char, precision: Option<usize>) -> String {
    if let Some(text) = special(number) {
        return text.to_owned();
    }
    match verb {
        'f' | 'F' => format!("{number:.*}", precision.unwrap_or(6)),
        'e' | 'E' => {
            let text = format!("{number:.*e}", precision.unwrap_or(6));
            let text = two_digit_exponent(&text);
            if verb == 'E' { text.to_uppercase() } else { text }
        }
        _ => {
            let text = match precision {
                None => shortest(number),
                Some(precision) => general(number, precision.max(1)),
            };
            if verb == 'G' { text.to_uppercase() } else { text }
        }
    }
}

fn two_digit_exponent(text: &str) -> String {
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

/// `%.Ng`: N significant digits, trailing zeros dropped.
fn general(number: f64, precision: usize) -> String {
    let text = format!("{:.*e}", precision - 1, number.abs());
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let digits = mantissa.replace('.', "");
    let digits = match digits.trim_end_matches('0') {
        "" => "0",
        digits => digits,
    };
    let sign = if number.is_sign_negative() { "-" } else { "" };
    // Go: never scientific while all significant digits fit before the point.
    let mut limit = i32::try_from(precision).unwrap_or(i32::MAX);
    let count = i32::try_from(digits.len()).unwrap_or(i32::MAX);
    if limit > count && count > exponent {
        limit = count;
    }
    if exponent < -4 || exponent >= limit {
        format!("{sign}{}", scientific(digits, exponent))
    } else {
        format!("{sign}{}", plain(digits, exponent))
    }
}

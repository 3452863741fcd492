//! Literals: numbers in all of Go's notations, and escapes in strings.

use super::ast::Kind;

/// The number that a Go literal stands for: whole if it can be written so, else a float.
pub(super) fn parse_number(text: &str) -> Option<Kind> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if digits.starts_with('_') || digits.ends_with('_') || digits.contains("__") {
        return None;
    }
    let clean = digits.replace('_', "").to_ascii_lowercase();
    let (radix, body) = if let Some(body) = clean.strip_prefix("0x") {
        (16, body)
    } else if let Some(body) = clean.strip_prefix("0b") {
        (2, body)
    } else if let Some(body) = clean.strip_prefix("0o") {
        (8, body)
    } else if clean.len() > 1 && clean.starts_with('0') && clean.bytes().all(|b| b.is_ascii_digit())
    {
        (8, clean.as_str())
    } else {
        (10, clean.as_str())
    };
    if body.starts_with(['+', '-']) {
        return None;
    }
    if let Ok(size) = u64::from_str_radix(body, radix) {
        let number =
            if negative { 0i64.checked_sub_unsigned(size) } else { i64::try_from(size).ok() };
        return number.map(Kind::Int);
    }
    let float = match radix {
        10 if body.starts_with(|c: char| c.is_ascii_digit() || c == '.') => decimal(body)?,
        16 => hex_float(body)?,
        _ => return None,
    };
    let float = if negative { -float } else { float };
    // 1e3 is a float here as in Go; it still serves as the integer 1000 where one is wanted.
    Some(Kind::Float(float))
}

fn decimal(body: &str) -> Option<f64> {
    body.parse().ok().filter(|number: &f64| number.is_finite())
}

/// `1.8p3` after the `0x`.
fn hex_float(body: &str) -> Option<f64> {
    let (mantissa, exponent) = body.split_once('p')?;
    let exponent: i32 = exponent.parse().ok()?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mut number = 0.0f64;
    for digit in whole.chars().chain(fraction.chars()) {
        number = number * 16.0 + f64::from(digit.to_digit(16)?);
    }
    let shift = i32::try_from(fraction.len()).ok()?.checked_mul(4)?;
    let number = number * 2f64.powi(exponent.checked_sub(shift)?);
    number.is_finite().then_some(number)
}

/// The character after a backslash that was just taken from `chars`.
pub(super) fn escape(chars: &mut std::str::CharIndices<'_>, quote: char) -> Option<char> {
    let (_, c) = chars.next()?;
    Some(match c {
        'a' => '\u{7}',
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\u{b}',
        '\\' => '\\',
        c if c == quote => c,
        'x' => return code(chars, 2, 16, 0),
        'u' => return code(chars, 4, 16, 0),
        'U' => return code(chars, 8, 16, 0),
        '0'..='7' => return code(chars, 2, 8, c.to_digit(8)?),
        _ => return None,
    })
}

fn code(
    chars: &mut std::str::CharIndices<'_>,
    digits: u32,
    radix: u32,
    first: u32,
) -> Option<char> {
    let mut code = first;
    for _ in 0..digits {
        code = code.checked_mul(radix)?.checked_add(chars.next()?.1.to_digit(radix)?)?;
    }
    char::from_u32(code)
}

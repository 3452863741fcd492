//! Texts between quotes as Go writes them: `strconv.Quote` and `encoding/json`.

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Which bytes a form shows as they are.
type Plain = [bool; 256];

/// What logrus shows without quotes.
const BARE: Plain = {
    let mut plain = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        plain[byte] = (byte as u8).is_ascii_alphanumeric()
            || matches!(byte as u8, b'-' | b'.' | b'_' | b'/' | b'@' | b'^' | b'+');
        byte += 1;
    }
    plain
};

/// What stands between Go's quotes as it is; the rest is looked at as characters.
const QUOTED: Plain = {
    let mut plain = [false; 256];
    let mut byte = 0x20;
    while byte < 0x7f {
        plain[byte] = !matches!(byte as u8, b'"' | b'\\');
        byte += 1;
    }
    plain
};

/// What stands in JSON as it is. U+2028 and U+2029, which end a line in JavaScript, begin with E2.
const JSON: Plain = {
    let mut plain = [false; 256];
    let mut byte = 0x20;
    while byte < 256 {
        plain[byte] = !matches!(byte as u8, b'"' | b'\\' | b'<' | b'>' | b'&' | 0xe2);
        byte += 1;
    }
    plain
};

/// The text form of logrus shows these values without quotes.
pub fn needs_no_quotes(value: &[u8]) -> bool {
    value.iter().all(|byte| BARE[usize::from(*byte)])
}

/// Appends `text` in double quotes with Go's escapes: what is not printable as `\x…`, `\u…` or
/// `\U…`, bytes that are not UTF-8 as `\x…`.
pub fn go_quoted(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    let invalid = |out: &mut Vec<u8>, byte| hex(out, "\\x", u32::from(byte), 2);
    escaped(out, text, &QUOTED, go_char, invalid);
    out.push(b'"');
}

/// Appends `text` as the inside of a JSON text, with Go's choice of escapes; each byte that is not
/// UTF-8 becomes `\ufffd`.
pub fn json_escaped(out: &mut Vec<u8>, text: &[u8]) {
    let invalid = |out: &mut Vec<u8>, _| out.extend_from_slice(b"\\ufffd");
    escaped(out, text, &JSON, json_char, invalid);
}

/// Appends `text`, runs of plain bytes as they are.
fn escaped(
    out: &mut Vec<u8>,
    text: &[u8],
    plain: &Plain,
    character: fn(&mut Vec<u8>, char),
    invalid: fn(&mut Vec<u8>, u8),
) {
    if let Ok(valid) = std::str::from_utf8(text) {
        return escaped_valid(out, valid, plain, character);
    }
    for chunk in text.utf8_chunks() {
        escaped_valid(out, chunk.valid(), plain, character);
        chunk.invalid().iter().for_each(|byte| invalid(out, *byte));
    }
}

fn escaped_valid(
    out: &mut Vec<u8>,
    mut text: &str,
    plain: &Plain,
    character: fn(&mut Vec<u8>, char),
) {
    // No byte within a character is where `position` stops: either all bytes from 80 on are plain,
    // or none, or those that begin one are not.
    while let Some(at) = text.bytes().position(|byte| !plain[usize::from(byte)]) {
        let (before, rest) = text.split_at(at);
        out.extend_from_slice(before.as_bytes());
        let mut rest = rest.chars();
        if let Some(c) = rest.next() {
            character(out, c);
        }
        text = rest.as_str();
    }
    out.extend_from_slice(text.as_bytes());
}

fn go_char(out: &mut Vec<u8>, c: char) {
    let short = match c {
        '"' | '\\' => c,
        '\x07' => 'a',
        '\x08' => 'b',
        '\x0c' => 'f',
        '\n' => 'n',
        '\r' => 'r',
        '\t' => 't',
        '\x0b' => 'v',
        _ => return go_code(out, c),
    };
    push(out, '\\');
    push(out, short);
}

fn go_code(out: &mut Vec<u8>, c: char) {
    match u32::from(c) {
        code @ (0..0x20 | 0x7f) => hex(out, "\\x", code, 2),
        _ if is_printable(c) => push(out, c),
        code @ ..=0xffff => hex(out, "\\u", code, 4),
        code => hex(out, "\\U", code, 8),
    }
}

/// Letters, marks, numbers, punctuation and symbols: what the standard library shows as it is within
/// a text (at its beginning it would escape marks too).
fn is_printable(c: char) -> bool {
    let mut bytes = [b'a'; 5];
    let length = c.encode_utf8(&mut bytes[1..]).len();
    let text = std::str::from_utf8(&bytes[..=length]).unwrap_or_default();
    text.escape_debug().count() == 2
}

fn json_char(out: &mut Vec<u8>, c: char) {
    let short = match c {
        '"' | '\\' => c,
        '\n' => 'n',
        '\r' => 'r',
        '\t' => 't',
        '\0'..=' ' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
            return hex(out, "\\u", u32::from(c), 4);
        }
        _ => return push(out, c),
    };
    push(out, '\\');
    push(out, short);
}

fn push(out: &mut Vec<u8>, c: char) {
    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

fn hex(out: &mut Vec<u8>, prefix: &str, value: u32, digits: u32) {
    out.extend_from_slice(prefix.as_bytes());
    for digit in (0..digits).rev() {
        out.push(HEX[(value >> (digit * 4) & 0xf) as usize]);
    }
}

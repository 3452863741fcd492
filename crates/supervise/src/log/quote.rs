//! Texts between quotes as Go writes them: `strconv.Quote` and `encoding/json`.

const HEX: &[u8; 16] = b"0123456789abcdef";

/// The text form of logrus shows these values without quotes.
pub fn needs_no_quotes(value: &[u8]) -> bool {
    value.iter().all(|b| b.is_ascii_alphanumeric() || b"-._/@^+".contains(b))
}

/// Appends `text` in double quotes with Go's escapes: what is not printable as `\x…`, `\u…` or
/// `\U…`, bytes that are not UTF-8 as `\x…`.
pub fn go_quoted(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    for chunk in text.utf8_chunks() {
        for c in chunk.valid().chars() {
            go_char(out, c);
        }
        for byte in chunk.invalid() {
            hex(out, "\\x", u32::from(*byte), 2);
        }
    }
    out.push(b'"');
}

fn go_char(out: &mut Vec<u8>, c: char) {
    let short = match c {
        '"' | '\\' => Some(c),
        '\x07' => Some('a'),
        '\x08' => Some('b'),
        '\x0c' => Some('f'),
        '\n' => Some('n'),
        '\r' => Some('r'),
        '\t' => Some('t'),
        '\x0b' => Some('v'),
        _ => None,
    };
    match (short, u32::from(c)) {
        (Some(letter), _) => push_chars(out, &['\\', letter]),
        (None, 0x20..=0x7e) => push_chars(out, &[c]),
        (None, code @ (0..0x20 | 0x7f)) => hex(out, "\\x", code, 2),
        (None, _) if is_printable(c) => push_chars(out, &[c]),
        (None, code @ ..=0xffff) => hex(out, "\\u", code, 4),
        (None, code) => hex(out, "\\U", code, 8),
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

/// Appends `text` as the inside of a JSON text, with Go's choice of escapes; bytes that are not UTF-8
/// become `\ufffd`.
pub fn json_escaped(out: &mut Vec<u8>, text: &[u8]) {
    for chunk in text.utf8_chunks() {
        json_valid(out, chunk.valid());
        // Go replaces each byte, not each sequence.
        for _ in chunk.invalid() {
            out.extend_from_slice(b"\\ufffd");
        }
    }
}

fn json_valid(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    let mut copied = 0;
    for (at, byte) in bytes.iter().enumerate() {
        // U+2028 and U+2029 (E2 80 A8, E2 80 A9) end a line in JavaScript.
        let separates =
            *byte == 0xe2 && matches!(bytes.get(at + 1..at + 3), Some([0x80, 0xa8 | 0xa9]));
        if *byte >= 0x20 && !b"\"\\<>&".contains(byte) && !separates {
            continue;
        }
        out.extend_from_slice(&bytes[copied..at]);
        copied = if separates { at + 3 } else { at + 1 };
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            _ if separates => hex(out, "\\u", 0x2000 | u32::from(bytes[at + 2] & 0x3f), 4),
            _ => hex(out, "\\u", u32::from(*byte), 4),
        }
    }
    out.extend_from_slice(&bytes[copied..]);
}

fn push_chars(out: &mut Vec<u8>, chars: &[char]) {
    for c in chars {
        out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    }
}

fn hex(out: &mut Vec<u8>, prefix: &str, value: u32, digits: u32) {
    out.extend_from_slice(prefix.as_bytes());
    for digit in (0..digits).rev() {
        out.push(HEX[(value >> (digit * 4) & 0xf) as usize]);
    }
}

//! A line-preserving look at Rust source without a parser: comments and literals are blanked, so
//! that what is left can be searched for words and braces. Approximate on purpose; macros that
//! build functions are not seen.

use std::ops::Range;

/// A function with a body.
#[derive(Debug, PartialEq, Eq)]
pub struct Function {
    pub name: String,
    /// 1-based line of the word `fn`.
    pub line: usize,
    /// From the word `fn` to the closing brace.
    pub lines: usize,
}

/// The same text with the same line breaks, in which comments and the insides of literals are
/// spaces.
pub fn mask(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = blank_end(bytes, at);
        match end {
            Some((inside, next)) => {
                blank(&mut out, inside);
                at = next;
            }
            None => at += 1,
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn blank(out: &mut [u8], range: Range<usize>) {
    for byte in out.get_mut(range).unwrap_or_default() {
        if *byte != b'\n' {
            *byte = b' ';
        }
    }
}

/// Where a comment or literal starts at `at`: what of it is to be blanked, and where code goes on.
fn blank_end(bytes: &[u8], at: usize) -> Option<(Range<usize>, usize)> {
    let rest = bytes.get(at..)?;
    let first = *rest.first()?;
    if rest.starts_with(b"//") {
        let length = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
        return Some((at..at + length, at + length));
    }
    if rest.starts_with(b"/*") {
        let end = at + block_comment(rest);
        return Some((at..end, end));
    }
    let after_word = at.checked_sub(1).and_then(|at| bytes.get(at)).is_some_and(|b| is_word(*b));
    if first == b'r' && (!after_word || matches!(bytes.get(at.wrapping_sub(1)), Some(b'b' | b'c')))
    {
        return raw_string(rest).map(|(start, end, next)| (at + start..at + end, at + next));
    }
    if first == b'"' {
        let end = at + closing(rest, b'"');
        return Some((at + 1..end, end + 1));
    }
    if first == b'\'' {
        return char_literal(rest).map(|end| (at + 1..at + end, at + end + 1));
    }
    None
}

fn block_comment(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < rest.len() {
        match rest.get(at..at + 2) {
            Some(b"/*") => (depth, at) = (depth + 1, at + 2),
            Some(b"*/") => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

/// Inside and end of `r"…"` or `r#"…"#`, as offsets from the `r`.
fn raw_string(rest: &[u8]) -> Option<(usize, usize, usize)> {
    let hashes = rest.iter().skip(1).take_while(|byte| **byte == b'#').count();
    let start = hashes + 2;
    if rest.get(start - 1) != Some(&b'"') {
        return None;
    }
    let mut close = vec![b'"'];
    close.resize(hashes + 1, b'#');
    let inside = rest.get(start..)?;
    let length = inside.windows(close.len()).position(|window| window == close);
    let end = start + length.unwrap_or(inside.len());
    Some((start, end, end + close.len()))
}

/// Offset of the quote that closes a literal which starts at 0; backslashes protect.
fn closing(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while let Some(byte) = rest.get(at) {
        if *byte == quote {
            return at;
        }
        at += if *byte == b'\\' { 2 } else { 1 };
    }
    rest.len()
}

/// Offset of the closing quote of a character literal; a lifetime is none.
fn char_literal(rest: &[u8]) -> Option<usize> {
    if rest.get(1) == Some(&b'\\') {
        return Some(closing(rest, b'\''));
    }
    let text = std::str::from_utf8(rest.get(1..rest.len().min(6))?);
    let width = match text {
        Ok(text) => text.chars().next()?.len_utf8(),
        Err(error) if error.valid_up_to() > 0 => 1,
        Err(_) => return None,
    };
    // A character of several bytes may be cut by the window above: then its first byte tells the
    // width.
    let width = match rest.get(1)? {
        0xF0.. => 4,
        0xE0.. => 3,
        0xC0.. => 2,
        _ => width,
    };
    (rest.get(1 + width) == Some(&b'\'')).then_some(1 + width)
}

pub fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// 1-based line of a byte offset.
pub fn line_at(text: &str, offset: usize) -> usize {
    let head = text.as_bytes().get(..offset).unwrap_or(text.as_bytes());
    1 + head.iter().filter(|byte| **byte == b'\n').count()
}

/// Offsets at which `word` stands alone.
pub fn words<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let bytes = text.as_bytes();
    text.match_indices(word).map(|(at, _)| at).filter(move |at| {
        let before = at.checked_sub(1).and_then(|at| bytes.get(at));
        let after = bytes.get(at + word.len());
        !before.is_some_and(|byte| is_word(*byte)) && !after.is_some_and(|byte| is_word(*byte))
    })
}

/// Every function with a body in masked text.
pub fn functions(masked: &str) -> Vec<Function> {
    words(masked, "fn").filter_map(|at| function_at(masked, at)).collect()
}

fn function_at(masked: &str, at: usize) -> Option<Function> {
    let rest = masked.get(at + 2..)?.trim_start();
    let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    if name.is_empty() {
        return None;
    }
    let body = item_body(masked, at)?;
    let line = line_at(masked, at);
    Some(Function { name, line, lines: line_at(masked, body.end) - line + 1 })
}

/// The braces of the item that starts at `at`; none when it ends with a semicolon.
pub fn item_body(masked: &str, at: usize) -> Option<Range<usize>> {
    let bytes = masked.as_bytes();
    let mut nested = 0_usize;
    for (index, byte) in bytes.iter().enumerate().skip(at) {
        match byte {
            b'(' | b'[' => nested += 1,
            b')' | b']' => nested = nested.saturating_sub(1),
            b';' if nested == 0 => return None,
            b'{' if nested == 0 => return Some(index..matching_brace(bytes, index)),
            _ => {}
        }
    }
    None
}

fn matching_brace(bytes: &[u8], open: usize) -> usize {
    let mut depth = 0_usize;
    for (index, byte) in bytes.iter().enumerate().skip(open) {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return index;
        }
    }
    bytes.len().saturating_sub(1)
}

/// What is compiled only for tests: line ranges (1-based, inclusive) and the names of modules in
/// other files.
#[derive(Default)]
pub struct TestParts {
    pub lines: Vec<std::ops::RangeInclusive<usize>>,
    pub modules: Vec<String>,
}

pub fn test_parts(masked: &str) -> TestParts {
    let mut parts = TestParts::default();
    for gate in ["#[cfg(test)]", "#[cfg(all(test", "#[cfg(any(test"] {
        for (at, _) in masked.match_indices(gate) {
            let close = masked.get(at..).and_then(|rest| rest.find(']')).unwrap_or(0);
            let item = at + close + 1;
            let rest = masked.get(item..).unwrap_or_default();
            let end = match item_body(masked, item) {
                Some(body) => body.end,
                None => {
                    parts.modules.extend(module_name(rest));
                    item + rest.find(';').unwrap_or(0)
                }
            };
            parts.lines.push(line_at(masked, at)..=line_at(masked, end));
        }
    }
    parts
}

fn module_name(item: &str) -> Option<String> {
    let head = item.split(';').next()?;
    let at = words(head, "mod").last()?;
    Some(head.get(at + 3..)?.trim().to_owned())
}

//! Where records begin and end in the bytes of a stream.

/// A line longer than this is split into records of about this size. Twenty times the longest line
/// that ContainerPilot could take, and little beside the memory of a supervisor.
pub const LINE_BYTES: usize = 1 << 20;

/// What stands at the end of each part of a split line but the last one.
pub const CONTINUED: &[u8] = b" [line continues]";

/// A record and what it takes from the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece<'a> {
    /// The text, without the end of the line.
    pub text: &'a [u8],
    /// The line goes on behind it.
    pub continues: bool,
    /// How many bytes of the stream it takes, end of line included.
    pub taken: usize,
}

/// The first record of `bytes`, the not yet written part of a stream; `None`: more must come first.
/// With `ended` nothing more comes.
///
/// A carriage return before the end of the line is dropped. A line of more than [`LINE_BYTES`] is
/// split, not within a character of UTF-8.
pub fn first(bytes: &[u8], ended: bool) -> Option<Piece<'_>> {
    let window = &bytes[..bytes.len().min(LINE_BYTES + 2)];
    let newline = memchr::memchr(b'\n', window);
    if let Some(at) = newline {
        let text = window[..at].strip_suffix(b"\r").unwrap_or(&window[..at]);
        if text.len() <= LINE_BYTES {
            return Some(Piece { text, continues: false, taken: at + 1 });
        }
    }
    if bytes.len() > LINE_BYTES + 1 {
        let at = character_start(bytes, LINE_BYTES);
        return Some(Piece { text: &bytes[..at], continues: true, taken: at });
    }
    if !ended || bytes.is_empty() {
        return None;
    }
    let text = bytes.strip_suffix(b"\r").unwrap_or(bytes);
    Some(Piece { text, continues: false, taken: bytes.len() })
}

/// The last place at or before `at`, by three bytes at most, that is not within a character.
fn character_start(bytes: &[u8], at: usize) -> usize {
    let within = |i: &usize| bytes[*i] & 0b1100_0000 == 0b1000_0000;
    (at.saturating_sub(3)..=at).rev().find(|i| !within(i)).unwrap_or(at)
}

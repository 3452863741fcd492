//! The last of what a check said: it explains to the catalog and the log why a job is not fit.

use regrow_init::ProcessId;

/// Most bytes of it that are kept. Consul shows checks with up to 4 KiB; each of these goes into the
/// consensus of the catalog.
const BYTES: usize = 512;

/// A process whose streams have ended, and all of them is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Which.
    pub process: ProcessId,
    /// The end of what a check said, on one line; empty for jobs.
    pub said: String,
}

/// The end of what a process said on both of its streams, as it came.
#[derive(Debug, Default)]
pub struct Tail(Vec<u8>);

impl Tail {
    /// It said this too.
    pub fn push(&mut self, bytes: &[u8]) {
        self.0.extend(&bytes[bytes.len().saturating_sub(BYTES)..]);
        self.0.drain(..self.0.len().saturating_sub(BYTES));
    }

    /// What is kept, on one line: every run of white space and control characters is one space. What is
    /// cut off at the beginning, or is not UTF-8, is shown as a replacement character.
    pub fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.0);
        let words = text.split(|letter: char| letter.is_whitespace() || letter.is_control());
        words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_kept_on_one_line() {
        let mut tail = Tail::default();
        assert_eq!(tail.text(), "");
        tail.push(b"curl: (7)\r\n\tno \x1bconnection\n\n");
        assert_eq!(tail.text(), "curl: (7) no connection");
        tail.push(&[b'x'; 3 * BYTES]);
        tail.push("\u{e4}!\n".as_bytes());
        let expected = format!("{}\u{e4}!", "x".repeat(BYTES - 4));
        assert_eq!(tail.text(), expected);
        tail.push(&[b'y'; BYTES - 3]);
        assert_eq!(tail.text(), format!("\u{fffd}! {}", "y".repeat(BYTES - 3)));
    }
}

//! The reader of a log: takes lines as fast as they come, and looks at them afterwards.

use std::process::ChildStdout;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::job;
use crate::stamps::readable;

/// After so much silence nothing more is expected.
const SILENCE: Duration = Duration::from_secs(10);

/// Memory for what is read. It is touched before, so that the kernel has nothing to do for it while
/// lines come.
pub struct Reader {
    buffer: Vec<u8>,
    used: usize,
}

/// What became of numbered lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Arrived once, whole and in order.
    pub right: usize,
    /// Never arrived.
    pub lost: usize,
    /// Arrived again, out of order, or not as they were written.
    pub wrong: usize,
}

impl Reader {
    pub fn new(bytes: usize) -> Self {
        Self { buffer: vec![1; bytes], used: 0 }
    }

    /// Reads until the last of the numbered lines is there; returns when it was. It stops as well at
    /// the end of the stream and after a long silence.
    pub fn drain(&mut self, from: &ChildStdout, lines: usize) -> Result<Instant> {
        let last = job::line(lines.saturating_sub(1), job::NUMBER);
        self.used = 0;
        let (mut ends, mut seen) = (0, Instant::now());
        while readable(from, SILENCE)? {
            let room = self.buffer.get_mut(self.used..).unwrap_or_default();
            ensure!(!room.is_empty(), "more came than {} bytes", self.used);
            let read = rustix::io::read(from, &mut *room).context("read the log")?;
            if read == 0 {
                break;
            }
            let fresh = room.get(..read).unwrap_or_default();
            ends += fresh.iter().filter(|&&byte| byte == b'\n').count();
            self.used += read;
            seen = Instant::now();
            if ends >= lines && fresh.ends_with(b"\n") && self.tail_has(&last) {
                break;
            }
        }
        Ok(seen)
    }

    fn tail_has(&self, what: &[u8]) -> bool {
        let from = self.used.saturating_sub(16 * 1024);
        let tail = self.buffer.get(from..self.used).unwrap_or_default();
        tail.windows(what.len()).any(|window| window == what)
    }

    /// Everything that was read.
    pub fn read(&self) -> &[u8] {
        self.buffer.get(..self.used).unwrap_or_default()
    }

    /// What became of lines of so many bytes, in whatever format they were logged.
    pub fn tally(&self, bytes: usize, lines: usize) -> Tally {
        let mut tally = Tally::default();
        let mut expected = 0;
        for line in self.read().split(|&byte| byte == b'\n') {
            let Some((number, text)) = numbered(line) else { continue };
            if number < expected || text.get(..bytes) != Some(&job::line(number, bytes)) {
                tally.wrong += 1;
            } else {
                tally.right += 1;
                expected = number + 1;
            }
        }
        tally.lost = lines.saturating_sub(tally.right);
        tally
    }
}

/// The number of a line made by [`job::line`], and the line from where it begins.
fn numbered(line: &[u8]) -> Option<(usize, &[u8])> {
    let at = line.windows(2).position(|window| window == b"@@")?;
    let text = line.get(at..)?;
    let number = std::str::from_utf8(text.get(2..12)?).ok()?.parse().ok()?;
    Some((number, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(lines: &[&[u8]]) -> Reader {
        let buffer = lines.join(&b'\n');
        Reader { used: buffer.len(), buffer }
    }

    #[test]
    fn lines_are_counted_whatever_stands_around_them() {
        let [zero, one, two] = [0, 1, 2].map(|number| job::line(number, 20));
        let wrapped = [b"time app 7 msg=", &one[..], b" job=app"].concat();
        let all = reader(&[b"hello", &zero, &wrapped, &two, b""]);
        assert_eq!(all.tally(20, 3), Tally { right: 3, lost: 0, wrong: 0 });
    }

    #[test]
    fn lost_repeated_and_cut_lines_are_found() {
        let [zero, two] = [0, 2].map(|number| job::line(number, 20));
        let one = reader(&[&zero, &two]);
        assert_eq!(one.tally(20, 3), Tally { right: 2, lost: 1, wrong: 0 });
        let twice = reader(&[&zero, &zero, &two]);
        assert_eq!(twice.tally(20, 2), Tally { right: 2, lost: 0, wrong: 1 });
        let cut = reader(&[&zero[..15], &two]);
        assert_eq!(cut.tally(20, 2), Tally { right: 1, lost: 1, wrong: 1 });
    }
}

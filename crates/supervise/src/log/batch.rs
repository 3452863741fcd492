//! Records that go out together, and where a write may end without tearing one.

/// What a pipe takes whole or not at all (`PIPE_BUF` of Linux).
pub const ATOMIC_BYTES: usize = 4096;

/// Records that go out together.
#[derive(Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    /// Beginnings of chunks.
    cuts: Vec<usize>,
    records: u64,
}

impl Batch {
    /// Adds the record that `write` appends.
    pub fn push(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.bytes.len();
        write(&mut self.bytes);
        self.records += 1;
        match self.cuts.last() {
            Some(cut) if self.bytes.len() - cut <= ATOMIC_BYTES => {}
            _ => self.cuts.push(start),
        }
    }

    /// Empties it; memory beyond `keep` bytes is given back.
    pub fn clear(&mut self, keep: usize) {
        self.bytes.clear();
        self.bytes.shrink_to(keep);
        self.cuts.clear();
        self.records = 0;
    }

    /// All of it.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many records it has.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// The chunk that begins at or before `at` and ends behind it: whole records, of
    /// [`ATOMIC_BYTES`] together or one that is longer. `None` at the end.
    pub fn chunk(&self, at: usize) -> Option<std::ops::Range<usize>> {
        if at >= self.bytes.len() {
            return None;
        }
        let next = self.cuts.partition_point(|cut| *cut <= at);
        let end = self.cuts.get(next).copied().unwrap_or(self.bytes.len());
        Some(self.cuts[next - 1]..end)
    }

    /// Has it a record that a pipe does not take in one piece.
    pub fn can_be_torn(&self) -> bool {
        let ends = self.cuts.iter().skip(1).copied().chain([self.bytes.len()]);
        self.cuts.iter().zip(ends).any(|(cut, end)| end - cut > ATOMIC_BYTES)
    }
}

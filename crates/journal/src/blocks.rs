//! A reusable buffer whose address suits direct writing.

use crate::disk::BLOCK;

/// Bytes that begin at an address divisible by [`BLOCK`].
#[derive(Default)]
pub(crate) struct Blocks {
    raw: Vec<u8>,
    start: usize,
    len: usize,
}

impl Blocks {
    /// Makes the buffer `len` zero bytes long.
    pub(crate) fn reset(&mut self, len: usize) -> &mut [u8] {
        if self.raw.len() < len + BLOCK {
            self.raw = vec![0; len + BLOCK];
        }
        let misfit = self.raw.as_ptr().addr() % BLOCK;
        self.start = (BLOCK - misfit) % BLOCK;
        self.len = len;
        let bytes = &mut self.raw[self.start..self.start + len];
        bytes.fill(0);
        bytes
    }

    /// The bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.raw[self.start..self.start + self.len]
    }
}

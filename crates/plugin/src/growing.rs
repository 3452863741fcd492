//! Collecting a body of unknown size without doubling its memory at the end.

use bytes::Bytes;

/// Largest step of growth.
const STEP_BYTES: usize = 8 << 20;

#[derive(Default)]
pub(crate) struct Growing(Vec<u8>);

impl Growing {
    /// Room for a size that the peer announced. Memory that is never written to costs nothing.
    pub(crate) fn announced(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn push(&mut self, piece: &[u8]) {
        let free = self.0.capacity() - self.0.len();
        if free < piece.len() {
            self.0.reserve_exact(piece.len().max(self.0.len().min(STEP_BYTES)));
        }
        self.0.extend_from_slice(piece);
    }

    pub(crate) fn finish(self) -> Bytes {
        Bytes::from(self.0)
    }
}

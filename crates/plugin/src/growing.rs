//! Collecting a body of unknown size without doubling its memory at the end.

use bytes::Bytes;

/// Largest step of growth.
const STEP_BYTES: usize = 8 << 20;

/// Most room that is made on an announcement alone: a peer may announce much and send nothing.
const ANNOUNCED_BYTES: usize = 64 << 10;

#[derive(Default)]
pub(crate) struct Growing(Vec<u8>);

impl Growing {
    /// Room for a size that the peer announced, as far as one may believe it.
    pub(crate) fn announced(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes.min(ANNOUNCED_BYTES)))
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

#[cfg(test)]
mod tests {
    use super::{ANNOUNCED_BYTES, Growing, STEP_BYTES};

    #[test]
    fn room_is_made_for_what_came_and_not_for_what_was_announced() {
        let mut bytes = Growing::announced(64 << 20);
        assert!(bytes.0.capacity() <= ANNOUNCED_BYTES, "{}", bytes.0.capacity());
        let piece = [7; 100_000];
        while bytes.len() < 32 << 20 {
            bytes.push(&piece);
            let (room, came) = (bytes.0.capacity(), bytes.len());
            assert!(room <= 2 * came && room <= came + STEP_BYTES, "{room} for {came}");
        }
        let length = bytes.len();
        let whole = bytes.finish();
        assert_eq!(whole.len(), length);
        assert!(whole.iter().all(|byte| *byte == 7));
    }
}

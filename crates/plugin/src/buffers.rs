//! Buffers for answers, used again instead of freed: a list of 1,000 members is 200 KB, and asking
//! the system for that much memory on each call costs more than filling it.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

/// Buffers that wait for the next answer.
const KEPT_BUFFERS: usize = 16;

/// A buffer larger than this is given back to the system.
const KEPT_BUFFER_BYTES: usize = 4 << 20;

#[derive(Default)]
pub(crate) struct Buffers(Mutex<Vec<Vec<u8>>>);

impl Buffers {
    pub(crate) fn take(self: &Arc<Self>) -> Buffer {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
        Buffer { bytes, home: Arc::clone(self) }
    }

    fn put(&self, mut bytes: Vec<u8>) {
        if bytes.capacity() > KEPT_BUFFER_BYTES {
            return;
        }
        bytes.clear();
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < KEPT_BUFFERS {
            kept.push(bytes);
        }
    }
}

/// A buffer that goes home when it is dropped.
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    home: Arc<Buffers>,
}

impl Buffer {
    pub(crate) fn extend_from_slice(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub(crate) fn into_bytes(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl io::Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.home.put(std::mem::take(&mut self.bytes));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::Buffers;

    #[test]
    fn a_dropped_answer_lends_its_memory_to_the_next() {
        let buffers = Arc::new(Buffers::default());
        let mut first = buffers.take();
        first.extend_from_slice(&[1; 1000]);
        let address = first.as_ref().as_ptr();
        drop(first.into_bytes());
        let second = buffers.take();
        assert!(second.as_ref().is_empty());
        assert_eq!(second.as_ref().as_ptr(), address);
    }
}

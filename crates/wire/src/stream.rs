//! A stream of chunks in both directions on a connection of its own, for what is too large for one
//! frame.

use bytes::Bytes;

use crate::fault::Fault;

/// Why a stream stopped.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StreamError {
    /// The peer ended the stream with a fault.
    #[error("the peer ended the stream: {0}")]
    Fault(Fault),
    /// The connection ended before the stream did: what came is not whole.
    #[error("the connection ended within the stream: {0}")]
    Closed(std::sync::Arc<str>),
    /// A chunk is larger than [`CHUNK_LIMIT`](crate::CHUNK_LIMIT).
    #[error("the chunk has {size} bytes, the limit is {limit}")]
    TooLarge {
        /// Bytes of the chunk.
        size: usize,
        /// Bytes allowed.
        limit: u32,
    },
}

/// A stream, the same on both sides. Sending waits while the peer does not read.
pub struct Stream {
    pub(crate) io: (),
}

impl Stream {
    /// Sends one chunk of at most [`CHUNK_LIMIT`](crate::CHUNK_LIMIT) bytes.
    pub async fn send(&mut self, chunk: Bytes) -> Result<(), StreamError> {
        let _ = (chunk, self.io);
        Err(StreamError::Closed("not connected".into()))
    }

    /// Ends our direction: the peer's [`Stream::next`] gives none after what was sent.
    pub async fn finish(&mut self) -> Result<(), StreamError> {
        Err(StreamError::Closed("not connected".into()))
    }

    /// The next chunk; none at the end that the peer announced. A connection that ends without
    /// that is an error, so a part is never taken for the whole.
    pub async fn next(&mut self) -> Result<Option<Bytes>, StreamError> {
        Err(StreamError::Closed("not connected".into()))
    }
}

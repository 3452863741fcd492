//! A stream of chunks in both directions on a connection of its own, for what is too large for one
//! frame.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::fault::Fault;
use crate::frame::{FrameError, Head, Kind, decode_fault};
use crate::methods::CHUNK_LIMIT;
use crate::transport::{Reader, TransportError, Writer};

/// Why a stream stopped.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StreamError {
    /// The peer ended the stream with a fault.
    #[error("the peer ended the stream: {0}")]
    Fault(Fault),
    /// The connection ended before the stream did: what came is not whole.
    #[error("the connection ended within the stream: {0}")]
    Closed(Arc<str>),
    /// A chunk is larger than [`CHUNK_LIMIT`].
    #[error("the chunk has {size} bytes, the limit is {limit}")]
    TooLarge {
        /// Bytes of the chunk.
        size: usize,
        /// Bytes allowed.
        limit: u32,
    },
    /// Something was sent after [`StreamSender::finish`].
    #[error("our direction of the stream has ended already")]
    Finished,
}

impl From<TransportError> for StreamError {
    fn from(error: TransportError) -> Self {
        Self::Closed(error.to_string().into())
    }
}

/// A stream, the same on both sides. Sending waits while the peer does not read.
pub struct Stream {
    sender: StreamSender,
    receiver: StreamReceiver,
}

/// The sending direction of a stream.
pub struct StreamSender {
    writer: Writer,
    request: u64,
    finished: bool,
}

/// The receiving direction of a stream.
pub struct StreamReceiver {
    reader: Reader,
    idle: Duration,
    ended: bool,
}

impl Stream {
    pub(crate) fn new(reader: Reader, writer: Writer, request: u64, idle: Duration) -> Self {
        Self {
            sender: StreamSender { writer, request, finished: false },
            receiver: StreamReceiver { reader, idle, ended: false },
        }
    }

    /// The two directions, for tasks of their own. The connection ends with the last of them.
    pub fn split(self) -> (StreamSender, StreamReceiver) {
        (self.sender, self.receiver)
    }

    /// As [`StreamSender::send`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn send(&mut self, chunk: Bytes) -> Result<(), StreamError> {
        self.sender.send(chunk).await
    }

    /// As [`StreamSender::keep_alive`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn keep_alive(&mut self) -> Result<(), StreamError> {
        self.sender.keep_alive().await
    }

    /// As [`StreamSender::finish`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn finish(&mut self) -> Result<(), StreamError> {
        self.sender.finish().await
    }

    /// As [`StreamReceiver::next`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn next(&mut self) -> Result<Option<Bytes>, StreamError> {
        self.receiver.next().await
    }

    /// The last word of the accepting side.
    pub(crate) async fn conclude(&mut self, result: Result<(), Fault>) {
        let sender = &mut self.sender;
        let _ = match result {
            Ok(()) if sender.finished => Ok(()),
            Ok(()) => sender.finish().await,
            Err(fault) => sender.writer.fault(sender.request, &fault).await.map_err(Into::into),
        };
        sender.writer.close().await;
    }
}

impl StreamSender {
    /// Sends one chunk of at most [`CHUNK_LIMIT`] bytes.
    ///
    /// # Errors
    ///
    /// If the chunk is too large, or the connection has ended.
    pub async fn send(&mut self, chunk: Bytes) -> Result<(), StreamError> {
        if chunk.len() > CHUNK_LIMIT as usize {
            return Err(StreamError::TooLarge { size: chunk.len(), limit: CHUNK_LIMIT });
        }
        self.frame(Kind::Chunk, &chunk).await
    }

    /// Tells the peer that we are alive while there is nothing to send; needed before the other
    /// side's longest silence has passed (300 s unless configured). The peer's `next` does not see
    /// it.
    ///
    /// # Errors
    ///
    /// If the connection has ended.
    pub async fn keep_alive(&mut self) -> Result<(), StreamError> {
        self.frame(Kind::Ping, &[]).await
    }

    /// Ends our direction: the peer's `next` gives none after what was sent.
    ///
    /// # Errors
    ///
    /// If the connection has ended.
    pub async fn finish(&mut self) -> Result<(), StreamError> {
        self.frame(Kind::End, &[]).await?;
        self.finished = true;
        Ok(())
    }

    async fn frame(&mut self, kind: Kind, body: &[u8]) -> Result<(), StreamError> {
        if self.finished {
            return Err(StreamError::Finished);
        }
        Ok(self.writer.send(Head::new(kind, self.request, body.len() as u32), body).await?)
    }
}

impl StreamReceiver {
    /// The next chunk; none at the end that the peer announced. A connection that ends without
    /// that is an error, so a part is never taken for the whole.
    ///
    /// # Errors
    ///
    /// If the peer sent a fault, broke off, or was silent for too long.
    pub async fn next(&mut self) -> Result<Option<Bytes>, StreamError> {
        if self.ended {
            return Ok(None);
        }
        loop {
            let head = self.reader.head(self.idle).await?;
            match head.kind {
                Kind::Chunk if head.size <= CHUNK_LIMIT => {
                    return Ok(Some(self.reader.body(head.size).await?));
                }
                Kind::End => {
                    self.ended = true;
                    return Ok(None);
                }
                Kind::Error => {
                    let body = self.reader.body(head.size).await?;
                    return Err(StreamError::Fault(decode_fault(&body)));
                }
                Kind::Ping => {}
                found => {
                    let expected = "a chunk within its limit";
                    return Err(
                        TransportError::from(FrameError::Unexpected { found, expected }).into()
                    );
                }
            }
        }
    }
}

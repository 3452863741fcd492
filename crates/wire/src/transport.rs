//! Frames on a byte stream: reading with limits and time-outs, writing, and the exchange of hellos.

use std::io;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{
    AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufWriter, ReadHalf, WriteHalf,
};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsStream;

use crate::fault::Fault;
use crate::frame::{FrameError, HEAD, Head, Kind, VERSIONS, Versions, decode_fault, encode_fault};

/// A byte stream below TLS.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A byte stream below TLS, of whatever kind.
pub type BoxIo = Box<dyn Io>;

/// How much the buffer grows at once: memory follows what has come, not what was announced.
const STEP: usize = 16 * 1024;

/// Bytes that are collected before they go to TLS.
const WRITE_BUFFER: usize = 32 * 1024;

/// Why no frame was read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TransportError {
    /// Nothing came for the idle time.
    #[error("nothing came for {0:?}")]
    Quiet(Duration),
    /// A frame did not end, or was not taken, in its time.
    #[error("a frame took more than {0:?}")]
    Slow(Duration),
    /// The peer ended the connection between two frames.
    #[error("the peer closed the connection")]
    End,
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
    /// The peer does not speak our protocol.
    #[error("the peer sent {0}")]
    Frame(#[from] FrameError),
    /// The peer refuses the connection.
    #[error("the peer refuses: {0}")]
    Refused(Fault),
    /// No protocol version is spoken by both.
    #[error("the peer speaks protocol versions {}-{}, this program {}-{}", .0.min, .0.max,
        VERSIONS.min, VERSIONS.max)]
    Versions(Versions),
}

impl From<TransportError> for io::Error {
    fn from(error: TransportError) -> Self {
        match error {
            TransportError::Io(error) => error,
            other => Self::other(other),
        }
    }
}

/// The two halves of a connection.
pub(crate) fn halves(tls: TlsStream<BoxIo>, frame: Duration) -> (Reader, Writer) {
    let (read, write) = tokio::io::split(tls);
    (Reader::new(read, frame), Writer::new(write, frame))
}

/// The reading half.
pub(crate) struct Reader {
    io: ReadHalf<TlsStream<BoxIo>>,
    buffer: BytesMut,
    frame: Duration,
    due: Instant,
}

impl Reader {
    fn new(io: ReadHalf<TlsStream<BoxIo>>, frame: Duration) -> Self {
        Self { io, buffer: BytesMut::with_capacity(STEP), frame, due: Instant::now() + frame }
    }

    /// The next head, waiting for its first byte for `idle` at most. Dropping the future loses
    /// nothing.
    pub async fn head(&mut self, idle: Duration) -> Result<Head, TransportError> {
        if self.buffer.is_empty() {
            match timeout(idle, self.io.read_buf(&mut self.buffer)).await {
                Err(_) => return Err(TransportError::Quiet(idle)),
                Ok(Ok(0)) => return Err(TransportError::End),
                Ok(read) => drop(read?),
            }
        }
        self.due = Instant::now() + self.frame;
        while self.buffer.len() < HEAD {
            self.fill().await?;
        }
        let mut bytes = [0; HEAD];
        self.buffer.copy_to_slice(&mut bytes);
        Ok(Head::decode(&bytes)?)
    }

    /// The body that follows a head. The caller has checked its size.
    pub async fn body(&mut self, size: u32) -> Result<Bytes, TransportError> {
        let size = size as usize;
        while self.buffer.len() < size {
            self.fill().await?;
        }
        Ok(self.buffer.split_to(size).freeze())
    }

    /// Reads a body and forgets it.
    pub async fn skip(&mut self, size: u32) -> Result<(), TransportError> {
        let mut left = size as usize;
        loop {
            let now = left.min(self.buffer.len());
            self.buffer.advance(now);
            left -= now;
            if left == 0 {
                return Ok(());
            }
            self.fill().await?;
        }
    }

    /// Gives the frame that is being read its whole time from now on, after a wait of our own.
    pub fn restart_clock(&mut self) {
        self.due = Instant::now() + self.frame;
    }

    async fn fill(&mut self) -> Result<(), TransportError> {
        self.buffer.reserve(STEP);
        match timeout_at(self.due, self.io.read_buf(&mut self.buffer)).await {
            Err(_) => Err(TransportError::Slow(self.frame)),
            Ok(Ok(0)) => {
                Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it ended within a frame").into())
            }
            Ok(read) => Ok(read.map(drop)?),
        }
    }
}

/// The writing half.
pub(crate) struct Writer {
    io: BufWriter<WriteHalf<TlsStream<BoxIo>>>,
    frame: Duration,
}

impl Writer {
    fn new(io: WriteHalf<TlsStream<BoxIo>>, frame: Duration) -> Self {
        Self { io: BufWriter::with_capacity(WRITE_BUFFER, io), frame }
    }

    /// Puts a frame into the buffer, or through it when it is large.
    pub async fn put(&mut self, head: &[u8; HEAD], body: &[u8]) -> Result<(), TransportError> {
        let write = async {
            self.io.write_all(head).await?;
            self.io.write_all(body).await
        };
        match timeout(self.frame, write).await {
            Ok(written) => Ok(written?),
            Err(_) => Err(TransportError::Slow(self.frame)),
        }
    }

    /// Sends what the buffer holds.
    pub async fn flush(&mut self) -> Result<(), TransportError> {
        match timeout(self.frame, self.io.flush()).await {
            Ok(flushed) => Ok(flushed?),
            Err(_) => Err(TransportError::Slow(self.frame)),
        }
    }

    /// Puts one frame and sends it.
    pub async fn send(&mut self, head: Head, body: &[u8]) -> Result<(), TransportError> {
        self.put(&head.encode(), body).await?;
        self.flush().await
    }

    /// Sends a fault.
    pub async fn fault(&mut self, request: u64, fault: &Fault) -> Result<(), TransportError> {
        let body = encode_fault(fault);
        self.send(Head::new(Kind::Error, request, body.len() as u32), &body).await
    }

    /// Says in TLS that nothing follows; failing to is of no matter at the end.
    pub async fn close(&mut self) {
        let _ = timeout(self.frame, self.io.shutdown()).await;
    }
}

/// Sends a hello with these versions.
pub(crate) async fn send_hello(
    writer: &mut Writer,
    versions: Versions,
) -> Result<(), TransportError> {
    let body = versions.encode();
    writer.send(Head::new(Kind::Hello, 0, body.len() as u32), &body).await
}

/// What an I/O error means, in words: what our verifiers found is inside a TLS error inside it.
pub(crate) fn describe(error: &io::Error) -> String {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(tls) => regrow_pki::explain(tls),
        None => error.to_string(),
    }
}

/// Waits for the peer's hello.
pub(crate) async fn hello(reader: &mut Reader, idle: Duration) -> Result<Versions, TransportError> {
    let head = reader.head(idle).await?;
    match head.kind {
        Kind::Hello => Ok(Versions::decode(&reader.body(head.size).await?)?),
        Kind::Error => Err(TransportError::Refused(decode_fault(&reader.body(head.size).await?))),
        found => Err(FrameError::Unexpected { found, expected: "a hello" }.into()),
    }
}

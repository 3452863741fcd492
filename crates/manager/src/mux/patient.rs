use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// How long a peer may take nothing of what we have for it. One that never reads would keep its
/// connection, and that to the plugin behind, for ever.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);

/// A stream whose writes fail when the peer takes nothing for too long.
pub(super) struct Patient<S> {
    inner: S,
    /// Runs while a write waits.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<S> Patient<S> {
    pub(super) fn new(inner: S) -> Self {
        Self { inner, waiting: None }
    }

    pub(super) fn get_ref(&self) -> &S {
        &self.inner
    }

    /// Passes on how a write went, or that it waits for too long.
    fn bounded<T>(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.waiting = None;
            return written;
        }
        let sleep = || Box::pin(tokio::time::sleep(WRITE_TIMEOUT));
        let waiting = self.waiting.get_or_insert_with(sleep);
        waiting.as_mut().poll(context).map(|()| {
            let text = format!("the peer took nothing for {} s", WRITE_TIMEOUT.as_secs());
            Err(io::Error::new(io::ErrorKind::TimedOut, text))
        })
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(context, bytes);
        self.bounded(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(context, parts);
        self.bounded(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.inner).poll_flush(context);
        if self.waiting.is_some() && flushed.is_ready() {
            // Nothing was waiting in the stream itself; the write before may still be.
            return flushed;
        }
        self.bounded(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.inner).poll_shutdown(context);
        self.bounded(context, shut)
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::time::{Duration, Instant, sleep};

    use super::{Patient, WRITE_TIMEOUT};

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_nothing_is_given_up() {
        let (ours, mut theirs) = tokio::io::duplex(8);
        let mut stream = Patient::new(ours);
        let slow = tokio::spawn(async move {
            for _ in 0..10 {
                sleep(WRITE_TIMEOUT - Duration::from_secs(1)).await;
                theirs.read_exact(&mut [0; 8]).await.expect("read");
            }
            theirs
        });
        stream.write_all(&[0; 80]).await.expect("a slow peer is none that takes nothing");
        let _theirs = slow.await.expect("task");
        let start = Instant::now();
        let fault = stream.write_all(&[0; 9]).await.expect_err("nobody reads");
        assert_eq!(fault.kind(), ErrorKind::TimedOut);
        assert!(start.elapsed() <= WRITE_TIMEOUT + Duration::from_secs(1));
    }
}

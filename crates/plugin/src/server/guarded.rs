use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::limits::Limits;

const IDLE: u8 = 0;
const READING_HEAD: u8 = 1;
const SERVING: u8 = 2;

/// What a connection does right now, seen by its stream, its service and the acceptor.
pub(super) struct Phase {
    now: AtomicU8,
    /// True from the first request on.
    used: AtomicBool,
    start: Instant,
    /// Milliseconds from `start` to the last change.
    since_ms: AtomicU64,
}

impl Phase {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            now: AtomicU8::new(IDLE),
            used: AtomicBool::new(false),
            start: Instant::now(),
            since_ms: AtomicU64::new(0),
        })
    }

    fn set(&self, phase: u8) {
        self.since_ms.store(self.elapsed_ms(), Ordering::Relaxed);
        self.now.store(phase, Ordering::Relaxed);
    }

    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// A request has come in; until the guard is dropped the connection is busy.
    pub(super) fn serve(self: &Arc<Self>) -> Busy {
        self.used.store(true, Ordering::Relaxed);
        self.set(SERVING);
        Busy(Arc::clone(self))
    }

    /// True when nothing has happened on the connection for so long: `kept` after a request, `fresh`
    /// before the first, whose sender may merely be busy.
    pub(super) fn idle_for(&self, kept: Duration, fresh: Duration) -> bool {
        let time = if self.used.load(Ordering::Relaxed) { kept } else { fresh };
        let since = self.elapsed_ms().saturating_sub(self.since_ms.load(Ordering::Relaxed));
        self.now.load(Ordering::Relaxed) == IDLE && u128::from(since) >= time.as_millis()
    }
}

/// Marks a connection as busy until the answer is written.
pub(super) struct Busy(Arc<Phase>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.set(IDLE);
    }
}

/// A stream that gives up on a peer which is silent in the middle of something.
///
/// The HTTP library has a limit for the head of a request too, but counts the pause between two
/// requests as part of it, which would break connections that clients keep.
pub(super) struct Guarded<S> {
    stream: S,
    phase: Arc<Phase>,
    head_timeout: Duration,
    idle_timeout: Duration,
    write_timeout: Duration,
    read_timer: Option<Pin<Box<Sleep>>>,
    write_timer: Option<Pin<Box<Sleep>>>,
}

impl<S> Guarded<S> {
    pub(super) fn new(stream: S, phase: Arc<Phase>, limits: &Limits) -> Self {
        Self {
            stream,
            phase,
            head_timeout: limits.head_timeout,
            idle_timeout: limits.idle_timeout,
            write_timeout: limits.write_timeout,
            read_timer: None,
            write_timer: None,
        }
    }

    /// Ready when the peer has been silent for too long.
    fn poll_read_timer(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let phase = self.phase.now.load(Ordering::Relaxed);
        let timeout = match phase {
            IDLE => self.idle_timeout,
            READING_HEAD => self.head_timeout,
            // Reading the body has its own limits; handlers take as long as they take.
            _ => {
                self.read_timer = None;
                return Poll::Pending;
            }
        };
        let since = Duration::from_millis(self.phase.since_ms.load(Ordering::Relaxed));
        let deadline = self.phase.start + since + timeout;
        let timer =
            self.read_timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if timer.deadline() != deadline {
            timer.as_mut().reset(deadline);
        }
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(io::Error::new(io::ErrorKind::TimedOut, "the peer sends nothing"))
    }

    fn poll_write_timer(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let timeout = self.write_timeout;
        let timer = self.write_timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(io::Error::new(io::ErrorKind::TimedOut, "the peer does not read"))
    }

    fn written<T>(
        &mut self,
        cx: &mut Context<'_>,
        result: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if result.is_pending() {
            return self.poll_write_timer(cx).map(Err);
        }
        self.write_timer = None;
        result
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let result = Pin::new(&mut this.stream).poll_read(cx, buffer);
        if result.is_pending() {
            return this.poll_read_timer(cx).map(Err);
        }
        if buffer.filled().len() > before && this.phase.now.load(Ordering::Relaxed) == IDLE {
            this.phase.set(READING_HEAD);
        }
        result
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.stream).poll_write(cx, bytes);
        this.written(cx, result)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.stream).poll_write_vectored(cx, parts);
        this.written(cx, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

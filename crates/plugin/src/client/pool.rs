use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::dial::Dial;
use super::{MAX_CONNECTIONS, MAX_SLOW_CALLS};
use crate::wire::Kind;

/// A connection that was not used for this long is closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Read buffer of a connection; also the limit for the head of an answer.
const BUFFER_BYTES: usize = 256 << 10;

/// The connections to one plugin.
pub(super) struct Pool {
    dial: Arc<dyn Dial>,
    /// One for each connection in use. A connection is only made when none is idle, so that no more
    /// than this many exist.
    places: Arc<Semaphore>,
    /// One for each slow call. It is taken before the place, so that slow calls wait here.
    slow: Arc<Semaphore>,
    idle: Mutex<Idle>,
    live: Arc<AtomicUsize>,
    /// Grows whenever the process at the other end may be another one than before.
    generation: AtomicU64,
}

#[derive(Default)]
struct Idle {
    connections: Vec<(Connection, Instant)>,
    reaped: bool,
}

/// Right to use a connection.
pub(super) struct Place {
    _place: OwnedSemaphorePermit,
    _slow: Option<OwnedSemaphorePermit>,
}

/// One connection. Dropping it closes it, which also tells the plugin to stop answering.
pub(super) struct Connection {
    pub(super) sender: SendRequest<Full<Bytes>>,
    /// False for a connection that was made for this call.
    pub(super) used_before: bool,
    _task: AbortOnDropHandle<()>,
    _live: Live,
}

struct Live(Arc<AtomicUsize>);

impl Drop for Live {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Pool {
    pub(super) fn new(dial: Arc<dyn Dial>) -> Arc<Self> {
        Arc::new(Self {
            dial,
            places: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
            slow: Arc::new(Semaphore::new(MAX_SLOW_CALLS)),
            idle: Mutex::default(),
            live: Arc::default(),
            generation: AtomicU64::new(0),
        })
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Notes that the peer closed a connection: it may be gone or have been replaced.
    pub(super) fn peer_closed(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// Waits for the right to use a connection.
    pub(super) async fn place(&self, kind: Kind) -> Option<Place> {
        let slow = match kind {
            Kind::Slow => Some(Arc::clone(&self.slow).acquire_owned().await.ok()?),
            Kind::Read | Kind::Write => None,
        };
        let place = Arc::clone(&self.places).acquire_owned().await.ok()?;
        Some(Place { _place: place, _slow: slow })
    }

    /// A connection that is ready for a request: the one used last, or a new one.
    pub(super) async fn connection(&self, fresh: bool) -> Result<Connection, String> {
        while let Some(mut connection) = if fresh { None } else { self.pop() } {
            if connection.sender.ready().await.is_ok() {
                return Ok(connection);
            }
            self.peer_closed();
        }
        self.make().await
    }

    async fn make(&self) -> Result<Connection, String> {
        let stream = self.dial.dial().await.map_err(|error| error.to_string())?;
        let handshake =
            http1::Builder::new().max_buf_size(BUFFER_BYTES).handshake(TokioIo::new(stream));
        let (sender, connection) = handshake.await.map_err(|error| error.to_string())?;
        let task = tokio::spawn(async move {
            // The call that uses the connection learns about errors itself.
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to a plugin ended");
            }
        });
        if self.live.fetch_add(1, Ordering::Relaxed) == 0 {
            self.peer_closed();
        }
        Ok(Connection {
            sender,
            used_before: false,
            _task: AbortOnDropHandle::new(task),
            _live: Live(Arc::clone(&self.live)),
        })
    }

    /// A connection for one purpose, outside of the bounded set.
    pub(super) async fn extra(&self) -> Result<Connection, String> {
        self.make().await
    }

    fn pop(&self) -> Option<Connection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.connections.pop().map(|(connection, _)| connection)
    }

    /// Takes back a connection whose answer was read to the end.
    pub(super) fn put(self: &Arc<Self>, mut connection: Connection) {
        if connection.sender.is_closed() {
            return;
        }
        connection.used_before = true;
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.connections.push((connection, Instant::now()));
        if !idle.reaped {
            idle.reaped = true;
            tokio::spawn(reap(Arc::downgrade(self)));
        }
    }

    /// Closes connections that were not used for long; false when none is left.
    fn close_unused(&self) -> bool {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.connections.retain(|(connection, since)| {
            since.elapsed() < IDLE_TIMEOUT && !connection.sender.is_closed()
        });
        idle.reaped = !idle.connections.is_empty();
        idle.reaped
    }
}

async fn reap(pool: Weak<Pool>) {
    loop {
        tokio::time::sleep(IDLE_TIMEOUT).await;
        match pool.upgrade() {
            Some(pool) if pool.close_unused() => {}
            _ => return,
        }
    }
}

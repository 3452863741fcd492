//! Connections: accepted, counted by address, served.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Shared, route};

/// Pause after the system refused to hand out a connection, as when file descriptors run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Longest time to the end of a request's head. An idle connection ends after it as well: much
/// later than clients that keep connections let them rest, so that none meets a closing one.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15 * 60);
/// Longest time to the end of the handshake of an encrypted connection.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Largest head of a request: a key of the longest allowed, each byte as three, and headers.
const HEAD_BYTES_MAX: usize = 64 << 10;

const CROWDED: &[u8] = b"HTTP/1.1 429 Too Many Requests\r\n\
    Content-Type: text/plain\r\nConnection: close\r\n\r\n\
    Your IP is issuing too many concurrent connections, please rate limit your calls\n";

/// Connections by client address.
#[derive(Clone, Default)]
struct Counts {
    by_address: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

impl Counts {
    /// A place for one more connection, `None` where there are enough.
    fn enter(&self, address: IpAddr, most: usize) -> Option<Place> {
        let mut counts = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(address).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Place { counts: self.clone(), address })
    }
}

/// One connection's place; dropping it leaves.
struct Place {
    counts: Counts,
    address: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.counts.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}

/// Accepts and serves until told to stop.
pub(super) async fn run(listener: TcpListener, shared: Arc<Shared>, stop: CancellationToken) {
    let counts = Counts::default();
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Answers are whole messages; waiting for more to send only delays them.
        let _ = stream.set_nodelay(true);
        match counts.enter(peer.ip(), shared.options.connections_per_address) {
            Some(place) => {
                connections.spawn(serve(stream, place, Arc::clone(&shared), stop.clone()));
            }
            None => {
                connections.spawn(refuse(stream));
            }
        }
    }
    connections.close();
    connections.wait().await;
}

async fn refuse(mut stream: TcpStream) {
    let _ = stream.write_all(CROWDED).await;
    let _ = stream.shutdown().await;
}

async fn serve(stream: TcpStream, _place: Place, shared: Arc<Shared>, stop: CancellationToken) {
    let Some(tls) = shared.options.tls.clone() else {
        return converse(stream, shared, stop).await;
    };
    let shaken = tokio::select! {
        shaken = timeout(HANDSHAKE_TIMEOUT, TlsAcceptor::from(tls).accept(stream)) => shaken,
        () = stop.cancelled() => return,
    };
    match shaken {
        Ok(Ok(stream)) => converse(stream, shared, stop).await,
        Ok(Err(error)) => tracing::debug!(%error, "begin an encrypted connection"),
        Err(_) => tracing::debug!("begin an encrypted connection: it took too long"),
    }
}

async fn converse<S>(stream: S, shared: Arc<Shared>, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request| {
        // Boxed: the future of a call is large, and the connection would be as large for ever.
        Box::pin(route::answer(Arc::clone(&shared), request))
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(HEAD_BYTES_MAX);
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        ended = connection => {
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection ended");
            }
        }
        () = stop.cancelled() => {}
    }
}

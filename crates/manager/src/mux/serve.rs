use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore};
use tokio_util::task::TaskTracker;

use super::patient::Patient;
use super::peers::Peers;
use super::{MuxBody, MuxError, Shared, route};

/// Connections served at once; further ones wait in the system's queue, and those that are idle are
/// closed to make room.
const MAX_CONNECTIONS: usize = 1024;
/// How long the head of a request may take, and how long a connection may be idle before it.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);
/// How long TLS may take to be agreed on.
const TLS_TIMEOUT: Duration = Duration::from_secs(10);
/// Read buffer of a connection; also the limit for the head of a request.
const CONNECTION_BUFFER_BYTES: usize = 64 << 10;
/// Pause after an accept that failed, for want of file descriptors for example.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Opens an address such as `127.0.0.1:24864`, `localhost:24864`, or `:24864` for all interfaces.
pub(super) async fn listen(address: &str) -> Result<TcpListener, MuxError> {
    let opened = match address.strip_prefix(':') {
        // The first of the two takes both families where the system has them.
        Some(port) => match TcpListener::bind(format!("[::]:{port}")).await {
            Err(fault) if fault.kind() != io::ErrorKind::AddrInUse => {
                TcpListener::bind(format!("0.0.0.0:{port}")).await
            }
            opened => opened,
        },
        None => TcpListener::bind(address).await,
    };
    opened.map_err(|source| MuxError::Listen { address: address.to_owned(), source })
}

/// Accepts connections until told to stop.
pub(super) async fn accept(listener: TcpListener, shared: Arc<Shared>, tasks: TaskTracker) {
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let (peers, crowded) = (Peers::default(), Arc::new(Notify::new()));
    let accepting = async {
        loop {
            if room.available_permits() == 0 {
                crowded.notify_waiters();
            }
            let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, peer)) => {
                    // Before anything is asked of it: one peer must not take all the room.
                    let Some(place) = peers.admit(peer.ip()) else {
                        tracing::debug!(%peer, "refused a peer with too many connections");
                        continue;
                    };
                    let (shared, crowded) = (Arc::clone(&shared), Arc::clone(&crowded));
                    tasks.spawn(async move {
                        connection(Patient::new(stream), shared, crowded).await;
                        drop((permit, place));
                    });
                }
                Err(fault) => {
                    tracing::warn!(%fault, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    shared.stop.run_until_cancelled(accepting).await;
}

async fn connection(stream: Patient<TcpStream>, shared: Arc<Shared>, crowded: Arc<Notify>) {
    // Small answers must not wait for more to send.
    let _ = stream.get_ref().set_nodelay(true);
    let Some(tls) = &shared.tls else { return serve(stream, shared, crowded).await };
    match tokio::time::timeout(TLS_TIMEOUT, tls.acceptor.accept(stream)).await {
        Ok(Ok(stream)) => serve(stream, Arc::clone(&shared), crowded).await,
        Ok(Err(fault)) => tracing::debug!(%fault, "a client did not agree on TLS"),
        Err(_) => tracing::debug!("a client took too long to agree on TLS"),
    }
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    shared: Arc<Shared>,
    crowded: Arc<Notify>,
) {
    let stop = shared.stop.clone();
    let answer = service_fn(move |request: Request<Incoming>| {
        let shared = Arc::clone(&shared);
        async move { Ok::<Response<MuxBody>, Infallible>(route::answer(&shared, request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(CONNECTION_BUFFER_BYTES)
        .serve_connection(TokioIo::new(stream), answer);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => {
            if let Err(fault) = ended {
                tracing::debug!(%fault, "a client's connection broke");
            }
        }
        // Both ways an idle connection ends at once, and a busy one after its answer.
        () = async { tokio::select! { () = stop.cancelled() => {}, () = crowded.notified() => {} } } => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await; // it ends either way
        }
    }
}

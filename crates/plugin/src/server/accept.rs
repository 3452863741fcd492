use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;

use super::Shared;
use super::guarded::{Guarded, Phase};
use super::limits::CONNECTION_BUFFER_BYTES;
use super::listen::Listener;

/// Pause after the system refused to hand out a connection, as when file descriptors run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// While connections wait, those that were used and then idle for this long are closed.
const CROWDED_IDLE: Duration = Duration::from_secs(1);

/// While connections wait, idle ones are looked for this often.
const CROWDED_TICK: Duration = Duration::from_millis(500);

/// Accepts connections until told to stop.
pub(super) async fn accept(listener: Listener, shared: Arc<Shared>, connections: TaskTracker) {
    let permits = Arc::new(Semaphore::new(shared.limits.max_connections));
    loop {
        let next = async {
            let permit = room(&permits, &shared).await?;
            Some((listener.accept().await, permit))
        };
        let (accepted, permit) = tokio::select! {
            biased;
            () = shared.stop.cancelled() => return,
            next = next => match next {
                Some(next) => next,
                None => return,
            },
        };
        match accepted {
            Ok(Stream::Unix(stream)) if !may_call(&stream) => {
                tracing::warn!(
                    plugin = shared.plugin.name(),
                    peer = ?stream.peer_cred(),
                    "refused a connection of another user"
                );
            }
            Ok(Stream::Unix(stream)) => {
                connections.spawn(serve(stream, Arc::clone(&shared), permit));
            }
            Ok(Stream::Tcp(stream)) => {
                // Answers are whole messages; waiting for more to send only delays them.
                let _ = stream.set_nodelay(true);
                let _ = give_up_on_silence(&stream, shared.limits.write_timeout);
                connections.spawn(serve(stream, Arc::clone(&shared), permit));
            }
            Err(error) => {
                tracing::warn!(plugin = shared.plugin.name(), %error, "accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Has the system end a connection whose peer does not even acknowledge what we wrote. By itself it
/// waits for a quarter of an hour.
fn give_up_on_silence(stream: &TcpStream, after: Duration) -> rustix::io::Result<()> {
    let milliseconds = u32::try_from(after.as_millis()).unwrap_or(u32::MAX);
    rustix::net::sockopt::set_tcp_user_timeout(stream, milliseconds)
}

/// An accepted connection.
pub(super) enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
}

/// Waits for a free place; while there is none, idle connections are told to leave.
async fn room(permits: &Arc<Semaphore>, shared: &Shared) -> Option<OwnedSemaphorePermit> {
    if let Ok(permit) = Arc::clone(permits).try_acquire_owned() {
        return Some(permit);
    }
    let mut waiting = Box::pin(Arc::clone(permits).acquire_owned());
    let permit = loop {
        shared.crowded.send_replace(true);
        tokio::select! {
            permit = &mut waiting => break permit,
            () = tokio::time::sleep(CROWDED_TICK) => {}
        }
    };
    shared.crowded.send_replace(false);
    permit.ok()
}

/// The permissions of the socket say the same; this holds even where they were changed.
fn may_call(stream: &UnixStream) -> bool {
    let own = rustix::process::geteuid().as_raw();
    stream.peer_cred().is_ok_and(|peer| peer.uid() == own || peer.uid() == 0)
}

async fn serve<S>(stream: S, shared: Arc<Shared>, _permit: OwnedSemaphorePermit)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let phase = Phase::new();
    let io = TokioIo::new(Guarded::new(stream, Arc::clone(&phase), &shared.limits));
    let service = {
        let (shared, phase) = (Arc::clone(&shared), Arc::clone(&phase));
        service_fn(move |request| {
            // Boxed: the future holds a whole call, and the connection would be as large for ever.
            Box::pin(super::http::answer(Arc::clone(&shared), Arc::clone(&phase), request))
        })
    };
    let mut builder = http1::Builder::new();
    builder.max_buf_size(CONNECTION_BUFFER_BYTES).header_read_timeout(None);
    let mut connection = std::pin::pin!(builder.serve_connection(io, service));
    let mut crowded = shared.crowded.subscribe();
    let mut stopping = false;
    loop {
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = shared.stop.cancelled(), if !stopping => {
                stopping = true;
                connection.as_mut().graceful_shutdown();
                continue;
            }
            changed = crowded.changed(), if !stopping => {
                let full = changed.is_ok() && *crowded.borrow_and_update();
                if full && phase.idle_for(CROWDED_IDLE, shared.limits.head_timeout) {
                    stopping = true;
                    connection.as_mut().graceful_shutdown();
                }
                continue;
            }
        };
        if let Err(error) = ended {
            note(&shared, &error);
        }
        return;
    }
}

/// Peers that go away or time out are no news; anything else is worth a line for who looks.
fn note(shared: &Shared, error: &hyper::Error) {
    let cause =
        std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<io::Error>());
    let kind = cause.map(io::Error::kind);
    tracing::debug!(plugin = shared.plugin.name(), %error, ?kind, "a connection ended");
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::net::{TcpListener, TcpStream};

    use super::give_up_on_silence;

    #[tokio::test]
    async fn a_silent_peer_is_given_up_in_time() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("listen");
        let address = listener.local_addr().expect("address");
        let stream = TcpStream::connect(address).await.expect("connect");
        give_up_on_silence(&stream, Duration::from_secs(30)).expect("set");
        let set = rustix::net::sockopt::tcp_user_timeout(&stream).expect("get");
        assert_eq!(set, 30_000);
    }
}

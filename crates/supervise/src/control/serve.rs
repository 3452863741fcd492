//! Connections: accepted, served within a time, forgotten.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::timeout;

use super::route;
use super::{Answer, Ask, BODY_BYTES_MAX, Counted, What};

/// Most connections at a time; more wait in the queue of the socket.
const CONNECTIONS_MAX: usize = 64;
/// Longest time to the end of a request's head, and again to the end of its body.
const READ_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest time that the worker thinks about an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest life of a connection: all of the above and time to take the reply.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(90);
/// Bytes of an oversize body that are read and thrown away, so that a client which writes first and
/// reads later gets to see why.
const DISCARDED_BYTES: usize = 16 << 20;
/// Largest head of a request.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// Pause after the system refused to hand out a connection, as when file descriptors run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accepts until nobody takes questions any more.
pub(super) async fn run(
    listener: &UnixListener,
    asks: &mpsc::Sender<Ask>,
    counted: Option<Counted>,
) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (listener.accept().await, place)
        };
        let accepted = tokio::select! {
            biased;
            () = asks.closed() => return,
            accepted = next => accepted,
        };
        match accepted {
            (Ok((stream, _)), Ok(place)) => {
                let desk = Desk { asks: asks.clone(), counted: counted.clone() };
                tokio::spawn(serve(stream, desk, place));
            }
            (Err(error), _) => {
                tracing::warn!(%error, "accept a connection of the control socket");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
            (_, Err(_closed)) => return,
        }
    }
}

async fn serve(stream: UnixStream, desk: Desk, _place: OwnedSemaphorePermit) {
    let desk = Arc::new(desk);
    let service = service_fn(move |request| {
        let desk = Arc::clone(&desk);
        async move { Ok::<_, Infallible>(desk.reply(request).await) }
    });
    let mut builder = http1::Builder::new();
    builder
        .keep_alive(false)
        // Some clients close their side when they have sent all.
        .half_close(true)
        .timer(TokioTimer::new())
        .header_read_timeout(READ_TIMEOUT)
        .max_buf_size(HEAD_BYTES_MAX);
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    match timeout(CONNECTION_TIMEOUT, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a connection of the control socket ended"),
        Err(_) => tracing::debug!("a connection of the control socket took too long"),
    }
}

/// Where requests are turned into questions.
struct Desk {
    asks: mpsc::Sender<Ask>,
    counted: Option<Counted>,
}

impl Desk {
    async fn reply(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let found = route::find(request.method(), request.uri().path());
        let body = match timeout(READ_TIMEOUT, read(request.into_body())).await {
            Ok(read) => read,
            Err(_) => Err(StatusCode::REQUEST_TIMEOUT),
        };
        let Some((path, purpose)) = found else {
            return route::plain(StatusCode::NOT_FOUND);
        };
        let outcome = async {
            let purpose = purpose.ok_or(StatusCode::METHOD_NOT_ALLOWED)?;
            match route::question(purpose, &body?)? {
                Some(what) => self.ask(what).await,
                None => Ok(Answer::Done),
            }
        };
        let reply = match outcome.await {
            Ok(answer) => route::reply(answer),
            Err(status) => route::plain(status),
        };
        if let Some(counted) = &self.counted {
            counted(reply.status().as_u16(), path);
        }
        reply
    }

    async fn ask(&self, what: What) -> Result<Answer, StatusCode> {
        let (answer, answered) = oneshot::channel();
        let asked = async {
            self.asks.send(Ask { what, answer }).await.ok()?;
            answered.await.ok()
        };
        match timeout(ANSWER_TIMEOUT, asked).await {
            Ok(answered) => answered.ok_or(StatusCode::SERVICE_UNAVAILABLE),
            Err(_) => Err(StatusCode::GATEWAY_TIMEOUT),
        }
    }
}

/// Reads a whole body. All of it is taken off the socket even where nobody wants it: closing a unix
/// socket with unread bytes takes the reply away from the client.
async fn read(mut body: Incoming) -> Result<Bytes, StatusCode> {
    let (mut bytes, mut seen) = (BytesMut::new(), 0);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| StatusCode::BAD_REQUEST)?;
        let Ok(data) = frame.into_data() else { continue };
        seen += data.len();
        if seen > DISCARDED_BYTES {
            break;
        }
        if seen <= BODY_BYTES_MAX {
            bytes.extend_from_slice(&data);
        } else {
            bytes.clear();
        }
    }
    if seen > BODY_BYTES_MAX { Err(StatusCode::PAYLOAD_TOO_LARGE) } else { Ok(bytes.freeze()) }
}

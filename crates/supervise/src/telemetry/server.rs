//! `/metrics` and `/status` over HTTP.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use http_body_util::Full;
use hyper::header::{ALLOW, CONTENT_TYPE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::Telemetry;

/// How often it is tried to listen, and the pause between.
const TRIES: u32 = 10;
const PAUSE: Duration = Duration::from_secs(1);
/// Connections at once: a few scrapers and a few people.
const CONNECTIONS: usize = 64;
/// A caller has this long to say what it wants; one that stays silent gives its place up.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest head of a request.
const HEAD_BYTES: usize = 16 << 10;
const PLAIN: &str = "text/plain; charset=utf-8";

/// Makes the body of `/status`; `None` where nobody can any more, because the program ends.
pub type StatusBody = Arc<dyn Fn() -> BoxFuture<'static, Option<String>> + Send + Sync>;

/// Nobody can listen there.
#[derive(Debug, thiserror::Error)]
#[error("error listening to {address} for telemetry, {TRIES} times: {source}")]
pub struct ListenError {
    /// Where.
    pub address: SocketAddr,
    /// Why not.
    pub source: io::Error,
}

/// Listens, and tries ten times with a second between where the address is taken.
pub async fn listen(address: IpAddr, port: u16) -> Result<TcpListener, ListenError> {
    let address = SocketAddr::new(address, port);
    let mut tries = 1;
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => return Ok(listener),
            Err(source) if tries == TRIES => return Err(ListenError { address, source }),
            Err(error) => tracing::debug!(%address, %error, "listen for telemetry"),
        }
        tries += 1;
        tokio::time::sleep(PAUSE).await;
    }
}

/// Answers for ever; connections end with this future.
pub async fn serve(listener: TcpListener, telemetry: Arc<Telemetry>, status: StatusBody) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "accept a connection for telemetry");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let (telemetry, status) = (Arc::clone(&telemetry), Arc::clone(&status));
        connections.spawn(async move {
            converse(stream, telemetry, status).await;
            drop(place);
        });
    }
}

async fn converse(stream: TcpStream, telemetry: Arc<Telemetry>, status: StatusBody) {
    let service = service_fn(move |request| {
        let (telemetry, status) = (Arc::clone(&telemetry), Arc::clone(&status));
        async move { Ok::<_, Infallible>(answer(&request, &telemetry, &status).await) }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(HEAD_BYTES);
    if let Err(error) = builder.serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!(%error, "a connection for telemetry ended");
    }
}

async fn answer<B>(
    request: &Request<B>,
    telemetry: &Telemetry,
    status: &StatusBody,
) -> Response<Full<Bytes>> {
    let get = request.method() == Method::GET;
    let page = match request.uri().path() {
        "/metrics" => ("text/plain; version=0.0.4; charset=utf-8", telemetry.render()),
        "/status" if get => match status().await {
            Some(body) => ("application/json", body),
            None => {
                let text = "Service Unavailable\n".to_owned();
                return respond(StatusCode::SERVICE_UNAVAILABLE, PLAIN, text);
            }
        },
        "/status" => ("application/json", String::new()),
        _ => return respond(StatusCode::NOT_FOUND, PLAIN, "404 page not found\n".to_owned()),
    };
    if get {
        return respond(StatusCode::OK, page.0, page.1);
    }
    let text = "Method Not Allowed\n".to_owned();
    let mut response = respond(StatusCode::METHOD_NOT_ALLOWED, PLAIN, text);
    response.headers_mut().insert(ALLOW, hyper::header::HeaderValue::from_static("GET"));
    response
}

fn respond(code: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = code;
    response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(kind));
    response
}

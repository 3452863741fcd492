use std::error::Error;
use std::time::Duration;

use hyper::client::conn::http1;
use hyper::header::{self, HeaderMap, HeaderName};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use regrow_ids::chain;
use tokio::io::{AsyncRead, AsyncWrite};

use super::body::{BodyFault, streamed};
use super::{MuxBody, MuxFault};

/// How long it may take to connect, and to agree on TLS.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the head of a response may take. Calls may take long; the client gives up earlier.
const HEAD_TIMEOUT: Duration = Duration::from_secs(600);

/// Headers that are about one connection and not about the message.
const HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Sends one request over a fresh connection, returns when the head of the response is there.
pub(super) async fn exchange(
    at: &str,
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    mut request: Request<MuxBody>,
) -> Result<Response<MuxBody>, MuxFault> {
    let broken =
        |fault: &hyper::Error| MuxFault::Unreachable { at: at.to_owned(), reason: chain(fault) };
    strip(request.headers_mut());
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|fault| broken(&fault))?;
    // Ends when the body of the response was read or dropped.
    tokio::spawn(connection);
    let answer = tokio::time::timeout(HEAD_TIMEOUT, sender.send_request(request)).await;
    match answer {
        Ok(Ok(mut response)) => {
            strip(response.headers_mut());
            Ok(response.map(streamed))
        }
        Ok(Err(fault)) => Err(match body_fault(&fault) {
            Some(BodyFault::TooLarge) => MuxFault::TooLarge,
            Some(BodyFault::TooSlow) => MuxFault::TooSlow,
            None => broken(&fault),
        }),
        Err(_) => {
            let (at, seconds) = (at.to_owned(), HEAD_TIMEOUT.as_secs());
            Err(MuxFault::TimedOut { at, seconds })
        }
    }
}

/// Opens a connection within the time for it.
pub(super) async fn connect<S>(
    at: &str,
    opening: impl Future<Output = std::io::Result<S>>,
) -> Result<S, MuxFault> {
    match tokio::time::timeout(CONNECT_TIMEOUT, opening).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(fault)) => {
            Err(MuxFault::Unreachable { at: at.to_owned(), reason: fault.to_string() })
        }
        Err(_) => {
            let (at, seconds) = (at.to_owned(), CONNECT_TIMEOUT.as_secs());
            Err(MuxFault::TimedOut { at, seconds })
        }
    }
}

/// Removes the headers that end here, those that `Connection` names included.
pub(super) fn strip(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

/// Our own verdict on the request body, if that is why the exchange failed.
fn body_fault(fault: &hyper::Error) -> Option<BodyFault> {
    let mut cause = fault.source();
    while let Some(found) = cause {
        if let Some(ours) = found.downcast_ref::<BodyFault>() {
            return Some(*ours);
        }
        cause = found.source();
    }
    None
}

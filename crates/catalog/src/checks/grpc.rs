//! Checks with gRPC's health service, version 1: the question and answer of
//! `grpc.health.v1.Health/Check` written and read by hand over HTTP/2.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http2;
use hyper::header::{CONTENT_TYPE, HeaderMap, TE};
use hyper::rt::{Read, Write};
use hyper::{Request, Response, body::Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use regrow_ids::chain;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::Finding;
use crate::model::Status;

/// Largest answer: one number, and what later versions may add.
const ANSWER_BYTES_MAX: usize = 4096;
/// `ServingStatus.SERVING`.
const SERVING: u64 = 1;

/// Asks the server at `HOST:PORT[/SERVICE]`, over TLS where there are settings.
pub(super) async fn ask(target: &str, tls: Option<Arc<ClientConfig>>) -> Finding {
    let (address, service) = target.split_once('/').unwrap_or((target, ""));
    match exchange(address, service, tls).await {
        Ok(SERVING) => Finding::new(Status::Passing, format!("gRPC check {target}: success")),
        Ok(status) => {
            let status = match status {
                0 => "UNKNOWN".to_owned(),
                2 => "NOT_SERVING".to_owned(),
                3 => "SERVICE_UNKNOWN".to_owned(),
                other => other.to_string(),
            };
            Finding::critical(format!("gRPC {target} serving status: {status}"))
        }
        Err(reason) => Finding::critical(format!("gRPC check {target}: {reason}")),
    }
}

async fn exchange(
    address: &str,
    service: &str,
    tls: Option<Arc<ClientConfig>>,
) -> Result<u64, String> {
    let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let request = Request::post(format!("{scheme}://{address}/grpc.health.v1.Health/Check"))
        .header(CONTENT_TYPE, "application/grpc")
        .header(TE, "trailers")
        .body(Full::new(question(service)))
        .map_err(|error| error.to_string())?;
    let Some(tls) = tls else { return over(TokioIo::new(stream), request).await };
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned())
        .map_err(|error| format!("{host:?}: {error}"))?;
    let stream =
        TlsConnector::from(tls).connect(name, stream).await.map_err(|error| chain(&error))?;
    over(TokioIo::new(stream), request).await
}

async fn over(
    io: impl Read + Write + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
) -> Result<u64, String> {
    let (mut sender, connection) =
        http2::handshake(TokioExecutor::new(), io).await.map_err(|error| chain(&error))?;
    let asking = async {
        let response = sender.send_request(request).await.map_err(|error| chain(&error))?;
        serving_status(response).await
    };
    let mut asking = std::pin::pin!(asking);
    tokio::select! {
        biased;
        answer = &mut asking => answer,
        // It ended: what it brought before is there.
        _ = connection => asking.await,
    }
}

async fn serving_status(response: Response<Incoming>) -> Result<u64, String> {
    let (head, body) = response.into_parts();
    if !head.status.is_success() {
        return Err(format!("HTTP status {}, so no gRPC server", head.status));
    }
    let collected = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
    let collected = collected.map_err(|error| format!("read the answer: {error}"))?;
    // An answer without a body has everything in its head.
    accepted(collected.trailers().unwrap_or(&head.headers))?;
    parse(&collected.to_bytes()).ok_or_else(|| "the answer is not of the health service".to_owned())
}

fn accepted(fields: &HeaderMap) -> Result<(), String> {
    let field = |name: &str| fields.get(name).and_then(|value| value.to_str().ok());
    match field("grpc-status") {
        Some("0") => Ok(()),
        Some(code) => {
            Err(format!("gRPC status {code}: {}", field("grpc-message").unwrap_or_default()))
        }
        None => Err("no gRPC status, so no gRPC server".to_owned()),
    }
}

/// A `HealthCheckRequest` in its frame: a zero for "not compressed", four bytes of length, and the
/// message: field 1 is the name of the service.
fn question(service: &str) -> Bytes {
    let mut message = Vec::new();
    if !service.is_empty() {
        message.push(0x0a);
        let mut length = service.len();
        while length >= 0x80 {
            message.push((length & 0x7f) as u8 | 0x80);
            length >>= 7;
        }
        message.push(length as u8);
        message.extend_from_slice(service.as_bytes());
    }
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes();
    [&[0][..], &length, &message].concat().into()
}

/// The status in a framed `HealthCheckResponse`: field 1, zero where it is left out.
fn parse(framed: &[u8]) -> Option<u64> {
    let (head, message) = framed.split_first_chunk::<5>()?;
    let [0, length @ ..] = *head else { return None };
    let mut rest = message.get(..usize::try_from(u32::from_be_bytes(length)).ok()?)?;
    let mut status = 0;
    while !rest.is_empty() {
        let tag = number(&mut rest)?;
        let skipped = match tag & 7 {
            0 => {
                let value = number(&mut rest)?;
                if tag >> 3 == 1 {
                    status = value;
                }
                0
            }
            1 => 8,
            2 => number(&mut rest)?,
            5 => 4,
            _ => return None,
        };
        rest = rest.get(usize::try_from(skipped).ok()?..)?;
    }
    Some(status)
}

/// A number in groups of seven bits, lowest first.
fn number(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, behind) = rest.split_first()?;
        *rest = behind;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn messages_are_those_of_the_service() {
        assert_eq!(question("").as_ref(), [0, 0, 0, 0, 0]);
        assert_eq!(question("db").as_ref(), [0, 0, 0, 0, 4, 0x0a, 2, b'd', b'b']);
        let long = question(&"x".repeat(300));
        assert_eq!(long[..8], [0, 0, 0, 1, 47, 0x0a, 0xac, 0x02]);
        assert_eq!(parse(&[0, 0, 0, 0, 2, 8, 1]), Some(1));
        assert_eq!(parse(&[0, 0, 0, 0, 0]), Some(0));
        // A later field before the status, and one that is cut.
        assert_eq!(parse(&[0, 0, 0, 0, 6, 0x12, 2, 9, 9, 8, 2]), Some(2));
        assert_eq!(parse(&[0, 0, 0, 0, 3, 0x12, 2, 9]), None);
        // Compressed, which nobody asked for.
        assert_eq!(parse(&[1, 0, 0, 0, 2, 8, 1]), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = parse(&bytes);
            let framed = [&[0, 0, 0, 0, bytes.len() as u8][..], &bytes].concat();
            let _ = parse(&framed);
        }
    }
}

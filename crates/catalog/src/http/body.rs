//! Bodies of requests, within a limit of size and time.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use hyper::{StatusCode, header};
use tokio::time::{Instant, timeout_at};

use super::reply::HttpError;
use crate::machine::VALUE_BYTES_MAX;

/// Longest time that a body may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);
/// Bytes of an oversize body that are read and thrown away, so that a client which writes first and
/// reads later gets to see why.
const DISCARDED_BYTES: u64 = 16 << 20;

/// Reads a body of at most 512 KiB.
pub(super) async fn read(
    mut body: Incoming,
    headers: &hyper::HeaderMap,
) -> Result<Bytes, HttpError> {
    let announced = body.size_hint().lower();
    let deadline = Instant::now() + BODY_TIMEOUT;
    let limit = VALUE_BYTES_MAX as u64;
    if announced > limit {
        // A client that waits for a word from us before it sends has nothing to throw away.
        if !headers.contains_key(header::EXPECT) {
            discard(body, deadline).await;
        }
        return Err(too_large(announced));
    }
    let mut bytes = BytesMut::new();
    loop {
        let frame = match timeout_at(deadline, body.frame()).await {
            Ok(None) => return Ok(bytes.freeze()),
            Ok(Some(Ok(frame))) => frame,
            Ok(Some(Err(error))) => {
                return Err(closing(
                    StatusCode::BAD_REQUEST,
                    format!("read request body: {error}"),
                ));
            }
            Err(_) => {
                let text = "read request body: it did not arrive in a minute; send it faster";
                return Err(closing(StatusCode::REQUEST_TIMEOUT, text.to_owned()));
            }
        };
        if let Ok(data) = frame.into_data() {
            bytes.extend_from_slice(&data);
        }
        if bytes.len() as u64 > limit {
            let size = bytes.len() as u64;
            drop(bytes);
            discard(body, deadline).await;
            return Err(too_large(size));
        }
    }
}

async fn discard(mut body: Incoming, deadline: Instant) {
    let mut seen = 0;
    while let Ok(Some(Ok(frame))) = timeout_at(deadline, body.frame()).await {
        seen += frame.data_ref().map_or(0, |data| data.len() as u64);
        if seen > DISCARDED_BYTES {
            return;
        }
    }
}

fn closing(status: StatusCode, text: String) -> HttpError {
    HttpError { closes: true, ..HttpError::new(status, text) }
}

/// The text of the original.
fn too_large(bytes: u64) -> HttpError {
    let text = format!(
        "Request body({bytes} bytes) too large, max size: {VALUE_BYTES_MAX} bytes. See \
         https://www.consul.io/docs/agent/options.html#kv_max_value_size."
    );
    closing(StatusCode::PAYLOAD_TOO_LARGE, text)
}

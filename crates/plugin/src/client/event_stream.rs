use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::{Method, Response, StatusCode};
use regrow_codec::decode;

use super::exchange::{Exchange, Task};
use super::pool::Connection;
use crate::percent;
use crate::spi::{Event, EventStream, Result};
use crate::wire::Kind;

/// How long a subscription waits to see whether it is refused. The original sends nothing, not even
/// a status, before the first event, so longer waiting would be in vain.
const REFUSAL_WAIT: Duration = Duration::from_millis(500);

/// Longest event; a longer one ends the stream.
const MAX_EVENT_BYTES: usize = 1 << 20;

/// Bytes of an error page that are read.
const MAX_ERROR_BYTES: usize = 1 << 10;

/// Subscribes to the events of a plugin.
pub(super) async fn subscribe(exchange: &Arc<Exchange>, topic: &str) -> Result<EventStream> {
    let path = format!("events?topic=/{}", percent::encode(topic.trim_start_matches('/')));
    let task = Task {
        what: "events",
        kind: Kind::Read,
        method: Method::GET,
        path: &path,
        body: bytes::Bytes::new(),
    };
    let (connection, answer) = exchange.open(&task).await?;
    let mut answer = Box::pin(answer);
    match tokio::time::timeout(REFUSAL_WAIT, &mut answer).await {
        Ok(response) => {
            let response = response?;
            if response.status() != StatusCode::OK {
                let status = response.status();
                let text = error_text(response.into_body()).await;
                return Err(exchange.bad_status("events", status, &text));
            }
            Ok(events(response.into_body(), connection).boxed())
        }
        Err(_) => {
            Ok(Box::pin(stream::once(answer).flat_map(move |response| late(response, &connection))))
        }
    }
}

fn late(
    response: Result<Response<Incoming>>,
    _held: &Connection,
) -> BoxStream<'static, Arc<Event>> {
    match response {
        Ok(response) if response.status() == StatusCode::OK => lines(response.into_body()).boxed(),
        _ => stream::empty().boxed(),
    }
}

fn events(
    body: Incoming,
    connection: Connection,
) -> impl futures::Stream<Item = Arc<Event>> + Send {
    // The connection lives as long as the stream.
    lines(body).map(move |event| {
        let _held = &connection;
        event
    })
}

fn lines(body: Incoming) -> impl futures::Stream<Item = Arc<Event>> + Send {
    stream::unfold((body, Parser::default()), |(mut body, mut parser)| async move {
        loop {
            if let Some(event) = parser.next()? {
                return Some((Arc::new(event), (body, parser)));
            }
            match body.frame().await? {
                Ok(frame) => {
                    if let Ok(bytes) = frame.into_data() {
                        parser.pending.extend_from_slice(&bytes);
                    }
                }
                Err(_) => return None,
            }
        }
    })
}

async fn error_text(mut body: Incoming) -> Vec<u8> {
    let mut text = Vec::new();
    while let Some(Ok(frame)) = body.frame().await {
        if let Ok(bytes) = frame.into_data() {
            text.extend_from_slice(&bytes);
        }
        if text.len() > MAX_ERROR_BYTES {
            break;
        }
    }
    text
}

/// Takes server-sent events apart.
#[derive(Default)]
struct Parser {
    pending: Vec<u8>,
    data: Vec<u8>,
}

impl Parser {
    /// The next whole event: `Some(None)` when more bytes are needed, `None` when the stream makes
    /// no sense any more.
    fn next(&mut self) -> Option<Option<Event>> {
        let mut start = 0;
        let mut found = None;
        while let Some(length) = self.pending[start..].iter().position(|byte| *byte == b'\n') {
            let line = &self.pending[start..start + length];
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            start += length + 1;
            if line.is_empty() {
                if let Some(event) = read(&std::mem::take(&mut self.data)) {
                    found = Some(event);
                    break;
                }
            } else if let Some(data) = line.strip_prefix(b"data:") {
                self.data.extend_from_slice(data);
                self.data.push(b'\n');
            }
        }
        self.pending.drain(..start);
        if self.pending.len() + self.data.len() > MAX_EVENT_BYTES {
            return None;
        }
        Some(found)
    }
}

fn read(data: &[u8]) -> Option<Event> {
    if data.is_empty() {
        return None;
    }
    match decode::from_slice::<Event>(data) {
        Ok(mut event) => {
            event.received = jiff::Timestamp::now().to_string();
            Some(event)
        }
        Err(fault) => {
            tracing::debug!(%fault, "skipped an event that cannot be read");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_EVENT_BYTES, Parser};

    #[test]
    fn events_come_in_any_pieces() {
        let text = b": hi\r\nevent: x\ndata: {\"Topic\": \"a\",\ndata: \"ID\": \"1\"}\n\n\
                     data: broken\n\ndata:{\"Topic\":\"b\"}\n\n";
        for size in 1..text.len() {
            let mut parser = Parser::default();
            let mut topics = Vec::new();
            for piece in text.chunks(size) {
                parser.pending.extend_from_slice(piece);
                while let Some(event) = parser.next().expect("small enough") {
                    topics.push(event.topic.clone());
                }
            }
            assert_eq!(topics, ["a", "b"], "pieces of {size}");
        }
    }

    #[test]
    fn an_event_without_end_ends_the_stream() {
        let mut parser = Parser { pending: vec![b'x'; MAX_EVENT_BYTES + 1], data: Vec::new() };
        assert!(parser.next().is_none());
    }
}

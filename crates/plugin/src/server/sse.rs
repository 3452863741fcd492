//! Events as server-sent events (InfraKit specification §1.6).

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::{FutureExt, StreamExt};
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::Shared;
use super::http::status;
use super::payload::Payload;
use crate::discovery::Endpoint;
use crate::spi::{Event, EventStream};
use crate::topics;

/// Events that wait for one subscriber; when it falls further behind, it loses the oldest.
const QUEUED_EVENTS: usize = 256;

/// A stream without events says so this often. Without it a peer that vanished from the network is
/// never written to, and keeps one of the few places for ever.
const QUIET_TIME: Duration = Duration::from_secs(30);

/// A comment, which readers of event streams skip; InfraKit's takes lines with `data:` only. No blank
/// line after it: that would end an event.
const COMMENT: &[u8] = b":\n";

const HEADERS: [(HeaderName, &str); 3] = [
    (header::CONTENT_TYPE, "text/event-stream"),
    (header::CACHE_CONTROL, "no-cache"),
    (header::CONNECTION, "keep-alive"),
];

/// Answers with a stream of events.
pub(super) async fn subscribe(shared: &Arc<Shared>, query: &str) -> Response<Payload> {
    let Some(objects) = shared.plugin.events() else {
        return status(StatusCode::NOT_FOUND, "this plugin publishes no events");
    };
    let Ok(permit) = Arc::clone(&shared.subscribers).try_acquire_owned() else {
        let text = format!("more than {} subscribers", shared.limits.max_subscribers);
        return status(StatusCode::SERVICE_UNAVAILABLE, &text);
    };
    let topic = topic_of(query);
    let subscribed = std::panic::AssertUnwindSafe(topics::subscribe(objects, &topic));
    let events = match subscribed.catch_unwind().await {
        Ok(Ok(events)) => events,
        Ok(Err(error)) => {
            let text = format!("subscribe to {topic:?}: {error}");
            return status(StatusCode::INTERNAL_SERVER_ERROR, &text);
        }
        Err(_) => {
            let text = format!("subscribe to {topic:?}: the plugin panicked");
            return status(StatusCode::INTERNAL_SERVER_ERROR, &text);
        }
    };
    let mut response = Response::new(Payload::stream(chunks(shared, events, permit)));
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    if matches!(shared.endpoint, Endpoint::Unix(_)) {
        // InfraKit sends it. On a port it would let any web page read the events.
        let any = HeaderValue::from_static("*");
        response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, any);
    }
    response
}

/// The topic of a query, with one leading slash.
fn topic_of(query: &str) -> String {
    let value = query.split('&').find_map(|pair| pair.strip_prefix("topic=")).unwrap_or("");
    format!("/{}", crate::percent::decode(value).trim_start_matches('/'))
}

/// Reads the plugin's stream at once, whatever the subscriber does, and hands out what fits.
fn chunks(
    shared: &Arc<Shared>,
    mut events: EventStream,
    permit: OwnedSemaphorePermit,
) -> impl futures::Stream<Item = Bytes> + Send + 'static {
    let queue = Arc::new(Queue::default());
    let filling = Arc::clone(&queue);
    let filler = AbortOnDropHandle::new(tokio::spawn(async move {
        while let Some(event) = events.next().await {
            filling.push(event);
        }
        filling.end();
    }));
    let stop = shared.stop.clone();
    futures::stream::unfold((queue, filler, permit), move |state| {
        let stop = stop.clone();
        async move { Some((next_chunk(&state.0, &stop).await?, state)) }
    })
}

/// What is sent next, once there is something to send; `None` at the end of the stream.
async fn next_chunk(queue: &Queue, stop: &CancellationToken) -> Option<Bytes> {
    tokio::select! {
        event = queue.pop() => event.map(|event| encode(&event)),
        () = tokio::time::sleep(QUIET_TIME) => Some(Bytes::from_static(COMMENT)),
        () = stop.cancelled() => None,
    }
}

/// One event as one line; raw JSON may come with line breaks.
fn encode(event: &Event) -> Bytes {
    let mut event = event.clone();
    if event.timestamp.is_empty() {
        // Go's decoder refuses an empty time.
        event.timestamp = jiff::Timestamp::now().to_string();
    }
    let text = serde_json::to_string(&event).unwrap_or_else(|_| "{}".to_owned());
    // Line breaks are legal JSON only between tokens: inside a text they are escaped.
    Bytes::from(format!("data: {}\n\n", text.replace(['\n', '\r'], " ")))
}

#[derive(Default)]
struct Queue {
    events: Mutex<(VecDeque<Arc<Event>>, bool)>,
    changed: Notify,
}

impl Queue {
    fn push(&self, event: Arc<Event>) {
        let mut guard = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        let (events, _) = &mut *guard;
        if events.len() == QUEUED_EVENTS {
            events.pop_front();
        }
        events.push_back(event);
        drop(guard);
        self.changed.notify_one();
    }

    fn end(&self) {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).1 = true;
        self.changed.notify_one();
    }

    /// The next event; `None` when there will be no more.
    async fn pop(&self) -> Option<Arc<Event>> {
        loop {
            {
                let mut guard = self.events.lock().unwrap_or_else(PoisonError::into_inner);
                let (events, ended) = &mut *guard;
                if let Some(event) = events.pop_front() {
                    return Some(event);
                }
                if *ended {
                    return None;
                }
            }
            self.changed.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::time::Instant;
    use tokio_util::sync::CancellationToken;

    use super::{QUEUED_EVENTS, QUIET_TIME, Queue, next_chunk, topic_of};
    use crate::spi::Event;

    #[test]
    fn topics_are_cleaned_and_decoded() {
        for (query, topic) in [
            ("", "/"),
            ("topic=", "/"),
            ("topic=a/b", "/a/b"),
            ("x=1&topic=//a%2Fb/", "/a/b/"),
            ("topic=a%zzb", "/a%zzb"),
        ] {
            assert_eq!(topic_of(query), topic, "{query}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_quiet_stream_says_so() {
        let (queue, stop) = (Queue::default(), CancellationToken::new());
        let start = Instant::now();
        for times in 1..=3 {
            let chunk = next_chunk(&queue, &stop).await.expect("a comment");
            assert_eq!((&chunk[..], start.elapsed()), (&b":\n"[..], QUIET_TIME * times));
        }
        queue.push(Arc::new(Event { id: "i-1".into(), ..Event::default() }));
        let chunk = next_chunk(&queue, &stop).await.expect("the event");
        assert!(chunk.starts_with(b"data: {") && chunk.ends_with(b"\n\n"), "{chunk:?}");
        assert_eq!(start.elapsed(), QUIET_TIME * 3, "an event does not wait");
        stop.cancel();
        assert_eq!(next_chunk(&queue, &stop).await, None);
    }

    #[tokio::test]
    async fn a_subscriber_that_falls_behind_loses_the_oldest() {
        let queue = Queue::default();
        for id in 0..QUEUED_EVENTS + 10 {
            queue.push(Arc::new(Event { id: id.to_string(), ..Event::default() }));
        }
        queue.end();
        assert_eq!(queue.pop().await.expect("an event").id, "10");
        let mut left = 0;
        while queue.pop().await.is_some() {
            left += 1;
        }
        assert_eq!(left, QUEUED_EVENTS - 1);
    }
}

use std::time::Duration;

use futures::StreamExt;
use futures::stream;

use super::Client;
use super::generation::Greeting;
use crate::spi::{Event, EventStream, Interface};
use crate::wire::calls::event::List;
use crate::{DEFAULT_OBJECT, topics};

/// First pause after a stream of hints broke; doubles up to [`PAUSE_LIMIT`].
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_LIMIT: Duration = Duration::from_secs(10);

/// The topic of hints about the instances of an object, if the plugin publishes any (see
/// [`topics`]).
pub(super) async fn topic(client: &Client, greeting: &Greeting, object: &str) -> Option<String> {
    greeting.hello.require(Interface::Event).ok()?;
    let list = List { topic: topics::INSTANCES.to_owned() };
    // A plugin that has events, but not these, may say so with an error.
    let ask = || async { client.call(&list).await.map(|found| found.nodes) };
    let hinting = greeting.hinting.get_or_try_init(ask).await.ok()?;
    let hints = |name: &str| hinting.iter().any(|node| node == name);
    let object = match object {
        "" if hints(DEFAULT_OBJECT) => DEFAULT_OBJECT,
        // Without a name the only object is meant.
        "" => match greeting.hello.names(Interface::Instance).as_slice() {
            [only] => *only,
            _ => return None,
        },
        named => named,
    };
    hints(object).then(|| topics::of_instances(object))
}

/// Hints for as long as anybody listens. A broken stream wakes the reader, for something may have
/// been missed, and is made again.
pub(super) fn hints(client: Client, topic: String) -> EventStream {
    let start = State { client, topic, events: None, pause: None, connected_before: false };
    Box::pin(stream::unfold(start, |mut state| async move {
        loop {
            if let Some(events) = &mut state.events {
                if let Some(event) = events.next().await {
                    state.pause = None;
                    return Some((event, state));
                }
                state.events = None;
                let wake = state.wake();
                return Some((wake, state));
            }
            let again = state.reconnect().await;
            if again {
                let wake = state.wake();
                return Some((wake, state));
            }
        }
    }))
}

struct State {
    client: Client,
    topic: String,
    events: Option<EventStream>,
    /// Pause before the next attempt; none before the first and after an event.
    pause: Option<Duration>,
    connected_before: bool,
}

impl State {
    /// Tries to subscribe; true when it worked and was not the first time.
    async fn reconnect(&mut self) -> bool {
        if let Some(pause) = self.pause {
            // Between half of the pause and all of it, so that watchers do not come in step.
            let part = rand::random_range(0.5..=1.0);
            tokio::time::sleep(pause.mul_f64(part)).await;
        }
        self.pause = Some(self.pause.map_or(PAUSE, |pause| (pause * 2).min(PAUSE_LIMIT)));
        match self.client.subscribe(&self.topic).await {
            Ok(events) => self.events = Some(events),
            Err(error) => tracing::debug!(%error, topic = self.topic, "subscribe to hints"),
        }
        let connected = self.events.is_some();
        connected && std::mem::replace(&mut self.connected_before, true)
    }

    fn wake(&self) -> std::sync::Arc<Event> {
        std::sync::Arc::new(Event {
            topic: self.topic.clone(),
            kind: topics::CHANGED.to_owned(),
            message: "the stream of events was interrupted".to_owned(),
            ..Event::default()
        })
    }
}

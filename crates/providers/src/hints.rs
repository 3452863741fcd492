//! Hints that something changed: one sender, any number of readers, nobody waits.

use std::sync::Arc;

use async_trait::async_trait;
use regrow_codec::Any;
use regrow_ids::InstanceId;
use regrow_plugin::spi::{Event, EventStream, Events, Result};
use tokio::sync::broadcast;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::BroadcastStream;

/// Events that a slow reader may fall behind before it loses the oldest. A lost hint costs one poll
/// interval, so this need not be large.
const CAPACITY_EVENTS: usize = 1_024;

/// What happened to an instance. The text is the event's `Type`, and the topic is `instance/` with
/// that text behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happened {
    /// It was made by a call, or appeared by other means.
    Created,
    /// It was removed by a call.
    Destroyed,
    /// It is gone although nobody asked for that.
    Lost,
    /// Its tags or contents changed.
    Changed,
}

impl Happened {
    const ALL: [Self; 4] = [Self::Created, Self::Destroyed, Self::Lost, Self::Changed];

    /// The word for it, as in [`Event::kind`].
    pub const fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Destroyed => "destroyed",
            Self::Lost => "lost",
            Self::Changed => "changed",
        }
    }
}

/// Where topics of instances begin.
const ROOT: &str = "instance/";

/// Sends hints to everybody who watches.
#[derive(Clone, Debug)]
pub(crate) struct Hints(broadcast::Sender<Arc<Event>>);

impl Default for Hints {
    fn default() -> Self {
        Self(broadcast::Sender::new(CAPACITY_EVENTS))
    }
}

impl Hints {
    /// Tells the readers. Costs nothing when there are none.
    pub(crate) fn tell(&self, happened: Happened, id: &InstanceId, message: impl Into<String>) {
        if self.0.receiver_count() == 0 {
            return;
        }
        let kind = happened.word();
        // The only failure is that the last reader left in the meantime.
        let _ = self.0.send(Arc::new(Event {
            topic: format!("{ROOT}{kind}"),
            kind: kind.to_owned(),
            id: id.to_string(),
            message: message.into(),
            timestamp: jiff::Timestamp::now().to_string(),
            received: String::new(),
            data: Any::default(),
        }));
    }

    /// Tells the readers what somebody else reported.
    pub(crate) fn pass_on(&self, event: Arc<Event>) {
        // The only failure is that there are no readers.
        let _ = self.0.send(event);
    }

    /// Everything from now on.
    pub(crate) fn stream(&self) -> EventStream {
        Box::pin(BroadcastStream::new(self.0.subscribe()).filter_map(std::result::Result::ok))
    }
}

#[async_trait]
impl Events for Hints {
    async fn list(&self, topic: &str) -> Result<Vec<String>> {
        let words = || Happened::ALL.iter().map(|happened| happened.word().to_owned()).collect();
        Ok(match topic.trim_matches('/') {
            "" | "." => vec![ROOT.trim_end_matches('/').to_owned()],
            "instance" => words(),
            _ => Vec::new(),
        })
    }

    async fn subscribe(&self, topic: &str) -> Result<EventStream> {
        let topic = topic.to_owned();
        Ok(Box::pin(self.stream().filter(move |event| {
            if topic.is_empty() || topic.ends_with('/') {
                event.topic.starts_with(&topic)
            } else {
                event.topic == topic
            }
        })))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use regrow_ids::InstanceId;
    use regrow_plugin::spi::Events as _;
    use tokio_stream::StreamExt as _;

    use super::{CAPACITY_EVENTS, Happened, Hints};

    #[tokio::test]
    async fn topics_select() {
        let hints = Hints::default();
        let mut lost = hints.subscribe("instance/lost").await.expect("stream");
        let mut all = hints.subscribe("instance/").await.expect("stream");
        let mut other = hints.subscribe("disk/").await.expect("stream");
        hints.tell(Happened::Created, &InstanceId::from("a"), "");
        hints.tell(Happened::Lost, &InstanceId::from("b"), "exit status 3");
        assert_eq!(lost.next().await.expect("event").id, "b");
        assert_eq!(all.next().await.expect("event").id, "a");
        assert_eq!(all.next().await.expect("event").message, "exit status 3");
        let silence = tokio::time::timeout(Duration::from_millis(10), other.next()).await;
        assert!(silence.is_err());
        assert_eq!(hints.list("").await.expect("list"), ["instance"]);
        assert_eq!(hints.list("/instance").await.expect("list").len(), 4);
    }

    #[tokio::test]
    async fn a_slow_reader_loses_the_oldest_and_delays_nobody() {
        let hints = Hints::default();
        let mut slow = hints.stream();
        for number in 0..CAPACITY_EVENTS + 10 {
            hints.tell(Happened::Changed, &InstanceId::from(number.to_string()), "");
        }
        assert_eq!(slow.next().await.expect("event").id, "10");
    }
}

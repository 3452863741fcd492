//! What happens to groups, as events: topic `groups/<group>`, type `info` or `warning`.

use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt;
use regrow_codec::Any;
use regrow_plugin::spi::{Event, EventStream, Events, Result};
use regrow_plugin::topics;
use regrow_reconcile::Note;
use tokio_stream::wrappers::BroadcastStream;

use super::Groups;

/// Topic above all groups.
const GROUPS: &str = "groups";

/// The notes of the loop, for subscribers of any process.
pub(super) struct GroupEvents(pub(super) Arc<Groups>);

#[async_trait]
impl Events for GroupEvents {
    async fn list(&self, topic: &str) -> Result<Vec<String>> {
        Ok(match topic.trim_matches('/') {
            "" => vec![GROUPS.to_owned()],
            GROUPS => self.0.watched().iter().map(|id| id.as_str().to_owned()).collect(),
            _ => vec![],
        })
    }

    async fn subscribe(&self, topic: &str) -> Result<EventStream> {
        let topic = topic.to_owned();
        let notes = BroadcastStream::new(self.0.notes());
        // A reader that falls behind misses notes; the next one it gets is as good as any.
        let known = notes.filter_map(|note| std::future::ready(note.ok()));
        let events = known.map(|note| Arc::new(event(&note)));
        Ok(Box::pin(
            events.filter(move |event| std::future::ready(topics::matches(&topic, &event.topic))),
        ))
    }
}

fn event(note: &Note) -> Event {
    Event {
        topic: format!("{GROUPS}/{}", note.key),
        kind: note.level.to_string(),
        id: note.key.clone(),
        message: note.text.clone(),
        timestamp: jiff::Timestamp::now().to_string(),
        received: String::new(),
        data: Any::default(),
    }
}

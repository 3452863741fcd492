use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use futures::Stream;
use regrow_codec::Any;
use serde::{Deserialize, Serialize};

use super::Result;

/// Something that happened (InfraKit specification §1.6).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Event {
    /// Path that subscribers name.
    pub topic: String,
    /// Kind of the event.
    #[serde(rename = "Type")]
    pub kind: String,
    /// What it is about, such as an instance id.
    #[serde(rename = "ID")]
    pub id: String,
    /// For people.
    pub message: String,
    /// When it happened, RFC 3339.
    pub timestamp: String,
    /// When it arrived here, RFC 3339; filled in by the receiver.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub received: String,
    /// Anything else.
    pub data: Any,
}

/// Events as they come. A reader that falls behind loses the oldest and is told nothing else: events
/// are hints.
pub type EventStream = Pin<Box<dyn Stream<Item = Arc<Event>> + Send>>;

/// Publishes events: `Event/0.1.1` and the `/events` stream.
#[async_trait]
pub trait Events: Send + Sync {
    /// Children of a topic path.
    ///
    /// # Errors
    /// The plugin cannot tell.
    async fn list(&self, topic: &str) -> Result<Vec<String>>;

    /// Events below a topic: a topic that ends in `/` (or is empty) matches by prefix, any other
    /// exactly. A topic that nobody publishes is accepted.
    ///
    /// # Errors
    /// The plugin cannot be reached.
    async fn subscribe(&self, topic: &str) -> Result<EventStream>;
}

//! Topics of events: cleaning, matching, and where the objects of a plugin are mounted.
//!
//! The default object's topics stand at the root; those of an object named `x` below `x/`.
//!
//! # Convention: hints about instances
//!
//! An instance plugin that notices changes publishes events under the topic `instances/` + object
//! name, exactly as the name stands in the handshake (so `instances/.` for the default object). The
//! types are [`LOST`] and [`CHANGED`], `ID` is the instance's. `Event.List` of `instances` gives the
//! objects that can tell. A server does all of this by itself for every instance object whose
//! [`watch`](crate::spi::Instance::watch) returns a stream; a client subscribes when it is asked to
//! watch. Events are hints: they wake a reader that then lists.

use std::sync::Arc;

use futures::StreamExt;

use crate::spi::{Event, EventStream, Events, Result};
use crate::{DEFAULT_OBJECT, Objects};

/// Topic above all hints about instances.
pub const INSTANCES: &str = "instances";

/// Type of an event that says an instance is gone.
pub const LOST: &str = "lost";

/// Type of an event that says something about an instance, or unknown instances, changed.
pub const CHANGED: &str = "changed";

/// Topic of the hints about the instances of one object.
pub fn of_instances(object: &str) -> String {
    let object = if object.is_empty() { DEFAULT_OBJECT } else { object };
    format!("{INSTANCES}/{object}")
}

/// True when an event with this topic goes to a subscriber of that topic: a subscribed topic that
/// ends in `/`, or is empty, matches by prefix, any other exactly. Leading slashes do not count.
pub fn matches(subscribed: &str, topic: &str) -> bool {
    let (subscribed, topic) = (bare(subscribed), bare(topic));
    if subscribed.is_empty() || subscribed.ends_with('/') {
        topic.starts_with(subscribed)
    } else {
        topic == subscribed
    }
}

/// The topic without leading slashes.
fn bare(topic: &str) -> &str {
    topic.trim_start_matches('/')
}

/// Children of a topic over all objects of a plugin, sorted.
pub(crate) async fn list(objects: &dyn Objects<dyn Events>, topic: &str) -> Result<Vec<String>> {
    let topic = bare(topic).trim_end_matches('/');
    let names = objects.names();
    let (head, tail) = topic.split_once('/').unwrap_or((topic, ""));
    if head != DEFAULT_OBJECT
        && names.iter().any(|name| name == head)
        && let Some(object) = objects.get(head)
    {
        return object.list(tail).await;
    }
    let mut nodes = match objects.get(DEFAULT_OBJECT) {
        Some(object) => object.list(if topic == DEFAULT_OBJECT { "" } else { topic }).await?,
        None => Vec::new(),
    };
    if topic.is_empty() || topic == DEFAULT_OBJECT {
        nodes.extend(names.into_iter().filter(|name| name != DEFAULT_OBJECT));
    }
    nodes.sort();
    nodes.dedup();
    Ok(nodes)
}

/// Events of all objects of a plugin below a topic.
pub(crate) async fn subscribe(
    objects: &dyn Objects<dyn Events>,
    topic: &str,
) -> Result<EventStream> {
    let topic = bare(topic).to_owned();
    let mut streams = Vec::new();
    for name in objects.names() {
        let Some(object) = objects.get(&name) else { continue };
        if name == DEFAULT_OBJECT {
            streams.push(object.subscribe(&topic).await?);
        } else if topic.is_empty() {
            streams.push(mounted(name, object.subscribe("").await?));
        } else if let Some(tail) = topic.strip_prefix(&name).and_then(|tail| tail.strip_prefix('/'))
        {
            streams.push(mounted(name.clone(), object.subscribe(tail).await?));
        }
    }
    let merged = futures::stream::select_all(streams);
    // An object may take the topic as a mere suggestion; the subscriber must not see that.
    Ok(Box::pin(merged.filter(move |event| {
        let wanted = matches(&topic, &event.topic);
        async move { wanted }
    })))
}

/// Puts the name of an object before the topics of its events.
fn mounted(name: String, events: EventStream) -> EventStream {
    Box::pin(events.map(move |event| {
        let mut event = Event::clone(&event);
        event.topic = format!("{name}/{}", bare(&event.topic));
        Arc::new(event)
    }))
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_trailing_slash_asks_for_everything_below() {
        for (subscribed, topic, wanted) in [
            ("", "a/b", true),
            ("/", "a/b", true),
            ("a/", "a/b", true),
            ("/a/", "a/b", true),
            ("a", "a/b", false),
            ("a/b", "/a/b", true),
            ("//a/b", "a/b", true),
            ("a/b", "a/bc", false),
            ("a/", "ab", false),
        ] {
            assert_eq!(matches(subscribed, topic), wanted, "{subscribed} {topic}");
        }
    }
}

use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt;

use crate::spi::{Event, EventStream, Events, Instance, Interface, Result};
use crate::{DEFAULT_OBJECT, Objects, Plugin, topics};

/// Adds a default event object that publishes the hints of the plugin's instance objects, when one
/// of them has any (see [`topics`] for the convention).
pub(super) fn with_watch_events(plugin: Plugin) -> Plugin {
    let Some(objects) = plugin.instances() else { return plugin };
    let tells = |name: &String| objects.get(name).is_some_and(|object| object.watch().is_some());
    if !objects.names().iter().any(tells) {
        return plugin;
    }
    debug_assert!(plugin.offers(Interface::Instance));
    plugin.clone().with_events(WatchEvents { plugin })
}

/// The plugin's own event objects, with a default one that knows the instances too.
struct WatchEvents {
    plugin: Plugin,
}

impl WatchEvents {
    fn own(&self, name: &str) -> Option<Arc<dyn Events>> {
        self.plugin.events().and_then(|objects| objects.get(name))
    }
}

impl Objects<dyn Events> for WatchEvents {
    fn names(&self) -> Vec<String> {
        let mut names = self.plugin.events().map(Objects::names).unwrap_or_default();
        if !names.iter().any(|name| name == DEFAULT_OBJECT) {
            names.insert(0, DEFAULT_OBJECT.to_owned());
        }
        names
    }

    fn get(&self, name: &str) -> Option<Arc<dyn Events>> {
        if name != DEFAULT_OBJECT {
            return self.own(name);
        }
        let (plugin, own) = (self.plugin.clone(), self.own(name));
        Some(Arc::new(Hints { plugin, own }))
    }
}

struct Hints {
    plugin: Plugin,
    own: Option<Arc<dyn Events>>,
}

impl Hints {
    fn objects(&self) -> impl Iterator<Item = (String, Arc<dyn Instance>)> {
        let objects = self.plugin.instances();
        let names = objects.map(Objects::names).unwrap_or_default();
        names.into_iter().filter_map(move |name| {
            let object = objects?.get(&name)?;
            Some((name, object))
        })
    }
}

#[async_trait]
impl Events for Hints {
    async fn list(&self, topic: &str) -> Result<Vec<String>> {
        if topic == topics::INSTANCES {
            let tells = |(name, object): (String, Arc<dyn Instance>)| object.watch().map(|_| name);
            return Ok(self.objects().filter_map(tells).collect());
        }
        let mut nodes = match &self.own {
            Some(own) => own.list(topic).await?,
            None => Vec::new(),
        };
        if topic.is_empty() {
            nodes.push(topics::INSTANCES.to_owned());
        }
        Ok(nodes)
    }

    async fn subscribe(&self, topic: &str) -> Result<EventStream> {
        let mut streams = Vec::new();
        for (name, object) in self.objects() {
            let published = topics::of_instances(&name);
            if !topics::matches(topic, &published) {
                continue;
            }
            let Some(events) = object.watch() else { continue };
            streams.push(events.map(move |event| {
                let mut event = Event::clone(&event);
                event.topic.clone_from(&published);
                Arc::new(event)
            }));
        }
        let hints: EventStream = Box::pin(futures::stream::select_all(streams));
        Ok(match &self.own {
            Some(own) => Box::pin(futures::stream::select(hints, own.subscribe(topic).await?)),
            None => hints,
        })
    }
}

use serde::{Deserialize, Serialize};

use crate::spi::{Interface, Result};
use crate::topics;
use crate::wire::{BoxFuture, Kind, Method, Row};
use crate::{Plugin, PluginError};

/// Asks for the children of a topic. Unlike all others this request names no object: named
/// objects are mounted at the first part of the topic.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(crate) struct List {
    pub(crate) topic: String,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(crate) struct Nodes {
    pub(crate) nodes: Vec<String>,
}

impl Method for List {
    type Reply = Nodes;
    const INTERFACE: Interface = Interface::Event;
    const METHOD: &'static str = "Event.List";
    const KIND: Kind = Kind::Read;

    fn serve(self, plugin: &Plugin) -> BoxFuture<Result<Nodes>> {
        let plugin = plugin.clone();
        Box::pin(async move {
            let objects = plugin
                .events()
                .ok_or_else(|| PluginError::Protocol("the plugin publishes no events".into()))?;
            topics::list(objects, &self.topic).await.map(|nodes| Nodes { nodes })
        })
    }
}

pub(super) static ROWS: &[Row] = &[Row::of::<List>()];

use std::sync::Arc;

use async_trait::async_trait;
use regrow_codec::Any;
use regrow_plugin::spi::{Change, Metadata, Proposal, Result, Updatable};
use regrow_plugin::tree::{self, Path, TreeError};
use serde_json::{Map, Value, json};

use crate::ManagerError;
use crate::core::Core;
use crate::leader::{Leadership, print_location};

/// What the manager knows about itself: a tree to read.
///
/// `leader` and `configs` are the original's; `leadership` (`state`, `fence`, `why`, `location`, and
/// where it is known the `leader` with its `id` and its `machine`) and `failing` (stored specs that their plugins reject, with the error) are ours.
pub(super) struct StatusObject(pub(super) Arc<Core>);

impl StatusObject {
    async fn tree(&self) -> Result<Value> {
        let core = &self.0;
        let leadership = core.leadership();
        let mut about = Map::from_iter([("state".to_owned(), leadership.word().into())]);
        match &leadership {
            Leadership::Leading { fence } => about.insert("fence".into(), fence.get().into()),
            Leadership::Unknown(why) => about.insert("why".into(), (&**why).into()),
            Leadership::Following => None,
        };
        let location = match core.source.location().await {
            Ok(location) => location.as_ref().map(print_location).into(),
            Err(fault) => json!({"error": fault.to_string()}),
        };
        about.insert("location".into(), location);
        if let Ok(Some(leader)) = core.source.leader().await {
            about.insert("leader".into(), json!({"id": leader.id, "machine": leader.machine}));
        }
        let (catalog, _) = core.shelf.read().await.map_err(ManagerError::from)?;
        let failing = core
            .settling
            .failing()
            .into_iter()
            .map(|(key, failure)| (format!("{} {}", key.kind, key.name), json!(failure)));
        Ok(json!({
            "leader": matches!(leadership, Leadership::Leading { .. }),
            "configs": catalog.to_document().to_value(),
            "leadership": about,
            "failing": Map::from_iter(failing),
        }))
    }
}

#[async_trait]
impl Metadata for StatusObject {
    async fn keys(&self, path: &str) -> Result<Vec<String>> {
        let path = Path::parse(path)?;
        Ok(tree::keys(&self.tree().await?, &path))
    }

    async fn get(&self, path: &str) -> Result<Option<Any>> {
        let path = Path::parse(path)?;
        Ok(tree::get(&self.tree().await?, &path).map(Any::from))
    }
}

#[async_trait]
impl Updatable for StatusObject {
    async fn changes(&self, _: &[Change]) -> Result<Proposal> {
        Err(TreeError::ReadOnly.into())
    }

    async fn commit(&self, _: &Any, _: &str) -> Result<()> {
        Err(TreeError::ReadOnly.into())
    }
}

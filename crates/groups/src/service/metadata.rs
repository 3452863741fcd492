//! What is known about the groups, as one readable tree (InfraKit specification §4.1).

use std::sync::Arc;

use async_trait::async_trait;
use regrow_codec::Any;
use regrow_ids::GroupId;
use regrow_plugin::spi::{Group, Metadata, Result};
use regrow_plugin::tree::{Path, Step, get, keys};
use serde_json::{Map, Value, json};

use super::{GroupService, Groups};

/// The documents: `specs/<group>/…`.
const SPECS: &str = "specs";
/// `groups/<group>/{Converged,Instances/[i]/…}`, and ours: `Blocked` (why something is not done) and
/// `StepsOpen`.
const GROUPS: &str = "groups";

/// A tree that is taken anew at each question.
pub(super) struct Snapshot(pub(super) Arc<Groups>);

/// The step of a path at a place, when it is a name.
fn key(path: &Path, at: usize) -> Option<&str> {
    match path.steps().get(at) {
        Some(Step::Key(key)) => Some(key),
        _ => None,
    }
}

impl Snapshot {
    /// As much of the tree as a question about the path needs.
    async fn tree(&self, path: &Path) -> Result<Value> {
        let service = GroupService(Arc::clone(&self.0));
        let asked = |part: &str| key(path, 0).is_none_or(|first| first == part);
        let (mut documents, mut states) = (Map::new(), Map::new());
        for spec in service.inspect_groups().await? {
            let id = spec.id.as_str().to_owned();
            if asked(GROUPS) {
                states.insert(id.clone(), self.state(&service, &spec.id, path).await?);
            }
            if asked(SPECS) {
                let document = json!({ "ID": id, "Properties": spec.properties.to_value() });
                documents.insert(id, document);
            }
        }
        Ok(json!({ SPECS: documents, GROUPS: states }))
    }

    /// A question about one group is not answered by asking the providers of all, nor one about its
    /// state by listing its members.
    async fn state(&self, service: &GroupService, id: &GroupId, path: &Path) -> Result<Value> {
        if key(path, 1).is_some_and(|only| only != id.as_str()) {
            return Ok(Value::Null);
        }
        let instances = match key(path, 2).is_none_or(|part| part == "Instances") {
            true => service.describe_group(id).await?.instances,
            false => vec![],
        };
        let status = self.0.status(id).unwrap_or_default();
        Ok(json!({
            "Converged": status.converged,
            "Instances": instances,
            "Blocked": status.blocked,
            "StepsOpen": status.steps_open,
        }))
    }
}

#[async_trait]
impl Metadata for Snapshot {
    async fn keys(&self, path: &str) -> Result<Vec<String>> {
        let parsed = Path::parse(path)?;
        if parsed.steps().is_empty() {
            return Ok(vec![GROUPS.to_owned(), SPECS.to_owned()]);
        }
        Ok(keys(&self.tree(&parsed).await?, &parsed))
    }

    async fn get(&self, path: &str) -> Result<Option<Any>> {
        let parsed = Path::parse(path)?;
        Ok(get(&self.tree(&parsed).await?, &parsed).map(Any::from))
    }
}

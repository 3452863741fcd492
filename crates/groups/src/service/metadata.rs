//! What is known about the groups, as readable trees (InfraKit specification §4.1).

use std::sync::Arc;

use async_trait::async_trait;
use regrow_codec::Any;
use regrow_plugin::spi::{Group, Metadata, Result};
use regrow_plugin::tree::{Path, Step, get, keys};
use serde_json::{Map, Value, json};

use super::{GroupService, Groups};

/// Which tree.
#[derive(Clone, Copy, Debug)]
pub(super) enum What {
    /// `specs/<group>/…`: the documents.
    Specs,
    /// `groups/<group>/{Converged,Instances/[i]/…}`, and ours: `Blocked` (why something is not
    /// done) and `StepsOpen`.
    Groups,
}

/// A tree that is taken anew at each question.
pub(super) struct Snapshot {
    groups: Arc<Groups>,
    what: What,
}

impl Snapshot {
    pub(super) fn new(groups: Arc<Groups>, what: What) -> Self {
        Self { groups, what }
    }

    async fn tree(&self, path: &Path) -> Result<Value> {
        let service = GroupService(Arc::clone(&self.groups));
        // A question about one group is not answered by asking the providers of all, nor one about
        // its state by listing its members.
        let key = |at: usize| match path.steps().get(at) {
            Some(Step::Key(key)) => Some(key),
            _ => None,
        };
        let only = key(0);
        let lists = key(1).is_none_or(|part| part == "Instances");
        let mut tree = Map::new();
        for spec in service.inspect_groups().await? {
            let id = spec.id.as_str().to_owned();
            let asked = only.is_none_or(|only| *only == id);
            let value = match self.what {
                What::Specs => json!({ "ID": id, "Properties": spec.properties.to_value() }),
                What::Groups if asked => {
                    let instances = match lists {
                        true => service.describe_group(&spec.id).await?.instances,
                        false => vec![],
                    };
                    let status = self.groups.status(&spec.id).unwrap_or_default();
                    json!({
                        "Converged": status.converged,
                        "Instances": instances,
                        "Blocked": status.blocked,
                        "StepsOpen": status.steps_open,
                    })
                }
                What::Groups => Value::Null,
            };
            tree.insert(id, value);
        }
        Ok(Value::Object(tree))
    }
}

#[async_trait]
impl Metadata for Snapshot {
    async fn keys(&self, path: &str) -> Result<Vec<String>> {
        let parsed = Path::parse(path)?;
        Ok(keys(&self.tree(&parsed).await?, &parsed))
    }

    async fn get(&self, path: &str) -> Result<Option<Any>> {
        let parsed = Path::parse(path)?;
        Ok(get(&self.tree(&parsed).await?, &parsed).map(Any::from))
    }
}

use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt as _;
use regrow_codec::Any;
use regrow_ids::GroupId;
use regrow_plugin::PluginError;
use regrow_plugin::spi::{LeaderLocation, Result, Spec, SpecObject, Stack};
use serde_json::json;

use crate::ManagerError;
use crate::catalog::{Key, Record};
use crate::core::{CALL_TIMEOUT, Core, PARALLEL_CALLS, within};
use crate::leader::Leadership;

/// The stack as a whole.
pub(super) struct StackObject(pub(super) Arc<Core>);

impl StackObject {
    /// A stored spec with what its handler says about it now.
    async fn object(&self, key: &Key, record: &Record) -> SpecObject {
        let state = if self.0.leads() {
            self.state(key, record).await.unwrap_or_else(|fault| {
                // One spec that cannot be described must not hide the others.
                Some(json!({"Error": fault.to_string()}).into())
            })
        } else {
            None
        };
        SpecObject::new(record.spec.clone(), state.unwrap_or_default())
    }

    async fn state(&self, key: &Key, record: &Record) -> Result<Option<Any>> {
        let handler = &record.handler;
        if let Some(failure) = self.0.settling.failing().get(key) {
            return Err(PluginError::refused(failure.error.clone()));
        }
        if key.is_group() {
            let group = self.0.find_group(handler).await?;
            let id = GroupId::from(key.name.as_str());
            let call = group.describe_group(&id);
            let description = within(handler, "Group.DescribeGroup", CALL_TIMEOUT, call).await?;
            return Ok(Some(Any::from_serialize(&description)));
        }
        let controller = self.0.find_controller(handler).await?;
        let call = controller.describe(Some(&record.spec.metadata));
        let objects = within(handler, "Controller.Describe", CALL_TIMEOUT, call).await?;
        let ours = objects.into_iter().find(|object| object.kind == key.kind);
        Ok(ours.map(|object| object.state))
    }
}

#[async_trait]
impl Stack for StackObject {
    async fn is_leader(&self) -> Result<bool> {
        match self.0.leadership() {
            Leadership::Leading { .. } => Ok(true),
            Leadership::Following => Ok(false),
            Leadership::Unknown(_) => Err(ManagerError::LeaderUnknown.into()),
        }
    }

    async fn leader_location(&self) -> Result<Option<LeaderLocation>> {
        Ok(self.0.source.location().await.map_err(ManagerError::from)?)
    }

    async fn enforce(&self, specs: &[Spec]) -> Result<()> {
        Ok(self.0.enforce(specs).await?)
    }

    async fn specs(&self) -> Result<Vec<Spec>> {
        let (catalog, _) = self.0.shelf.read().await.map_err(ManagerError::from)?;
        Ok(catalog.iter().map(|(_, record)| record.spec.clone()).collect())
    }

    async fn inspect(&self) -> Result<Vec<SpecObject>> {
        let (catalog, _) = self.0.shelf.read().await.map_err(ManagerError::from)?;
        // A loop and not a closure: the compiler cannot prove the closure general enough.
        let mut objects = Vec::new();
        for (key, record) in catalog.iter() {
            objects.push(self.object(key, record));
        }
        Ok(futures::stream::iter(objects).buffered(PARALLEL_CALLS).collect().await)
    }

    async fn terminate(&self, specs: &[Spec]) -> Result<()> {
        Ok(self.0.terminate(specs).await?)
    }
}

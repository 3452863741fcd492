use std::sync::Arc;

use async_trait::async_trait;
use regrow_ids::PluginName;
use regrow_plugin::PluginError;
use regrow_plugin::spi::{Controller, ObjectMeta, Operation, Plan, Result, Spec, SpecObject};

use crate::ManagerError;
use crate::core::{Ask, CALL_TIMEOUT, Committed, Core, within};

/// A configured controller, with its specs kept by the manager.
pub(super) struct ControllerObject {
    core: Arc<Core>,
    handler: PluginName,
}

impl ControllerObject {
    pub(super) fn new(core: Arc<Core>, handler: PluginName) -> Self {
        Self { core, handler }
    }
}

/// Every spec has a kind: without one it could not be found again in the store.
fn check(spec: &Spec) -> std::result::Result<(), ManagerError> {
    if spec.kind.is_empty() {
        let reason = "it has no kind; add the kind of the controller".to_owned();
        let (kind, name) = (String::new(), spec.metadata.name.clone());
        return Err(ManagerError::BadSpec { kind, name, reason });
    }
    Ok(())
}

/// The answer of the plugin behind; there always is one for controllers.
fn answer(done: Committed) -> Result<(SpecObject, Plan)> {
    done.object.ok_or_else(|| PluginError::Protocol("the controller gave no object".to_owned()))
}

#[async_trait]
impl Controller for ControllerObject {
    async fn plan(&self, operation: Operation, spec: &Spec) -> Result<(SpecObject, Plan)> {
        let fence = self.core.lead_or_say().await?;
        check(spec)?;
        let (key, record) = self.core.controller_record(&self.handler, spec);
        answer(self.core.ask(fence, &key, &record, Ask::Pretend(operation)).await?)
    }

    async fn commit(&self, operation: Operation, spec: &Spec) -> Result<(SpecObject, Plan)> {
        self.core.lead_or_say().await?;
        check(spec)?;
        let (key, record) = self.core.controller_record(&self.handler, spec);
        answer(match operation {
            Operation::Enforce => self.core.commit(key, record).await?,
            Operation::Destroy => self.core.destroy(key, record).await?,
        })
    }

    async fn describe(&self, of: Option<&ObjectMeta>) -> Result<Vec<SpecObject>> {
        if !self.core.leads() {
            return Ok(Vec::new());
        }
        let controller = self.core.find_controller(&self.handler).await?;
        within(&self.handler, "Controller.Describe", CALL_TIMEOUT, controller.describe(of)).await
    }

    async fn free(&self, of: Option<&ObjectMeta>) -> Result<Vec<SpecObject>> {
        Ok(self.core.free_objects(&self.handler, of).await?)
    }
}

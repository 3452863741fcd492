//! The calls by which stored specs take effect at their handlers. Each of them is made under a fence.

use regrow_ids::{Fence, GroupId};
use regrow_plugin::spi::{GroupSpec, Operation, Plan, SpecObject};

use super::Core;
use super::calls::{CALL_TIMEOUT, DESTROY_TIMEOUT, within};
use crate::ManagerError;
use crate::catalog::{Key, Record};

/// What a handler said to a commit or to its pretence.
#[derive(Clone, Debug, Default)]
pub(crate) struct Committed {
    /// A group's plan in words.
    pub(crate) details: String,
    /// A controller's answer; `None` for groups.
    pub(crate) object: Option<(SpecObject, Plan)>,
}

impl Core {
    /// Asks the handler what a spec would take; nothing changes.
    pub(crate) async fn pretend(
        &self,
        fence: Fence,
        key: &Key,
        record: &Record,
        operation: Operation,
    ) -> Result<Committed, ManagerError> {
        let handler = &record.handler;
        if key.is_group() {
            let group = self.find_group(handler).await?;
            let spec = group_spec(key, record);
            self.still(fence)?;
            let call = group.commit_group(&spec, true);
            let details = within(handler, "Group.CommitGroup", CALL_TIMEOUT, call).await?;
            return Ok(Committed { details, object: None });
        }
        let controller = self.find_controller(handler).await?;
        self.still(fence)?;
        let call = controller.plan(operation, &record.spec);
        let planned = within(handler, "Controller.Plan", CALL_TIMEOUT, call).await?;
        Ok(Committed { object: Some(planned), ..Committed::default() })
    }

    /// Hands a stored spec to its handler.
    pub(super) async fn hand_over(
        &self,
        fence: Fence,
        key: &Key,
        record: &Record,
    ) -> Result<Committed, ManagerError> {
        let handler = &record.handler;
        if key.is_group() {
            let group = self.find_group(handler).await?;
            let spec = group_spec(key, record);
            self.still(fence)?;
            let call = group.commit_group(&spec, false);
            let details = within(handler, "Group.CommitGroup", CALL_TIMEOUT, call).await?;
            return Ok(Committed { details, object: None });
        }
        let controller = self.find_controller(handler).await?;
        self.still(fence)?;
        let call = controller.commit(Operation::Enforce, &record.spec);
        let done = within(handler, "Controller.Commit", CALL_TIMEOUT, call).await?;
        Ok(Committed { object: Some(done), ..Committed::default() })
    }

    /// Destroys what a spec describes.
    pub(super) async fn tear_down(
        &self,
        fence: Fence,
        key: &Key,
        record: &Record,
    ) -> Result<Committed, ManagerError> {
        let handler = &record.handler;
        if key.is_group() {
            let group = self.find_group(handler).await?;
            let id = GroupId::from(key.name.as_str());
            self.still(fence)?;
            let call = group.destroy_group(&id);
            within(handler, "Group.DestroyGroup", DESTROY_TIMEOUT, call).await?;
            return Ok(Committed::default());
        }
        let controller = self.find_controller(handler).await?;
        self.still(fence)?;
        let call = controller.commit(Operation::Destroy, &record.spec);
        let done = within(handler, "Controller.Commit", DESTROY_TIMEOUT, call).await?;
        Ok(Committed { object: Some(done), ..Committed::default() })
    }
}

pub(super) fn group_spec(key: &Key, record: &Record) -> GroupSpec {
    GroupSpec { id: GroupId::from(key.name.as_str()), properties: record.spec.properties.clone() }
}

//! The calls by which stored specs take effect at their handlers. Each of them is made under a fence.

use regrow_ids::{Fence, GroupId};
use regrow_plugin::spi::{GroupSpec, Operation, Plan, SpecObject};

use super::Core;
use super::calls::{CALL_TIMEOUT, DESTROY_TIMEOUT};
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

/// What is asked of a handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    /// What the operation would take; nothing changes.
    Pretend(Operation),
    /// To make the spec true.
    Enforce,
    /// To destroy what the spec describes.
    Destroy,
}

impl Core {
    /// Asks the handler of a spec.
    pub(crate) async fn ask(
        &self,
        fence: Fence,
        key: &Key,
        record: &Record,
        ask: Ask,
    ) -> Result<Committed, ManagerError> {
        if key.is_group() {
            self.ask_group(fence, key, record, ask).await
        } else {
            self.ask_controller(fence, record, ask).await
        }
    }

    async fn ask_group(
        &self,
        fence: Fence,
        key: &Key,
        record: &Record,
        ask: Ask,
    ) -> Result<Committed, ManagerError> {
        let handler = &record.handler;
        let group = self.find_group(handler).await?;
        let id = GroupId::from(key.name.as_str());
        if ask == Ask::Destroy {
            let call = group.destroy_group(&id);
            self.lead_in(fence, handler, "Group.DestroyGroup", DESTROY_TIMEOUT, call).await?;
            return Ok(Committed::default());
        }
        let spec = GroupSpec { id, properties: record.spec.properties.clone() };
        let call = group.commit_group(&spec, ask != Ask::Enforce);
        let method = "Group.CommitGroup";
        let details = self.lead_in(fence, handler, method, CALL_TIMEOUT, call).await?;
        Ok(Committed { details, object: None })
    }

    async fn ask_controller(
        &self,
        fence: Fence,
        record: &Record,
        ask: Ask,
    ) -> Result<Committed, ManagerError> {
        let (handler, spec) = (&record.handler, &record.spec);
        let controller = self.find_controller(handler).await?;
        let (method, limit, call) = match ask {
            Ask::Pretend(operation) => {
                ("Controller.Plan", CALL_TIMEOUT, controller.plan(operation, spec))
            }
            Ask::Enforce => {
                ("Controller.Commit", CALL_TIMEOUT, controller.commit(Operation::Enforce, spec))
            }
            Ask::Destroy => {
                ("Controller.Commit", DESTROY_TIMEOUT, controller.commit(Operation::Destroy, spec))
            }
        };
        let object = self.lead_in(fence, handler, method, limit, call).await?;
        Ok(Committed { object: Some(object), ..Committed::default() })
    }
}

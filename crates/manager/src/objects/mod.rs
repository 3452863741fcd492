//! The objects that a manager offers, as its plugin shows them.

mod controller;
mod group;
mod lists;
mod stack;
mod status;
mod vars;

use std::sync::Arc;

use regrow_plugin::spi::Updatable;
use regrow_plugin::{FixedObjects, Plugin};

use crate::core::Core;

/// Name of the object that stands for all groups.
pub(crate) const GROUPS: &str = "groups";
/// Name of the read-only tree about the manager itself.
pub(crate) const STATUS: &str = "status";

/// The plugin of a manager.
pub(crate) fn plugin(core: &Arc<Core>) -> Plugin {
    let stack: Arc<dyn regrow_plugin::spi::Stack> = Arc::new(stack::StackObject(Arc::clone(core)));
    let vars: Arc<dyn Updatable> = Arc::new(vars::VarsObject(Arc::clone(core)));
    let status: Arc<dyn Updatable> = Arc::new(status::StatusObject(Arc::clone(core)));
    Plugin::new(core.name.as_str())
        .with_stacks(FixedObjects::single(stack))
        .with_groups(lists::GroupObjects(Arc::clone(core)))
        .with_controllers(lists::ControllerObjects(Arc::clone(core)))
        .with_updatables(
            FixedObjects::default().with(core.metadata.lookup(), vars).with(STATUS, status),
        )
}

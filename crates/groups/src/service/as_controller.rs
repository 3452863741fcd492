//! The groups as a plugin: `Group`, `Controller`, and readable trees.

use std::sync::Arc;

use regrow_plugin::spi::Group;
use regrow_plugin::{FixedObjects, Plugin};

use super::{GroupService, Groups};

/// The group controller as a plugin of that name.
pub fn plugin(name: &str, groups: &Arc<Groups>) -> Plugin {
    let group: Arc<dyn Group> = Arc::new(GroupService(Arc::clone(groups)));
    Plugin::new(name).with_groups(FixedObjects::single(group))
}

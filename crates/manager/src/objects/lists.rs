use std::sync::Arc;

use regrow_ids::{GroupId, PluginName};
use regrow_plugin::Objects;
use regrow_plugin::spi::{Controller, Group};

use super::GROUPS;
use super::controller::ControllerObject;
use super::group::{GroupController, GroupObject};
use crate::catalog::Key;
use crate::core::Core;

/// `groups`, and one object for each group that the leader keeps.
pub(super) struct GroupObjects(pub(super) Arc<Core>);

/// `groups`, one object for each group, and one for each configured controller.
pub(super) struct ControllerObjects(pub(super) Arc<Core>);

fn groups_of(core: &Core) -> Vec<String> {
    if !core.leads() {
        return Vec::new();
    }
    let known = core.shelf.known();
    known.keys().filter(|key| key.is_group()).map(|key| key.name.clone()).collect()
}

fn has_group(core: &Core, name: &str) -> bool {
    core.leads() && core.shelf.known().get(&Key::group(name)).is_some()
}

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names.dedup();
    names
}

impl Objects<dyn Group> for GroupObjects {
    fn names(&self) -> Vec<String> {
        let mut names = groups_of(&self.0);
        names.push(GROUPS.to_owned());
        sorted(names)
    }

    fn get(&self, name: &str) -> Option<Arc<dyn Group>> {
        (name == GROUPS || has_group(&self.0, name))
            .then(|| Arc::new(GroupObject(Arc::clone(&self.0))) as Arc<dyn Group>)
    }
}

impl Objects<dyn Controller> for ControllerObjects {
    fn names(&self) -> Vec<String> {
        let mut names = groups_of(&self.0);
        names.push(GROUPS.to_owned());
        names.extend(self.0.controllers.iter().map(PluginName::to_string));
        sorted(names)
    }

    fn get(&self, name: &str) -> Option<Arc<dyn Controller>> {
        let core = || Arc::clone(&self.0);
        if name == GROUPS {
            return Some(Arc::new(GroupController::of_all(core())));
        }
        if let Some(handler) = self.0.controllers.iter().find(|known| known.as_str() == name) {
            return Some(Arc::new(ControllerObject::new(core(), handler.clone())));
        }
        has_group(&self.0, name)
            .then(|| Arc::new(GroupController::of_one(core(), GroupId::from(name))) as _)
    }
}

//! The groups as a plugin: `Group`, `Controller`, events, and a readable tree.

use std::sync::Arc;

use async_trait::async_trait;
use regrow_codec::Any;
use regrow_ids::{GroupId, PluginName};
use regrow_plugin::spi::{
    Controller, Events, Group, GroupSpec, Interface, Metadata, ObjectMeta, Operation, Plan, Result,
    Spec, SpecObject,
};
use regrow_plugin::{FixedObjects, Plugin, PluginError};

use super::events::GroupEvents;
use super::metadata::Snapshot;
use super::{GroupService, Groups};

/// The group controller as a plugin of that name: `Group`, `Controller` and `Event` without object
/// names, and one metadata tree with `specs` and `groups` in it.
pub fn plugin(name: &str, groups: &Arc<Groups>) -> Plugin {
    let service = GroupService(Arc::clone(groups));
    let group: Arc<dyn Group> = Arc::new(service.clone());
    let controller: Arc<dyn Controller> =
        Arc::new(GroupsAsController { groups: service, name: name.to_owned() });
    let events: Arc<dyn Events> = Arc::new(GroupEvents(Arc::clone(groups)));
    let tree: Arc<dyn Metadata> = Arc::new(Snapshot(Arc::clone(groups)));
    Plugin::new(name)
        .with_groups(FixedObjects::single(group))
        .with_controllers(FixedObjects::single(controller))
        .with_events(FixedObjects::single(events))
        .with_metadata(FixedObjects::single(tree))
}

/// `Controller` over `Group`: the object's name is the group's id (InfraKit specification §2.7).
struct GroupsAsController {
    groups: GroupService,
    name: String,
}

impl GroupsAsController {
    fn spec(spec: &Spec) -> Result<GroupSpec> {
        let (_, instance) = spec.address();
        if instance.is_empty() {
            return Err(PluginError::refused("no group name"));
        }
        Ok(GroupSpec { id: GroupId::from(instance), properties: spec.properties.clone() })
    }

    async fn object(&self, spec: &GroupSpec) -> Result<SpecObject> {
        let description = self.groups.describe_group(&spec.id).await?;
        Ok(SpecObject {
            kind: "group".to_owned(),
            version: Interface::Group.spec(),
            metadata: ObjectMeta {
                id: spec.id.as_str().to_owned(),
                name: PluginName::with_subtype(&self.name, spec.id.as_str()).into(),
                tags: None,
            },
            properties: spec.properties.clone(),
            state: Any::from_serialize(&description),
            ..SpecObject::default()
        })
    }

    async fn meant(&self, of: Option<&ObjectMeta>) -> Result<Vec<GroupSpec>> {
        let mut specs = self.groups.inspect_groups().await?;
        if let Some(meta) = of.filter(|meta| !meta.name.is_empty()) {
            let wanted = PluginName::new(meta.name.as_str());
            let id = if wanted.subtype().is_empty() { wanted.lookup() } else { wanted.subtype() };
            specs.retain(|spec| spec.id.as_str() == id);
        }
        Ok(specs)
    }
}

#[async_trait]
impl Controller for GroupsAsController {
    async fn plan(&self, operation: Operation, spec: &Spec) -> Result<(SpecObject, Plan)> {
        let group = Self::spec(spec)?;
        let text = match operation {
            Operation::Enforce => self.groups.commit_group(&group, true).await?,
            Operation::Destroy => {
                let members = self.groups.describe_group(&group.id).await?.instances.len();
                format!("Destroying {members} instances")
            }
        };
        let plan = Plan { message: Some(vec![text]) };
        Ok((SpecObject::new(spec.clone(), Any::default()), plan))
    }

    async fn commit(&self, operation: Operation, spec: &Spec) -> Result<(SpecObject, Plan)> {
        let group = Self::spec(spec)?;
        let state = match operation {
            Operation::Enforce => {
                self.groups.commit_group(&group, false).await?;
                Any::from_serialize(&self.groups.describe_group(&group.id).await?)
            }
            Operation::Destroy => {
                self.groups.destroy_group(&group.id).await?;
                Any::default()
            }
        };
        Ok((SpecObject::new(spec.clone(), state), Plan::default()))
    }

    async fn describe(&self, of: Option<&ObjectMeta>) -> Result<Vec<SpecObject>> {
        let mut objects = Vec::new();
        for spec in self.meant(of).await? {
            objects.push(self.object(&spec).await?);
        }
        Ok(objects)
    }

    async fn free(&self, of: Option<&ObjectMeta>) -> Result<Vec<SpecObject>> {
        let mut freed = Vec::new();
        for spec in self.meant(of).await? {
            let object = self.object(&spec).await?;
            self.groups.free_group(&spec.id).await?;
            freed.push(object);
        }
        Ok(freed)
    }
}

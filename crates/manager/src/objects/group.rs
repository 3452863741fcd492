use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt as _;
use regrow_codec::Any;
use regrow_ids::{GroupId, InstanceId};
use regrow_plugin::spi::{
    Controller, Group, GroupDescription, GroupSpec, Interface, ObjectMeta, Operation, Plan, Result,
    Spec, SpecObject,
};
use serde_json::json;

use crate::ManagerError;
use crate::catalog::GROUP_KIND;
use crate::core::{Ask, CALL_TIMEOUT, Core, PARALLEL_CALLS, within};

/// The groups of the manager, behind the group interface. Changes go through the store, questions to
/// the group plugin of this replica.
pub(super) struct GroupObject(pub(super) Arc<Core>);

impl GroupObject {
    async fn plugin(&self) -> Result<Arc<dyn Group>> {
        self.0.find_group(&self.0.group).await
    }
}

fn spec_of(group: &GroupSpec) -> Spec {
    Spec { kind: GROUP_KIND.to_owned(), properties: group.properties.clone(), ..Spec::default() }
}

#[async_trait]
impl Group for GroupObject {
    async fn commit_group(&self, spec: &GroupSpec, pretend: bool) -> Result<String> {
        let core = &self.0;
        let fence = core.lead_or_say().await?;
        let (key, record) = core.group_record(spec.id.as_str(), &spec_of(spec))?;
        let done = if pretend {
            let done = core.ask(fence, &key, &record, Ask::Pretend(Operation::Enforce)).await?;
            core.may_own(&key, &record).await?;
            done
        } else {
            core.commit(key, record).await?
        };
        Ok(done.details)
    }

    async fn free_group(&self, id: &GroupId) -> Result<()> {
        Ok(self.0.free_group(id).await?)
    }

    async fn describe_group(&self, id: &GroupId) -> Result<GroupDescription> {
        let group = self.plugin().await?;
        within(&self.0.group, "Group.DescribeGroup", CALL_TIMEOUT, group.describe_group(id)).await
    }

    async fn destroy_group(&self, id: &GroupId) -> Result<()> {
        let (key, record) = self.0.group_record(id.as_str(), &Spec::default())?;
        self.0.destroy(key, record).await?;
        Ok(())
    }

    async fn inspect_groups(&self) -> Result<Vec<GroupSpec>> {
        if !self.0.leads() {
            return Ok(Vec::new());
        }
        let group = self.plugin().await?;
        within(&self.0.group, "Group.InspectGroups", CALL_TIMEOUT, group.inspect_groups()).await
    }

    async fn destroy_instances(&self, id: &GroupId, instances: &[InstanceId]) -> Result<()> {
        Ok(self.0.destroy_instances(id, instances).await?)
    }

    async fn size(&self, id: &GroupId) -> Result<u32> {
        let group = self.plugin().await?;
        within(&self.0.group, "Group.Size", CALL_TIMEOUT, group.size(id)).await
    }

    async fn set_size(&self, id: &GroupId, size: u32) -> Result<()> {
        Ok(self.0.set_size(id, size).await?)
    }
}

/// The same groups behind the controller interface.
pub(crate) struct GroupController {
    groups: GroupObject,
    scope: Option<GroupId>,
}

impl GroupController {
    pub(crate) fn of_all(core: Arc<Core>) -> Self {
        Self { groups: GroupObject(core), scope: None }
    }

    pub(super) fn of_one(core: Arc<Core>, id: GroupId) -> Self {
        Self { groups: GroupObject(core), scope: Some(id) }
    }

    /// The group that a name means: its instance part.
    fn id_of(&self, spec: &Spec) -> std::result::Result<GroupId, ManagerError> {
        let (_, id) = spec.address();
        if id.is_empty() {
            return Err(ManagerError::NoGroupName);
        }
        match &self.scope {
            Some(scope) if scope.as_str() != id => {
                Err(ManagerError::WrongGroup { expected: scope.to_string(), found: id })
            }
            _ => Ok(GroupId::from(id)),
        }
    }

    fn document(id: &GroupId, spec: &Spec) -> GroupSpec {
        GroupSpec { id: id.clone(), properties: spec.properties.clone() }
    }

    /// The specs of the groups that fit, from the group plugin.
    async fn fitting(&self, of: Option<&ObjectMeta>) -> Result<Vec<GroupSpec>> {
        let wanted = of.map(|meta| {
            let spec = Spec { metadata: meta.clone(), ..Spec::default() };
            let has_tags = meta.tags.as_ref().is_some_and(|tags| !tags.is_empty());
            (spec.address().1, has_tags)
        });
        let fits = |group: &GroupSpec| {
            let named = match &wanted {
                // Groups have no tags: whoever asks for some does not mean them.
                Some((_, true)) => false,
                Some((name, false)) => name.is_empty() || name == group.id.as_str(),
                None => true,
            };
            named && self.scope.as_ref().is_none_or(|scope| *scope == group.id)
        };
        let groups = self.groups.inspect_groups().await?;
        Ok(groups.into_iter().filter(fits).collect())
    }

    async fn object(&self, group: GroupSpec) -> SpecObject {
        let state = match self.groups.describe_group(&group.id).await {
            Ok(description) => Any::from_serialize(&description),
            // One group that cannot be described must not hide the others.
            Err(fault) => {
                let error = fault.to_string();
                json!({"Instances": null, "Converged": false, "Error": error}).into()
            }
        };
        SpecObject {
            kind: GROUP_KIND.to_owned(),
            version: Interface::Group.spec(),
            metadata: ObjectMeta {
                id: group.id.to_string(),
                name: format!("{}/{}", self.groups.0.name, group.id),
                tags: None,
            },
            properties: group.properties,
            state,
            ..SpecObject::default()
        }
    }
}

/// The state of a group of which nothing has been seen yet.
fn unseen() -> Any {
    json!({"Instances": null, "Converged": false}).into()
}

#[async_trait]
impl Controller for GroupController {
    async fn plan(&self, operation: Operation, spec: &Spec) -> Result<(SpecObject, Plan)> {
        self.groups.0.lead_or_say().await?;
        let id = self.id_of(spec)?;
        let details = match operation {
            Operation::Enforce => {
                self.groups.commit_group(&Self::document(&id, spec), true).await?
            }
            Operation::Destroy => {
                let members = self.groups.describe_group(&id).await?.instances.len();
                format!("Destroys group {id} with its {members} instances")
            }
        };
        let plan = Plan { message: Some(vec![details]) };
        Ok((SpecObject::new(spec.clone(), unseen()), plan))
    }

    async fn commit(&self, operation: Operation, spec: &Spec) -> Result<(SpecObject, Plan)> {
        self.groups.0.lead_or_say().await?;
        let id = self.id_of(spec)?;
        match operation {
            Operation::Enforce => {
                let (key, record) = self.groups.0.group_record(id.as_str(), spec)?;
                self.groups.0.commit(key, record).await?;
            }
            // By the id alone: the original takes the whole name here and finds no such group.
            Operation::Destroy => self.groups.destroy_group(&id).await?,
        }
        Ok((SpecObject::new(spec.clone(), unseen()), Plan::default()))
    }

    async fn describe(&self, of: Option<&ObjectMeta>) -> Result<Vec<SpecObject>> {
        if !self.groups.0.leads() {
            return Ok(Vec::new());
        }
        let groups = self.fitting(of).await?;
        let objects = futures::stream::iter(groups).map(|group| self.object(group));
        Ok(objects.buffered(PARALLEL_CALLS).collect().await)
    }

    async fn free(&self, of: Option<&ObjectMeta>) -> Result<Vec<SpecObject>> {
        self.groups.0.lead_or_say().await?;
        let groups = self.fitting(of).await?;
        let frees = futures::stream::iter(groups).map(|group| async move {
            let object = self.object(group.clone()).await;
            self.groups.free_group(&group.id).await.map(|()| object)
        });
        let freed: Vec<_> = frees.buffered(PARALLEL_CALLS).collect().await;
        freed.into_iter().collect()
    }
}

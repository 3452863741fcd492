use async_trait::async_trait;
use regrow_ids::{GroupId, InstanceId, PluginName};

use crate::client::Client;
use crate::spi::{
    Controller, Group, GroupDescription, GroupSpec, LeaderLocation, ObjectMeta, Operation, Plan,
    Result, Spec, SpecObject, Stack,
};
use crate::wire::calls::{controller, group, stack};

super::keyed!(ControllerProxy, GroupProxy);

/// A plugin has one stack; its requests name no object.
pub(crate) struct StackProxy {
    client: Client,
}

impl StackProxy {
    pub(crate) fn new(client: &Client, _name: &PluginName) -> Self {
        Self { client: client.clone() }
    }
}

#[async_trait]
impl Group for GroupProxy {
    async fn commit_group(&self, spec: &GroupSpec, pretend: bool) -> Result<String> {
        let (name, spec) = (self.name.clone(), spec.clone());
        self.client.call(&group::Commit { name, spec, pretend }).await.map(|done| done.details)
    }

    async fn free_group(&self, id: &GroupId) -> Result<()> {
        let (name, id) = (self.name.clone(), id.clone());
        self.client.call(&group::Free { name, id }).await.map(drop)
    }

    async fn describe_group(&self, id: &GroupId) -> Result<GroupDescription> {
        let (name, id) = (self.name.clone(), id.clone());
        self.client.call(&group::Describe { name, id }).await.map(|found| found.description)
    }

    async fn destroy_group(&self, id: &GroupId) -> Result<()> {
        let (name, id) = (self.name.clone(), id.clone());
        self.client.call(&group::Destroy { name, id }).await.map(drop)
    }

    async fn inspect_groups(&self) -> Result<Vec<GroupSpec>> {
        let (name, id) = (self.name.clone(), GroupId::default());
        self.client.call(&group::Inspect { name, id }).await.map(|found| found.groups)
    }

    async fn destroy_instances(&self, id: &GroupId, instances: &[InstanceId]) -> Result<()> {
        let (name, id) = (self.name.clone(), id.clone());
        let request = group::DestroyInstances { name, id, instances: instances.to_vec() };
        self.client.call(&request).await.map(drop)
    }

    async fn size(&self, id: &GroupId) -> Result<u32> {
        let (name, id) = (self.name.clone(), id.clone());
        self.client.call(&group::SizeOf { name, id }).await.map(|found| found.size)
    }

    async fn set_size(&self, id: &GroupId, size: u32) -> Result<()> {
        let (name, id, size) = (self.name.clone(), id.clone(), i64::from(size));
        self.client.call(&group::SetSize { name, id, size }).await.map(drop)
    }
}

#[async_trait]
impl Controller for ControllerProxy {
    async fn plan(&self, operation: Operation, spec: &Spec) -> Result<(SpecObject, Plan)> {
        let (name, spec) = (self.name.clone(), spec.clone());
        let request = controller::Plan { name, operation, spec };
        self.client.call(&request).await.map(|found| (found.object, found.plan))
    }

    async fn commit(&self, operation: Operation, spec: &Spec) -> Result<(SpecObject, Plan)> {
        let (name, spec) = (self.name.clone(), spec.clone());
        let request = controller::Commit { name, operation, spec };
        self.client.call(&request).await.map(|found| (found.object, found.plan))
    }

    async fn describe(&self, of: Option<&ObjectMeta>) -> Result<Vec<SpecObject>> {
        let (name, metadata) = (self.name.clone(), of.cloned());
        let request = controller::Describe { name, metadata };
        self.client.call(&request).await.map(|found| found.objects)
    }

    async fn free(&self, of: Option<&ObjectMeta>) -> Result<Vec<SpecObject>> {
        let (name, metadata) = (self.name.clone(), of.cloned());
        let request = controller::Free { name, metadata };
        self.client.call(&request).await.map(|found| found.objects)
    }
}

#[async_trait]
impl Stack for StackProxy {
    async fn is_leader(&self) -> Result<bool> {
        self.client.call(&stack::IsLeader {}).await.map(|found| found.leader)
    }

    async fn leader_location(&self) -> Result<Option<LeaderLocation>> {
        self.client.call(&stack::Location {}).await.map(|found| found.location)
    }

    async fn enforce(&self, specs: &[Spec]) -> Result<()> {
        self.client.call(&stack::Enforce { specs: specs.to_vec() }).await.map(drop)
    }

    async fn specs(&self) -> Result<Vec<Spec>> {
        self.client.call(&stack::Specs {}).await.map(|found| found.specs)
    }

    async fn inspect(&self) -> Result<Vec<SpecObject>> {
        self.client.call(&stack::Inspect {}).await.map(|found| found.objects)
    }

    async fn terminate(&self, specs: &[Spec]) -> Result<()> {
        self.client.call(&stack::Terminate { specs: specs.to_vec() }).await.map(drop)
    }
}

//! A good plugin with every interface.

use std::sync::Arc;

use async_trait::async_trait;
use regrow_codec::Any;
use regrow_ids::{GroupId, InstanceId};
use regrow_plugin::spi::*;
use regrow_plugin::tree::{ReadOnlyTree, Tree, UpdatableTree};
use regrow_plugin::{FixedObjects, Plugin, PluginError};
use serde_json::json;

use crate::support::{Memory, tags};

pub fn plugin(name: &str) -> Plugin {
    let instances = Memory::watched();
    instances.add("i-1", &tags([("infrakit.group", "workers"), ("tier", "web")]));
    instances.add("i-2", &tags([("infrakit.group", "workers")]));
    instances.add("i-3", &tags([]));
    let values = json!({"cluster": {"name": "foo"}, "a": 1});
    let tree = Arc::new(values.clone());
    let readable = ReadOnlyTree::new(move || Arc::clone(&tree));
    let changeable = UpdatableTree::new(Tree::new(values).expect("a tree"));
    let good = Arc::new(Good);
    Plugin::new(name)
        .with_instances(FixedObjects::single(Arc::new(instances) as Arc<dyn Instance>))
        .with_flavors(FixedObjects::single(Arc::clone(&good) as Arc<dyn Flavor>))
        .with_groups(FixedObjects::single(Arc::clone(&good) as Arc<dyn Group>))
        .with_controllers(FixedObjects::single(Arc::clone(&good) as Arc<dyn Controller>))
        .with_stacks(FixedObjects::single(Arc::clone(&good) as Arc<dyn Stack>))
        .with_l4s(FixedObjects::single(Arc::clone(&good) as Arc<dyn L4>))
        .with_resources(FixedObjects::single(good as Arc<dyn Resource>))
        .with_metadata(FixedObjects::single(Arc::new(readable) as Arc<dyn Metadata>))
        .with_updatables(FixedObjects::single(Arc::new(changeable) as Arc<dyn Updatable>))
}

struct Good;

fn refuse<T>(text: impl Into<String>) -> Result<T> {
    Err(PluginError::refused(text))
}

#[async_trait]
impl Flavor for Good {
    async fn validate(&self, _properties: &Any, allocation: &Allocation) -> Result<()> {
        match allocation.size {
            0 if allocation.logical_ids.is_none() => refuse("Allocation must not be blank"),
            _ => Ok(()),
        }
    }

    async fn prepare(
        &self,
        _properties: &Any,
        mut spec: InstanceSpec,
        _allocation: &Allocation,
        _index: &Index,
    ) -> Result<InstanceSpec> {
        spec.tags.insert("flavor".into(), "good".into());
        Ok(spec)
    }

    async fn healthy(&self, _properties: &Any, _instance: &Description) -> Result<Health> {
        Ok(Health::Healthy)
    }

    async fn drain(&self, _properties: &Any, _instance: &Description) -> Result<()> {
        Ok(())
    }
}

fn watched(id: &GroupId) -> Result<()> {
    if id.as_str() == "cattle" {
        return Ok(());
    }
    refuse(format!("Group '{id}' is not being watched"))
}

#[async_trait]
impl Group for Good {
    async fn commit_group(&self, spec: &GroupSpec, _pretend: bool) -> Result<String> {
        watched(&spec.id).map(|()| "Noop".into())
    }

    async fn free_group(&self, id: &GroupId) -> Result<()> {
        watched(id)
    }

    async fn describe_group(&self, id: &GroupId) -> Result<GroupDescription> {
        watched(id)?;
        let member = Description { id: "i-1".into(), ..Description::default() };
        Ok(GroupDescription { instances: vec![Arc::new(member)], converged: true })
    }

    async fn destroy_group(&self, id: &GroupId) -> Result<()> {
        watched(id)
    }

    async fn inspect_groups(&self) -> Result<Vec<GroupSpec>> {
        Ok(vec![GroupSpec { id: "cattle".into(), properties: Any::default() }])
    }

    async fn destroy_instances(&self, id: &GroupId, _instances: &[InstanceId]) -> Result<()> {
        watched(id)
    }

    async fn size(&self, id: &GroupId) -> Result<u32> {
        watched(id).map(|()| 1)
    }

    async fn set_size(&self, id: &GroupId, _size: u32) -> Result<()> {
        watched(id)
    }
}

#[async_trait]
impl Controller for Good {
    async fn plan(&self, _operation: Operation, spec: &Spec) -> Result<(SpecObject, Plan)> {
        Ok((SpecObject::new(spec.clone(), Any::default()), Plan::default()))
    }

    async fn commit(&self, _operation: Operation, spec: &Spec) -> Result<(SpecObject, Plan)> {
        Ok((SpecObject::new(spec.clone(), Any::default()), Plan::default()))
    }

    async fn describe(&self, of: Option<&ObjectMeta>) -> Result<Vec<SpecObject>> {
        let metadata = ObjectMeta { name: "group/cattle".into(), ..ObjectMeta::default() };
        let object = SpecObject { kind: "group".into(), metadata, ..SpecObject::default() };
        Ok([object]
            .into_iter()
            .filter(|one| of.is_none_or(|of| of.name == one.metadata.name))
            .collect())
    }

    async fn free(&self, of: Option<&ObjectMeta>) -> Result<Vec<SpecObject>> {
        self.describe(of).await
    }
}

#[async_trait]
impl Stack for Good {
    async fn is_leader(&self) -> Result<bool> {
        Ok(true)
    }

    async fn leader_location(&self) -> Result<Option<LeaderLocation>> {
        Ok(Some(LeaderLocation { scheme: "http".into(), host: "h:1".into(), path: String::new() }))
    }

    async fn enforce(&self, _specs: &[Spec]) -> Result<()> {
        Ok(())
    }

    async fn specs(&self) -> Result<Vec<Spec>> {
        Ok(vec![Spec { kind: "group".into(), ..Spec::default() }])
    }

    async fn inspect(&self) -> Result<Vec<SpecObject>> {
        Ok(Vec::new())
    }

    async fn terminate(&self, _specs: &[Spec]) -> Result<()> {
        Ok(())
    }
}

#[async_trait]
impl L4 for Good {
    async fn name(&self) -> Result<String> {
        Ok("good".into())
    }

    async fn routes(&self) -> Result<Vec<Route>> {
        let route = |port| Route {
            port,
            protocol: Protocol::from("tcp".to_owned()),
            load_balancer_port: port,
            load_balancer_protocol: Protocol::from("tcp".to_owned()),
            ..Route::default()
        };
        Ok(vec![route(80), route(443)])
    }

    async fn publish(&self, _route: &Route) -> Result<String> {
        Ok(String::new())
    }

    async fn unpublish(&self, _load_balancer_port: u16) -> Result<String> {
        Ok(String::new())
    }

    async fn configure_health_check(&self, _check: &HealthCheck) -> Result<String> {
        Ok(String::new())
    }

    async fn register_backends(&self, _ids: &[InstanceId]) -> Result<String> {
        Ok(String::new())
    }

    async fn deregister_backends(&self, _ids: &[InstanceId]) -> Result<String> {
        Ok(String::new())
    }

    async fn backends(&self) -> Result<Vec<InstanceId>> {
        Ok(vec!["a".into(), "b".into()])
    }
}

#[async_trait]
impl Resource for Good {
    async fn commit(&self, spec: &ResourceSpec, _pretend: bool) -> Result<String> {
        Ok(spec.id.clone())
    }

    async fn destroy(&self, spec: &ResourceSpec, _pretend: bool) -> Result<String> {
        Ok(spec.id.clone())
    }

    async fn describe_resources(&self, spec: &ResourceSpec) -> Result<String> {
        Ok(spec.id.clone())
    }
}

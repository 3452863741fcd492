//! The objects of a plugin behind its gate. What a method is, a look or a change, stands here.

use std::sync::Arc;

use async_trait::async_trait;
use regrow_codec::Any;
use regrow_ids::{GroupId, InstanceId};

use super::gate::{Entered, Gate};
use crate::Objects;
use crate::spi::{
    Allocation, Change, Controller, Description, DestroyReason, EventStream, Flavor, Group,
    GroupDescription, GroupSpec, Health, HealthCheck, Index, Instance, InstanceSpec, L4, Metadata,
    ObjectMeta, Operation, Plan, Proposal, Resource, ResourceSpec, Result, Route, Spec, SpecObject,
    Tags, Updatable, World,
};

/// Named objects behind a gate.
pub(crate) struct FencedObjects<T: ?Sized> {
    objects: Box<dyn Objects<T>>,
    gate: Arc<Gate>,
}

impl<T: ?Sized> FencedObjects<T> {
    pub(crate) fn new(objects: impl Objects<T> + 'static, gate: &Arc<Gate>) -> Self {
        Self { objects: Box::new(objects), gate: Arc::clone(gate) }
    }
}

/// An object behind a gate.
struct Fenced<T: ?Sized> {
    name: String,
    object: Arc<T>,
    gate: Arc<Gate>,
}

impl<T: ?Sized> Fenced<T> {
    async fn change(&self) -> Result<Option<Entered<'_>>> {
        self.gate.change(&self.name).await
    }

    async fn look(&self) -> Result<()> {
        self.gate.look().await
    }
}

macro_rules! fenced {
    ($($interface:ident {
        $($mode:ident $method:ident($($arg:ident: $type:ty),*) -> $out:ty;)*
    } $(+ { $($rest:tt)* })?)*) => {$(
        #[async_trait]
        impl $interface for Fenced<dyn $interface> {
            $(
                async fn $method(&self, $($arg: $type),*) -> Result<$out> {
                    let _entered = self.$mode().await?;
                    self.object.$method($($arg),*).await
                }
            )*
            $($($rest)*)?
        }

        impl Objects<dyn $interface> for FencedObjects<dyn $interface> {
            fn names(&self) -> Vec<String> {
                self.objects.names()
            }

            fn get(&self, name: &str) -> Option<Arc<dyn $interface>> {
                let (object, gate) = (self.objects.get(name)?, Arc::clone(&self.gate));
                let name = format!("{} {name}", stringify!($interface));
                let fenced: Fenced<dyn $interface> = Fenced { name, object, gate };
                Some(Arc::new(fenced))
            }
        }
    )*};
}

fenced! {
    Controller {
        look plan(operation: Operation, spec: &Spec) -> (SpecObject, Plan);
        change commit(operation: Operation, spec: &Spec) -> (SpecObject, Plan);
        look describe(of: Option<&ObjectMeta>) -> Vec<SpecObject>;
        change free(of: Option<&ObjectMeta>) -> Vec<SpecObject>;
    }
    Flavor {
        look validate(properties: &Any, allocation: &Allocation) -> ();
        change prepare(
            properties: &Any, spec: InstanceSpec, allocation: &Allocation, index: &Index
        ) -> InstanceSpec;
        look healthy(properties: &Any, instance: &Description) -> Health;
        change drain(properties: &Any, instance: &Description) -> ();
    }
    Group {
        change commit_group(spec: &GroupSpec, pretend: bool) -> String;
        change free_group(id: &GroupId) -> ();
        look describe_group(id: &GroupId) -> GroupDescription;
        change destroy_group(id: &GroupId) -> ();
        look inspect_groups() -> Vec<GroupSpec>;
        change destroy_instances(id: &GroupId, instances: &[InstanceId]) -> ();
        look size(id: &GroupId) -> u32;
        change set_size(id: &GroupId, size: u32) -> ();
    }
    Instance {
        look validate(properties: &Any) -> ();
        change provision(spec: &InstanceSpec) -> InstanceId;
        change label(instance: &InstanceId, labels: &Tags) -> ();
        change destroy(instance: &InstanceId, reason: DestroyReason) -> ();
        look describe_instances(tags: &Tags, properties: bool) -> Vec<Arc<Description>>;
        look worlds() -> Vec<World>;
    } + {
        fn remembers_keys(&self) -> bool {
            self.object.remembers_keys()
        }

        fn watch(&self) -> Option<EventStream> {
            self.object.watch()
        }

        fn example_properties(&self) -> Any {
            self.object.example_properties()
        }
    }
    L4 {
        look name() -> String;
        look routes() -> Vec<Route>;
        change publish(route: &Route) -> String;
        change unpublish(load_balancer_port: u16) -> String;
        change configure_health_check(check: &HealthCheck) -> String;
        change register_backends(ids: &[InstanceId]) -> String;
        change deregister_backends(ids: &[InstanceId]) -> String;
        look backends() -> Vec<InstanceId>;
    }
    Resource {
        change commit(spec: &ResourceSpec, pretend: bool) -> String;
        change destroy(spec: &ResourceSpec, pretend: bool) -> String;
        look describe_resources(spec: &ResourceSpec) -> String;
    }
    Updatable {
        look changes(changes: &[Change]) -> Proposal;
        change commit(proposed: &Any, cas: &str) -> ();
    }
}

#[async_trait]
impl Metadata for Fenced<dyn Updatable> {
    async fn keys(&self, path: &str) -> Result<Vec<String>> {
        self.object.keys(path).await
    }

    async fn get(&self, path: &str) -> Result<Option<Any>> {
        self.object.get(path).await
    }
}

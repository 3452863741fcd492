use std::sync::Arc;

use async_trait::async_trait;
use regrow_codec::Any;
use regrow_ids::{InstanceId, PluginName};

use crate::client::{Client, watch};
use crate::spi::{
    Allocation, Description, DestroyReason, EventStream, Flavor, Health, Index, Instance,
    InstanceSpec, Result, Tags,
};
use crate::wire::calls::{flavor, instance};

pub(crate) struct InstanceProxy {
    client: Client,
    kind: String,
    /// Topic of the hints that the plugin publishes about this object.
    hints: Option<String>,
}

impl InstanceProxy {
    pub(crate) fn new(client: &Client, name: &PluginName, hints: Option<String>) -> Self {
        Self { client: client.clone(), kind: name.subtype().to_owned(), hints }
    }
}

#[async_trait]
impl Instance for InstanceProxy {
    async fn validate(&self, properties: &Any) -> Result<()> {
        let (kind, properties) = (self.kind.clone(), properties.clone());
        self.client.call(&instance::Validate { kind, properties }).await.map(drop)
    }

    async fn provision(&self, spec: &InstanceSpec) -> Result<InstanceId> {
        let (kind, spec) = (self.kind.clone(), spec.clone());
        self.client.call(&instance::Provision { kind, spec }).await.map(|made| made.id)
    }

    async fn label(&self, instance: &InstanceId, labels: &Tags) -> Result<()> {
        let request = instance::Label {
            kind: self.kind.clone(),
            instance: instance.clone(),
            labels: labels.clone(),
        };
        self.client.call(&request).await.map(drop)
    }

    async fn destroy(&self, instance: &InstanceId, reason: DestroyReason) -> Result<()> {
        let request = instance::Destroy {
            kind: self.kind.clone(),
            instance: instance.clone(),
            context: instance::Context { reason },
        };
        self.client.call(&request).await.map(drop)
    }

    async fn describe_instances(
        &self,
        tags: &Tags,
        properties: bool,
    ) -> Result<Vec<Arc<Description>>> {
        let (kind, tags) = (self.kind.clone(), tags.clone());
        let request = instance::Describe { kind, tags, properties };
        self.client.call(&request).await.map(|found| found.descriptions)
    }

    fn watch(&self) -> Option<EventStream> {
        let topic = self.hints.clone()?;
        Some(watch::hints(self.client.clone(), topic))
    }
}

super::typed!(FlavorProxy);

#[async_trait]
impl Flavor for FlavorProxy {
    async fn validate(&self, properties: &Any, allocation: &Allocation) -> Result<()> {
        let request = flavor::Validate {
            kind: self.kind.clone(),
            properties: properties.clone(),
            allocation: allocation.clone(),
        };
        self.client.call(&request).await.map(drop)
    }

    async fn prepare(
        &self,
        properties: &Any,
        spec: InstanceSpec,
        allocation: &Allocation,
        index: &Index,
    ) -> Result<InstanceSpec> {
        let request = flavor::Prepare {
            kind: self.kind.clone(),
            properties: properties.clone(),
            spec,
            allocation: allocation.clone(),
            index: index.clone(),
        };
        self.client.call(&request).await.map(|prepared| prepared.spec)
    }

    async fn healthy(&self, properties: &Any, instance: &Description) -> Result<Health> {
        let request = flavor::Healthy {
            kind: self.kind.clone(),
            properties: properties.clone(),
            instance: instance.clone(),
        };
        self.client.call(&request).await.map(|found| found.health)
    }

    async fn drain(&self, properties: &Any, instance: &Description) -> Result<()> {
        let request = flavor::Drain {
            kind: self.kind.clone(),
            properties: properties.clone(),
            instance: instance.clone(),
        };
        self.client.call(&request).await.map(drop)
    }
}

use async_trait::async_trait;
use futures::StreamExt;
use regrow_ids::{InstanceId, PluginName};
use std::sync::Arc;

use crate::client::Client;
use crate::spi::{
    Event, EventStream, Events, HealthCheck, L4, Resource, ResourceSpec, Result, Route,
};
use crate::wire::calls::{event, l4, resource};

super::typed!(L4Proxy);
super::keyed!(ResourceProxy);

/// Events of one object; a named object's topics stand below its name on the wire.
pub(crate) struct EventsProxy {
    client: Client,
    object: String,
}

impl EventsProxy {
    pub(crate) fn new(client: &Client, name: &PluginName) -> Self {
        Self { client: client.clone(), object: name.subtype().to_owned() }
    }

    fn mounted(&self, topic: &str) -> String {
        let topic = topic.trim_start_matches('/');
        if self.object.is_empty() { topic.to_owned() } else { format!("{}/{topic}", self.object) }
    }
}

#[async_trait]
impl Events for EventsProxy {
    async fn list(&self, topic: &str) -> Result<Vec<String>> {
        let topic = self.mounted(topic).trim_end_matches('/').to_owned();
        self.client.call(&event::List { topic }).await.map(|found| found.nodes)
    }

    async fn subscribe(&self, topic: &str) -> Result<EventStream> {
        let events = self.client.subscribe(&self.mounted(topic)).await?;
        if self.object.is_empty() {
            return Ok(events);
        }
        let prefix = format!("{}/", self.object);
        Ok(Box::pin(events.map(move |event| match event.topic.strip_prefix(&prefix) {
            Some(topic) => Arc::new(Event { topic: topic.to_owned(), ..Event::clone(&event) }),
            None => event,
        })))
    }
}

#[async_trait]
impl L4 for L4Proxy {
    async fn name(&self) -> Result<String> {
        let kind = self.kind.clone();
        self.client.call(&l4::Name { kind }).await.map(|found| found.name)
    }

    async fn routes(&self) -> Result<Vec<Route>> {
        let kind = self.kind.clone();
        self.client.call(&l4::Routes { kind }).await.map(|found| found.routes)
    }

    async fn publish(&self, route: &Route) -> Result<String> {
        let (kind, route) = (self.kind.clone(), route.clone());
        self.client.call(&l4::Publish { kind, route }).await.map(|done| done.result)
    }

    async fn unpublish(&self, load_balancer_port: u16) -> Result<String> {
        let request = l4::Unpublish { kind: self.kind.clone(), port: load_balancer_port };
        self.client.call(&request).await.map(|done| done.result)
    }

    async fn configure_health_check(&self, check: &HealthCheck) -> Result<String> {
        let HealthCheck { backend_port, healthy, unhealthy, interval, timeout } = *check;
        let kind = self.kind.clone();
        let request = l4::Configure { kind, backend_port, healthy, unhealthy, interval, timeout };
        self.client.call(&request).await.map(|done| done.result)
    }

    async fn register_backends(&self, ids: &[InstanceId]) -> Result<String> {
        let (kind, ids) = (self.kind.clone(), ids.to_vec());
        self.client.call(&l4::Register { kind, ids }).await.map(|done| done.result)
    }

    async fn deregister_backends(&self, ids: &[InstanceId]) -> Result<String> {
        let (kind, ids) = (self.kind.clone(), ids.to_vec());
        self.client.call(&l4::Deregister { kind, ids }).await.map(|done| done.result)
    }

    async fn backends(&self) -> Result<Vec<InstanceId>> {
        let kind = self.kind.clone();
        self.client.call(&l4::Backends { kind }).await.map(|found| found.ids)
    }
}

#[async_trait]
impl Resource for ResourceProxy {
    async fn commit(&self, spec: &ResourceSpec, pretend: bool) -> Result<String> {
        let (name, spec) = (self.name.clone(), spec.clone());
        self.client.call(&resource::Commit { name, spec, pretend }).await.map(|done| done.details)
    }

    async fn destroy(&self, spec: &ResourceSpec, pretend: bool) -> Result<String> {
        let (name, spec) = (self.name.clone(), spec.clone());
        self.client.call(&resource::Destroy { name, spec, pretend }).await.map(|done| done.details)
    }

    async fn describe_resources(&self, spec: &ResourceSpec) -> Result<String> {
        let (name, spec) = (self.name.clone(), spec.clone());
        self.client.call(&resource::Describe { name, spec }).await.map(|found| found.details)
    }
}

//! `/v1/catalog/`: all nodes and services.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::agent_services::ServiceBody;
use super::call::{Call, Rights};
use super::check_body::{CheckBody, status};
use super::reply::{HttpError, Outcome};
use super::{decode, shape};
use crate::machine::{Command, NodePart, Registration, Removal};
use crate::model::{Access, CheckSpec, Instance, Node, Resource};
use crate::query::registry;

pub(super) async fn datacenters(call: &Call) -> Outcome {
    call.json(&[&call.agent().options().datacenter])
}

/// Whether a node has all of `node-meta=key:value`.
fn has_meta(node: &Node, wanted: &[(String, String)]) -> bool {
    wanted.iter().all(|(key, value)| node.meta.get(key) == Some(value))
}

fn wanted_meta(call: &Call) -> Vec<(String, String)> {
    let pairs = call.params.all("node-meta");
    pairs
        .map(|pair| pair.split_once(':').unwrap_or((pair, "")))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

pub(super) async fn services(call: &Call) -> Outcome {
    let rights = call.rights().await?;
    let wanted = wanted_meta(call);
    let read = match wanted.is_empty() {
        true => registry::services(),
        false => registry::services_on(move |node| has_meta(node, &wanted)),
    };
    let (meta, mut services): (_, BTreeMap<String, BTreeSet<String>>) = call.ask(&read).await?;
    services.retain(|name, _| rights.read(Resource::Service, name));
    Ok(call.json(&services)?.meta(meta))
}

/// Whether an instance may be shown: who asks may see its node and its service.
pub(super) fn sees(rights: &Rights, instance: &Instance) -> bool {
    rights.read(Resource::Node, &instance.node.value.name)
        && rights.read(Resource::Service, &instance.service.value.name)
}

/// Whether an instance has all tags of the query, without regard to case.
pub(super) fn has_tags(call: &Call, tags: &[String]) -> bool {
    let mut wanted = call.params.all("tag");
    wanted.all(|tag| {
        tag.is_empty() || tags.iter().any(|own| own.to_lowercase() == tag.to_lowercase())
    })
}

pub(super) async fn service(call: &Call) -> Outcome {
    let name = call.named(HttpError::bad("Missing service name"))?;
    let rights = call.rights().await?;
    let (meta, mut instances) = call.ask(&registry::instances(name)).await?;
    let wanted = wanted_meta(call);
    instances.retain(|instance| {
        sees(&rights, instance)
            && has_tags(call, &instance.service.value.tags)
            && has_meta(&instance.node.value, &wanted)
    });
    let shapes: Vec<_> = instances.iter().map(shape::CatalogService::of).collect();
    Ok(call.filtered(&shapes)?.meta(meta))
}

pub(super) async fn nodes(call: &Call) -> Outcome {
    let rights = call.rights().await?;
    let (meta, mut nodes) = call.ask(&registry::nodes()).await?;
    let wanted = wanted_meta(call);
    nodes.retain(|node| {
        has_meta(&node.value, &wanted) && rights.read(Resource::Node, &node.value.name)
    });
    let shapes: Vec<_> = nodes.iter().map(shape::Node::of).collect();
    Ok(call.filtered(&shapes)?.meta(meta))
}

pub(super) async fn node(call: &Call) -> Outcome {
    let name = call.named(HttpError::bad("Missing node name"))?;
    let rights = call.rights().await?;
    let (meta, found) = call.ask(&registry::node(name)).await?;
    let mut found = found.filter(|_| rights.read(Resource::Node, name));
    if let Some(found) = &mut found {
        found.services.retain(|service| rights.read(Resource::Service, &service.value.name));
    }
    let shape = found.as_ref().map(|found| shape::NodeServices::of(&found.node, &found.services));
    Ok(call.json(&shape)?.meta(meta))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct RegisterBody {
    #[serde(rename = "ID")]
    id: String,
    node: String,
    address: String,
    datacenter: String,
    tagged_addresses: BTreeMap<String, String>,
    node_meta: BTreeMap<String, String>,
    service: Option<ServiceBody>,
    check: Option<CheckBody>,
    checks: Vec<CheckBody>,
    skip_node_update: bool,
}

impl RegisterBody {
    fn node(&self, call: &Call) -> Result<NodePart, HttpError> {
        if self.node.is_empty() {
            return Err(HttpError::internal("Must provide node"));
        }
        if self.skip_node_update {
            return Ok(NodePart::Keep(self.node.clone()));
        }
        if self.address.is_empty() {
            let text = "Must provide address if SkipNodeUpdate is not set";
            return Err(HttpError::internal(text));
        }
        Ok(NodePart::Set(Node {
            id: self.id.clone(),
            name: self.node.clone(),
            address: self.address.clone(),
            datacenter: call.agent().options().datacenter.clone(),
            tagged_addresses: self.tagged_addresses.clone(),
            meta: self.node_meta.clone(),
        }))
    }

    /// The checks as they come: nobody runs them here, so they need say nothing about how.
    fn checks(&self) -> Result<Vec<CheckSpec>, HttpError> {
        let given = self.check.iter().chain(&self.checks).filter(|check| !check.is_empty());
        let spec = |check: &CheckBody| {
            let ids = [&check.check_id, &check.id, &check.name];
            let status = status(&check.status, "Bad check status")?;
            Ok(CheckSpec {
                id: ids.into_iter().find(|id| !id.is_empty()).cloned().unwrap_or_default(),
                name: check.name.clone(),
                notes: check.notes.clone(),
                service_id: check.service_id.clone(),
                status,
                output: status.map(|_| check.output.clone()),
                definition: check.listed_definition(),
            })
        };
        given.map(spec).collect()
    }
}

fn check_own_datacenter(call: &Call, wanted: &str) -> Result<(), HttpError> {
    call.check_datacenter()?;
    if wanted.is_empty() || wanted == call.agent().options().datacenter {
        return Ok(());
    }
    Err(HttpError::internal("No path to datacenter"))
}

pub(super) async fn register(call: &Call) -> Outcome {
    let body: RegisterBody = decode::body(&call.body)?;
    check_own_datacenter(call, &body.datacenter)?;
    let node = body.node(call)?;
    call.allow(Resource::Node, &body.node, Access::Write).await?;
    let service = body.service.as_ref().map(ServiceBody::service);
    if let Some(service) = &service {
        if service.name.is_empty() {
            return Err(HttpError::internal("Must provide service name with ID"));
        }
        call.allow(Resource::Service, &service.name, Access::Write).await?;
    }
    let registration =
        Registration { node, service, checks: body.checks()?, replace_checks: false };
    call.client().execute(&Command::Register(registration)).await?;
    call.json(&true)
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct DeregisterBody {
    node: String,
    datacenter: String,
    #[serde(rename = "ServiceID")]
    service_id: String,
    #[serde(rename = "CheckID")]
    check_id: String,
}

pub(super) async fn deregister(call: &Call) -> Outcome {
    let body: DeregisterBody = decode::body(&call.body)?;
    check_own_datacenter(call, &body.datacenter)?;
    if body.node.is_empty() {
        return Err(HttpError::internal("Must provide node"));
    }
    call.allow(Resource::Node, &body.node, Access::Write).await?;
    let node = body.node;
    let removal = match (body.service_id.as_str(), body.check_id.as_str()) {
        ("", "") => Removal::Node { node },
        ("", id) => Removal::Check { node, id: id.to_owned() },
        (id, _) => Removal::Service { node, id: id.to_owned() },
    };
    call.client().execute(&Command::Remove(removal)).await?;
    call.json(&true)
}

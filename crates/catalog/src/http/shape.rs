//! Answers as JSON: the fields of Consul, in their exact case.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use regrow_ids::GoDuration;
use serde::Serialize;

use crate::model::{self, Indexed};

type Map<T> = BTreeMap<String, T>;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Node<'a> {
    #[serde(rename = "ID")]
    id: &'a str,
    node: &'a str,
    address: &'a str,
    datacenter: &'a str,
    tagged_addresses: &'a Map<String>,
    meta: &'a Map<String>,
    create_index: u64,
    modify_index: u64,
}

impl<'a> Node<'a> {
    pub fn of(row: &'a Indexed<model::Node>) -> Self {
        let node = &row.value;
        Self {
            id: &node.id,
            node: &node.name,
            address: &node.address,
            datacenter: &node.datacenter,
            tagged_addresses: &node.tagged_addresses,
            meta: &node.meta,
            create_index: row.indexes.created,
            modify_index: row.indexes.modified,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Weights {
    passing: u16,
    warning: u16,
}

impl Weights {
    fn of(weights: model::Weights) -> Self {
        Self { passing: weights.passing, warning: weights.warning }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Address<'a> {
    address: &'a str,
    port: u16,
}

fn addresses(service: &model::Service) -> Map<Address<'_>> {
    let named = service.tagged_addresses.iter();
    named
        .map(|(name, at)| (name.clone(), Address { address: &at.address, port: at.port }))
        .collect()
}

/// A part of newer versions that says nothing here.
#[derive(Default, Serialize)]
pub(super) struct Nothing {}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Service<'a> {
    #[serde(rename = "ID")]
    id: &'a str,
    service: &'a str,
    tags: &'a [String],
    address: &'a str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    tagged_addresses: Map<Address<'a>>,
    meta: &'a Map<String>,
    port: u16,
    weights: Weights,
    enable_tag_override: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    proxy: Option<Nothing>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connect: Option<Nothing>,
    #[serde(skip_serializing_if = "Option::is_none")]
    create_index: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    modify_index: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    datacenter: Option<&'a str>,
}

impl<'a> Service<'a> {
    /// As the catalog shows it.
    pub fn of(row: &'a Indexed<model::Service>) -> Self {
        Self {
            proxy: Some(Nothing {}),
            connect: Some(Nothing {}),
            create_index: Some(row.indexes.created),
            modify_index: Some(row.indexes.modified),
            datacenter: None,
            ..Self::local(&row.value, "")
        }
    }

    /// As its agent shows it.
    pub fn local(service: &'a model::Service, datacenter: &'a str) -> Self {
        Self {
            id: &service.id,
            service: &service.name,
            tags: &service.tags,
            address: &service.address,
            tagged_addresses: addresses(service),
            meta: &service.meta,
            port: service.port,
            weights: Weights::of(service.weights),
            enable_tag_override: service.enable_tag_override,
            proxy: None,
            connect: None,
            create_index: None,
            modify_index: None,
            datacenter: Some(datacenter),
        }
    }
}

/// An instance as `/v1/catalog/service` shows it.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct CatalogService<'a> {
    #[serde(rename = "ID")]
    id: &'a str,
    node: &'a str,
    address: &'a str,
    datacenter: &'a str,
    tagged_addresses: &'a Map<String>,
    node_meta: &'a Map<String>,
    service_kind: &'static str,
    #[serde(rename = "ServiceID")]
    service_id: &'a str,
    service_name: &'a str,
    service_tags: &'a [String],
    service_address: &'a str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    service_tagged_addresses: Map<Address<'a>>,
    service_weights: Weights,
    service_meta: &'a Map<String>,
    service_port: u16,
    service_enable_tag_override: bool,
    service_proxy: Nothing,
    service_connect: Nothing,
    create_index: u64,
    modify_index: u64,
}

impl<'a> CatalogService<'a> {
    pub fn of(instance: &'a model::Instance) -> Self {
        let (node, service) = (&instance.node.value, &instance.service.value);
        Self {
            id: &node.id,
            node: &node.name,
            address: &node.address,
            datacenter: &node.datacenter,
            tagged_addresses: &node.tagged_addresses,
            node_meta: &node.meta,
            service_kind: "",
            service_id: &service.id,
            service_name: &service.name,
            service_tags: &service.tags,
            service_address: &service.address,
            service_tagged_addresses: addresses(service),
            service_weights: Weights::of(service.weights),
            service_meta: &service.meta,
            service_port: service.port,
            service_enable_tag_override: service.enable_tag_override,
            service_proxy: Nothing {},
            service_connect: Nothing {},
            create_index: instance.service.indexes.created,
            modify_index: instance.service.indexes.modified,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct NodeServices<'a> {
    node: Node<'a>,
    services: Map<Service<'a>>,
}

impl<'a> NodeServices<'a> {
    pub fn of(node: &'a Indexed<model::Node>, services: &'a [Indexed<model::Service>]) -> Self {
        let by_id = services.iter().map(|row| (row.value.id.clone(), Service::of(row)));
        Self { node: Node::of(node), services: by_id.collect() }
    }
}

/// How a check finds out; the TTL is not shown, as in the original.
#[derive(Default, Serialize)]
pub(super) struct Definition<'a> {
    #[serde(rename = "Interval", skip_serializing_if = "Option::is_none")]
    interval: Option<GoDuration>,
    #[serde(rename = "Timeout", skip_serializing_if = "Option::is_none")]
    timeout: Option<GoDuration>,
    #[serde(rename = "DeregisterCriticalServiceAfter", skip_serializing_if = "Option::is_none")]
    deregister: Option<GoDuration>,
    #[serde(rename = "HTTP", skip_serializing_if = "str::is_empty")]
    http: &'a str,
    #[serde(rename = "Method", skip_serializing_if = "str::is_empty")]
    method: &'a str,
    #[serde(rename = "TCP", skip_serializing_if = "str::is_empty")]
    tcp: &'a str,
    #[serde(rename = "GRPC", skip_serializing_if = "str::is_empty")]
    grpc: &'a str,
}

impl<'a> Definition<'a> {
    fn of(definition: &'a model::CheckDefinition) -> Self {
        let go = |duration: Option<Duration>| duration.map(GoDuration::new);
        Self {
            interval: go(definition.interval),
            timeout: go(definition.timeout),
            deregister: go(definition.deregister_critical_after),
            http: &definition.http,
            method: &definition.method,
            tcp: &definition.tcp,
            grpc: &definition.grpc,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Check<'a> {
    node: &'a str,
    #[serde(rename = "CheckID")]
    id: &'a str,
    name: &'a str,
    status: &'static str,
    notes: &'a str,
    output: &'a str,
    #[serde(rename = "ServiceID")]
    service_id: &'a str,
    service_name: &'a str,
    service_tags: &'a [String],
    r#type: &'static str,
    definition: Definition<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    create_index: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    modify_index: Option<u64>,
}

impl<'a> Check<'a> {
    /// As the catalog shows it.
    pub fn of(row: &'a Indexed<model::Check>) -> Self {
        Self {
            create_index: Some(row.indexes.created),
            modify_index: Some(row.indexes.modified),
            ..Self::local(&row.value)
        }
    }

    /// As its agent shows it.
    pub fn local(check: &'a model::Check) -> Self {
        Self {
            node: &check.node,
            id: &check.id,
            name: &check.name,
            status: check.status.as_str(),
            notes: &check.notes,
            output: &check.output,
            service_id: &check.service_id,
            service_name: &check.service_name,
            service_tags: &check.service_tags,
            r#type: check.definition.check_type().as_str(),
            definition: Definition::of(&check.definition),
            create_index: None,
            modify_index: None,
        }
    }
}

/// An instance as `/v1/health/service` shows it.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Health<'a> {
    node: Node<'a>,
    service: Service<'a>,
    checks: Vec<Check<'a>>,
}

impl<'a> Health<'a> {
    pub fn of(instance: &'a model::Instance) -> Self {
        Self {
            node: Node::of(&instance.node),
            service: Service::of(&instance.service),
            checks: instance.checks.iter().map(Check::of).collect(),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct KeyEntry<'a> {
    lock_index: u64,
    key: &'a str,
    flags: u64,
    value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<String>,
    create_index: u64,
    modify_index: u64,
}

impl<'a> KeyEntry<'a> {
    pub fn of(entry: &'a model::KeyEntry) -> Self {
        let value = Some(&entry.value).filter(|value| !value.is_empty());
        Self {
            lock_index: entry.lock_index,
            key: &entry.key,
            flags: entry.flags,
            value: value.map(|value| BASE64_STANDARD.encode(value)),
            session: entry.session.map(|session| session.to_string()),
            create_index: entry.indexes.created,
            modify_index: entry.indexes.modified,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ServiceCheck<'a> {
    #[serde(rename = "ID")]
    id: &'a str,
    namespace: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Session<'a> {
    #[serde(rename = "ID")]
    id: String,
    name: &'a str,
    node: &'a str,
    lock_delay: u64,
    behavior: &'static str,
    #[serde(rename = "TTL")]
    ttl: &'a str,
    node_checks: &'a [String],
    service_checks: Option<Vec<ServiceCheck<'a>>>,
    checks: Vec<&'a str>,
    create_index: u64,
    modify_index: u64,
}

impl<'a> Session<'a> {
    pub fn of(row: &'a Indexed<model::Session>) -> Self {
        let session = &row.value;
        let of_services = session.service_checks.iter();
        let of_services: Vec<_> =
            of_services.map(|id| ServiceCheck { id, namespace: "" }).collect();
        Self {
            id: session.id.to_string(),
            name: &session.name,
            node: &session.node,
            lock_delay: u64::try_from(session.lock_delay.as_nanos()).unwrap_or(u64::MAX),
            behavior: session.behavior.as_str(),
            ttl: &session.ttl_text,
            node_checks: &session.node_checks,
            service_checks: Some(of_services).filter(|checks| !checks.is_empty()),
            checks: session.checks().collect(),
            create_index: row.indexes.created,
            modify_index: row.indexes.modified,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Event<'a> {
    #[serde(rename = "ID")]
    id: String,
    name: &'a str,
    payload: Option<String>,
    node_filter: &'a str,
    service_filter: &'a str,
    tag_filter: &'a str,
    version: u8,
    #[serde(rename = "LTime")]
    l_time: u64,
}

impl<'a> Event<'a> {
    /// `l_time` is 0 for an event that was just fired.
    pub fn of(event: &'a model::Event, l_time: u64) -> Self {
        let payload = Some(&event.payload).filter(|payload| !payload.is_empty());
        Self {
            id: event.id.to_string(),
            name: &event.name,
            payload: payload.map(|payload| BASE64_STANDARD.encode(payload)),
            node_filter: &event.node_filter,
            service_filter: &event.service_filter,
            tag_filter: &event.tag_filter,
            version: 1,
            l_time,
        }
    }
}

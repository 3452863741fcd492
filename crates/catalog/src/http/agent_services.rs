//! `/v1/agent/service…`: what is registered on this node.

use std::collections::BTreeMap;

use hyper::StatusCode;
use serde::Deserialize;

use super::call::Call;
use super::check_body::{CheckBody, status};
use super::reply::{HttpError, Outcome, Reply};
use super::{decode, filter, shape};
use crate::model::{Access, CheckSpec, Resource, Service, ServiceAddress, Weights};

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct AddressBody {
    address: String,
    port: u16,
}

#[derive(Debug, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct WeightsBody {
    passing: u16,
    warning: u16,
}

impl Default for WeightsBody {
    fn default() -> Self {
        Self { passing: 1, warning: 1 }
    }
}

/// A service as requests define it.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct ServiceBody {
    #[serde(rename = "ID")]
    id: String,
    name: String,
    /// The name in a registration with the catalog.
    service: String,
    tags: Vec<String>,
    address: String,
    port: u16,
    meta: BTreeMap<String, String>,
    #[serde(alias = "tagged_addresses")]
    tagged_addresses: BTreeMap<String, AddressBody>,
    weights: Option<WeightsBody>,
    #[serde(alias = "enable_tag_override")]
    enable_tag_override: bool,
    check: Option<CheckBody>,
    checks: Vec<CheckBody>,
    /// The index that a deed of a transaction compares.
    pub modify_index: u64,
}

impl ServiceBody {
    /// The service under the name that this kind of request gives it.
    pub fn service(&self) -> Service {
        let name = if self.name.is_empty() { &self.service } else { &self.name };
        let weights = self.weights.as_ref();
        Service {
            id: if self.id.is_empty() { name.clone() } else { self.id.clone() },
            name: name.clone(),
            tags: self.tags.clone(),
            address: self.address.clone(),
            port: self.port,
            meta: self.meta.clone(),
            tagged_addresses: self
                .tagged_addresses
                .iter()
                .map(|(name, at)| {
                    let address = at.address.clone();
                    (name.clone(), ServiceAddress { address, port: at.port })
                })
                .collect(),
            weights: weights.map_or_else(Weights::default, |given| Weights {
                passing: given.passing,
                warning: given.warning,
            }),
            enable_tag_override: self.enable_tag_override,
        }
    }

    /// The checks that come with it, with the ids and names that they get by default.
    fn checks(&self, call: &Call, service: &Service) -> Result<Vec<CheckSpec>, HttpError> {
        let given: Vec<&CheckBody> =
            self.check.iter().chain(&self.checks).filter(|check| !check.is_empty()).collect();
        for check in &given {
            status(&check.status, "Status for checks must 'passing', 'warning', 'critical'")?;
        }
        let several = given.len() > 1;
        let spec = |(at, check): (usize, &&CheckBody)| {
            let id = match check.check_id.as_str() {
                "" if several => format!("service:{}:{}", service.id, at + 1),
                "" => format!("service:{}", service.id),
                id => id.to_owned(),
            };
            let name = match check.name.as_str() {
                "" => format!("Service '{}' check", service.name),
                name => name.to_owned(),
            };
            let spec = check.spec(call, id, name)?;
            Ok(CheckSpec { service_id: service.id.clone(), ..spec })
        };
        given.iter().enumerate().map(spec).collect()
    }
}

pub(super) async fn register(call: &Call) -> Outcome {
    let body: ServiceBody = decode::body(&call.body)?;
    if body.name.is_empty() {
        return Err(HttpError::bad("Missing service name"));
    }
    let service = body.service();
    let checks = body.checks(call, &service)?;
    call.allow(Resource::Service, &service.name, Access::Write).await?;
    let replace = match call.params.get("replace-existing-checks") {
        "" => call.params.has("replace-existing-checks"),
        text => text == "true" || text == "1",
    };
    call.agent().register(service, checks, replace).await?;
    Ok(Reply::empty())
}

/// Write access to a service that is registered here, if it is.
async fn allow_change(call: &Call, id: &str) -> Result<(), HttpError> {
    let local = call.agent().local();
    let name = local.services.get(id).map_or("", |service| service.name.as_str());
    call.allow(Resource::Service, name, Access::Write).await
}

pub(super) async fn deregister(call: &Call) -> Outcome {
    let id = call.named(HttpError::internal("ServiceID missing"))?;
    allow_change(call, id).await?;
    call.agent().deregister(id).await?;
    Ok(Reply::empty())
}

/// The `enable` parameter of a request for maintenance.
pub(super) fn enable(call: &Call) -> Result<bool, HttpError> {
    match call.params.get("enable") {
        "" => Err(HttpError::bad("Missing value for enable")),
        "true" | "1" | "t" | "T" | "TRUE" | "True" => Ok(true),
        "false" | "0" | "f" | "F" | "FALSE" | "False" => Ok(false),
        other => Err(HttpError::bad(format!("Invalid value for enable: {other:?}"))),
    }
}

pub(super) async fn maintenance(call: &Call) -> Outcome {
    let id = call.named(HttpError::bad("Missing service ID"))?;
    let enable = enable(call)?;
    allow_change(call, id).await?;
    call.agent().maintenance(id, enable, call.params.get("reason")).await?;
    Ok(Reply::empty())
}

pub(super) async fn list(call: &Call) -> Outcome {
    call.allow_agent(Access::Read).await?;
    let local = call.agent().local();
    let datacenter = &call.agent().options().datacenter;
    let mut shapes: BTreeMap<&str, shape::Service<'_>> = local
        .services
        .iter()
        .map(|(id, service)| (id.as_str(), shape::Service::local(service, datacenter)))
        .collect();
    let expression = call.params.get("filter");
    if !expression.is_empty() {
        let filter = filter::parse(expression)?;
        let mut picked = BTreeMap::new();
        for (id, shape) in shapes {
            if filter.picks(&serde_json::to_value(&shape).unwrap_or_default())? {
                picked.insert(id, shape);
            }
        }
        shapes = picked;
    }
    call.json(&shapes)
}

pub(super) async fn show(call: &Call) -> Outcome {
    let id = call.named(HttpError::bad("Missing service ID"))?;
    call.allow_agent(Access::Read).await?;
    let local = call.agent().local();
    let Some(service) = local.services.get(id) else {
        let text = format!("unknown service ID: {id}");
        return Err(HttpError::new(StatusCode::NOT_FOUND, text));
    };
    call.json(&shape::Service::local(service, &call.agent().options().datacenter))
}

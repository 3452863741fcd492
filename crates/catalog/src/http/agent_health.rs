//! `/v1/agent/health/service/`: how services of this node are, as a status code.

use hyper::StatusCode;
use serde::Serialize;

use super::agent_checks::own_checks;
use super::call::Call;
use super::reply::{HttpError, Outcome, Reply, TEXT};
use super::shape;
use crate::model::{Access, Check, Service, Status};

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Shape<'a> {
    aggregated_status: &'static str,
    service: shape::Service<'a>,
    checks: Vec<shape::Check<'a>>,
}

fn code(status: Status) -> StatusCode {
    match status {
        Status::Passing => StatusCode::OK,
        Status::Warning => StatusCode::TOO_MANY_REQUESTS,
        Status::Critical => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// The checks that say how a service is: its own and the node's.
fn of<'c>(checks: &'c [Check], service: &Service) -> (Status, Vec<shape::Check<'c>>) {
    let own =
        checks.iter().filter(|check| check.service_id.is_empty() || check.service_id == service.id);
    let own: Vec<&Check> = own.collect();
    let status = own.iter().map(|check| check.status).max().unwrap_or(Status::Passing);
    (status, own.into_iter().map(shape::Check::local).collect())
}

fn unknown(what: &str, name: &str) -> HttpError {
    HttpError::missing(format!("{what} {name} not found"))
}

pub(super) async fn by_id(call: &Call) -> Outcome {
    call.allow_agent(Access::Read).await?;
    let id = call.named(HttpError::bad("Missing serviceID"))?;
    let checks = own_checks(call).await?;
    let local = call.agent().local();
    let service = local.services.get(id).ok_or_else(|| unknown("ServiceId", id))?;
    let (status, shown) = of(&checks, service);
    if call.params.get("format") == "text" {
        return Ok(Reply::body(TEXT, status.as_str()).status(code(status)));
    }
    let datacenter = &call.agent().options().datacenter;
    let shape = Shape {
        aggregated_status: status.as_str(),
        service: shape::Service::local(service, datacenter),
        checks: shown,
    };
    Ok(call.json(&shape)?.status(code(status)))
}

pub(super) async fn by_name(call: &Call) -> Outcome {
    call.allow_agent(Access::Read).await?;
    let name = call.named(HttpError::bad("Missing service Name"))?;
    let checks = own_checks(call).await?;
    let local = call.agent().local();
    let datacenter = &call.agent().options().datacenter;
    let mut worst = Status::Passing;
    let mut shapes = Vec::new();
    for service in local.services.values().filter(|service| service.name == name) {
        let (status, checks) = of(&checks, service);
        worst = worst.max(status);
        shapes.push(Shape {
            aggregated_status: status.as_str(),
            service: shape::Service::local(service, datacenter),
            checks,
        });
    }
    if shapes.is_empty() {
        return Err(unknown("Service", name));
    }
    if call.params.get("format") == "text" {
        return Ok(Reply::body(TEXT, worst.as_str()).status(code(worst)));
    }
    Ok(call.json(&shapes)?.status(code(worst)))
}

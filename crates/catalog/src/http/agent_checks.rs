//! `/v1/agent/check…`: the checks of this node.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::call::Call;
use super::check_body::{CheckBody, status};
use super::reply::{HttpError, Outcome, Reply};
use super::{decode, filter, shape};
use crate::model::{Access, Check, Resource, Status};
use crate::query::registry;

pub(super) async fn register(call: &Call) -> Outcome {
    let body: CheckBody = decode::body(&call.body)?;
    if body.name.is_empty() {
        return Err(HttpError::bad("Missing check name"));
    }
    status(&body.status, "Bad check status")?;
    let id = [&body.id, &body.check_id, &body.name].into_iter().find(|id| !id.is_empty());
    let spec = body.spec(call, id.cloned().unwrap_or_default(), body.name.clone())?;
    allow_change(call, &spec.service_id).await?;
    call.agent().register_check(spec).await?;
    Ok(Reply::empty())
}

/// Write access to a service, or to the node where there is none.
async fn allow_change(call: &Call, service: &str) -> Result<(), HttpError> {
    let local = call.agent().local();
    match local.services.get(service) {
        Some(service) => call.allow(Resource::Service, &service.name, Access::Write).await,
        None => {
            let node = &call.agent().options().node_name;
            call.allow(Resource::Node, node, Access::Write).await
        }
    }
}

/// Write access to a check that is registered here, if it is.
async fn allow_check(call: &Call, id: &str) -> Result<(), HttpError> {
    let local = call.agent().local();
    let service = local.checks.get(id).map_or("", |check| check.spec.service_id.as_str());
    allow_change(call, service).await
}

fn check_id(call: &Call) -> Result<&str, HttpError> {
    call.named(HttpError::bad("Missing check ID"))
}

pub(super) async fn deregister(call: &Call) -> Outcome {
    let id = check_id(call)?;
    allow_check(call, id).await?;
    call.agent().deregister_check(id).await?;
    Ok(Reply::empty())
}

async fn say(call: &Call, status: Status, output: &str) -> Outcome {
    let id = check_id(call)?;
    allow_check(call, id).await?;
    call.agent().heartbeat(id, status, output).await?;
    Ok(Reply::empty())
}

pub(super) async fn pass(call: &Call) -> Outcome {
    say(call, Status::Passing, call.params.get("note")).await
}

pub(super) async fn warn(call: &Call) -> Outcome {
    say(call, Status::Warning, call.params.get("note")).await
}

pub(super) async fn fail(call: &Call) -> Outcome {
    say(call, Status::Critical, call.params.get("note")).await
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct UpdateBody {
    status: String,
    output: String,
}

pub(super) async fn update(call: &Call) -> Outcome {
    let body: UpdateBody = decode::body(&call.body)?;
    let status = body
        .status
        .parse()
        .map_err(|()| HttpError::bad(format!("Invalid check status: '{}'", body.status)))?;
    say(call, status, &body.output).await
}

/// The checks that were registered here, as the catalog has them now; what it does not have yet is
/// shown as it will be entered.
pub(super) async fn own_checks(call: &Call) -> Result<Vec<Check>, HttpError> {
    let agent = call.agent();
    let entry = call.ask_locally(&registry::node_entry(&agent.options().node_name)).await?;
    let local = agent.local();
    let own = local.checks.values().map(|check| {
        let service = local.services.get(&check.spec.service_id);
        entry.checks.get(&check.spec.id).cloned().unwrap_or_else(|| {
            let spec = check.entering(None);
            Check {
                node: agent.options().node_name.clone(),
                id: spec.id,
                name: spec.name,
                status: spec.status.unwrap_or(Status::Critical),
                notes: spec.notes,
                output: spec.output.unwrap_or_default(),
                service_id: spec.service_id,
                service_name: service.map(|service| service.name.clone()).unwrap_or_default(),
                service_tags: service.map(|service| service.tags.clone()).unwrap_or_default(),
                definition: spec.definition,
            }
        })
    });
    Ok(own.collect())
}

pub(super) async fn list(call: &Call) -> Outcome {
    call.allow_agent(Access::Read).await?;
    let mut checks = own_checks(call).await?;
    let expression = call.params.get("filter");
    if !expression.is_empty() {
        let filter = filter::parse(expression)?;
        let mut picked = Vec::new();
        for check in checks {
            let value = serde_json::to_value(shape::Check::local(&check)).unwrap_or_default();
            if filter.picks(&value)? {
                picked.push(check);
            }
        }
        checks = picked;
    }
    let shapes: BTreeMap<&str, shape::Check<'_>> =
        checks.iter().map(|check| (check.id.as_str(), shape::Check::local(check))).collect();
    call.json(&shapes)
}

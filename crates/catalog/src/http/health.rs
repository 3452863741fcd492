//! `/v1/health/`: checks, and services by what their checks say.

use super::call::Call;
use super::catalog::{has_tags, sees};
use super::reply::{HttpError, Outcome};
use super::shape;
use crate::model::{Check, Indexed, Status};
use crate::query::{Read, registry};

/// Whether only passing instances are asked for.
fn only_passing(call: &Call) -> Result<bool, HttpError> {
    match call.params.get("passing") {
        "" => Ok(call.params.has("passing")),
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(HttpError::bad("Invalid value for ?passing")),
    }
}

pub(super) async fn service(call: &Call) -> Outcome {
    let name = call.named(HttpError::bad("Missing service name"))?;
    let passing = only_passing(call)?;
    let rights = call.rights().await?;
    let (meta, mut instances) = call.ask(&registry::instances(name)).await?;
    instances.retain(|instance| {
        sees(&rights, instance)
            && has_tags(call, &instance.service.value.tags)
            && (!passing || instance.status() == Status::Passing)
    });
    let shapes: Vec<_> = instances.iter().map(shape::Health::of).collect();
    Ok(call.filtered(&shapes)?.meta(meta))
}

async fn list(call: &Call, read: &Read<Vec<Indexed<Check>>>) -> Outcome {
    let rights = call.rights().await?;
    let (meta, mut checks) = call.ask(read).await?;
    checks.retain(|check| rights.sees(&check.value));
    let shapes: Vec<_> = checks.iter().map(shape::Check::of).collect();
    Ok(call.filtered(&shapes)?.meta(meta))
}

pub(super) async fn checks(call: &Call) -> Outcome {
    let name = call.named(HttpError::bad("Missing service name"))?;
    list(call, &registry::checks_of_service(name)).await
}

pub(super) async fn node(call: &Call) -> Outcome {
    let name = call.named(HttpError::bad("Missing node name"))?;
    list(call, &registry::checks_of_node(name)).await
}

pub(super) async fn state(call: &Call) -> Outcome {
    let name = call.named(HttpError::bad("Missing check state"))?;
    let read = match (name, name.parse()) {
        ("any", _) => registry::checks(None),
        (_, Ok(status)) => registry::checks(Some(status)),
        // No check is ever in another state.
        _ => registry::checks(None).map(|_| Vec::new()),
    };
    list(call, &read).await
}

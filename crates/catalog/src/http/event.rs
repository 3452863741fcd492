//! `/v1/event/`: events.

use super::call::Call;
use super::reply::{HttpError, Outcome};
use super::shape;
use crate::machine::Command;
use crate::model::{Access, Event, Resource, SessionId};
use crate::query;

/// Largest payload in bytes.
const PAYLOAD_BYTES_MAX: usize = 512;

pub(super) async fn fire(call: &Call) -> Outcome {
    call.check_datacenter()?;
    let name = call.named(HttpError::bad("Missing name"))?;
    call.allow(Resource::Event, name, Access::Write).await?;
    if call.body.len() > PAYLOAD_BYTES_MAX {
        return Err(HttpError::internal(format!(
            "user event exceeds configured limit of {PAYLOAD_BYTES_MAX} bytes before encoding"
        )));
    }
    let text = |name: &str| call.params.get(name).to_owned();
    let event = Event {
        id: SessionId::random(),
        name: name.to_owned(),
        payload: call.body.to_vec(),
        node_filter: text("node"),
        service_filter: text("service"),
        tag_filter: text("tag"),
    };
    call.client().execute(&Command::FireEvent(event.clone())).await?;
    call.json(&shape::Event::of(&event, 0))
}

pub(super) async fn list(call: &Call) -> Outcome {
    let name = call.params.get("name");
    let rights = call.rights().await?;
    let (meta, mut events) = call.ask(&query::sessions::events(name)).await?;
    events.retain(|event| rights.read(Resource::Event, &event.value.name));
    let shapes: Vec<_> =
        events.iter().map(|event| shape::Event::of(&event.value, event.indexes.created)).collect();
    Ok(call.json(&shapes)?.meta(meta))
}

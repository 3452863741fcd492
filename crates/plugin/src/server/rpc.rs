use std::any::Any as Panic;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use regrow_codec::Any;

use super::Shared;
use super::body::Read;
use crate::fence::Mandate;
use crate::spi::Interface;
use crate::wire::calls::HelloParams;
use crate::wire::envelope::{self, Fault, Incoming, Outcome, Request};
use crate::wire::{self, BoxFuture, Hello, Kind, Row};

/// Answers the body of a request; empty when there is nobody to answer.
pub(super) async fn answer(shared: &Arc<Shared>, mandate: Option<Mandate>, body: Read) -> Bytes {
    let begun = begin(shared, &body.bytes);
    // What the call needs of the body was copied; its permission covers the copy until the end.
    let _permit = body.into_permit();
    let Begun { id, method, started } = match begun {
        Ok(begun) => begun,
        Err(answer) => return answer,
    };
    let outcome = match started {
        Ok((kind, call)) => {
            let call = Mandate::scope(mandate, call);
            finish(shared, &method, kind, Box::pin(call)).await
        }
        Err(fault) => Outcome::Failed(fault),
    };
    // Without an id the call is done and nothing is said, whatever came of it.
    if id.is_null() { Bytes::new() } else { envelope::write(outcome, &id) }
}

/// A request that was understood.
struct Begun {
    id: Any,
    method: String,
    started: Result<(Kind, BoxFuture<Outcome>), Fault>,
}

/// Reads a request and starts its call; an error is an answer that needs no call.
fn begin(shared: &Arc<Shared>, body: &[u8]) -> Result<Begun, Bytes> {
    match envelope::read(body) {
        Incoming::Call(request) => Ok(Begun {
            id: envelope::any(request.id),
            method: request.method.clone().into_owned(),
            started: start(shared, &request),
        }),
        Incoming::Ignore => Err(Bytes::new()),
        Incoming::Refuse(fault, id) => Err(envelope::write(Outcome::Failed(fault), &id)),
    }
}

/// Finds the method and starts the call.
fn start(shared: &Arc<Shared>, request: &Request<'_>) -> Result<(Kind, BoxFuture<Outcome>), Fault> {
    let method = &*request.method;
    let quoted = || Any::from_serialize(method);
    let parts: Vec<&str> = method.split('.').collect();
    let [service, _] = parts.as_slice() else {
        let text = format!("rpc: service/method request ill-formed: {}", quoted());
        return Err(Fault::server(text));
    };
    if *service == "Handshake" {
        if method != "Handshake.Hello" {
            return Err(Fault::server(format!("rpc: can't find method {}", quoted())));
        }
        // There is nothing in them, but they must be of the right shape.
        let _: HelloParams = wire::read_params(request.params)?;
        let call = std::future::ready(hello(shared));
        return Ok((Kind::Read, Box::pin(call)));
    }
    let rows = rows(shared, service)
        .ok_or_else(|| Fault::server(format!("rpc: can't find service {}", quoted())))?;
    let row = rows
        .iter()
        .find(|row| row.method() == method)
        .ok_or_else(|| Fault::server(format!("rpc: can't find method {}", quoted())))?;
    let call = row.serve(&shared.plugin, request.params, Arc::clone(&shared.buffers))?;
    Ok((row.kind(), call))
}

/// The methods of a service, if the plugin offers it.
fn rows(shared: &Shared, service: &str) -> Option<&'static [Row]> {
    let interface = Interface::ALL.into_iter().find(|known| known.service() == service)?;
    shared.plugin.offers(interface).then(|| wire::methods(interface))
}

fn hello(shared: &Shared) -> Outcome {
    Outcome::result(&Hello::of(&shared.plugin), &shared.buffers)
}

/// Waits for the end of a call. A handler that panics fails its own call only.
async fn finish(
    shared: &Arc<Shared>,
    method: &str,
    kind: Kind,
    call: BoxFuture<Outcome>,
) -> Outcome {
    let call = AssertUnwindSafe(call).catch_unwind();
    let ended = match kind {
        Kind::Read => call.await,
        // A provision that is half done must not be dropped because its caller went away.
        Kind::Write | Kind::Slow => match shared.calls.spawn(call).await {
            Ok(ended) => ended,
            Err(_) => return Outcome::Failed(Fault::internal(format!("{method} was stopped"))),
        },
    };
    ended.unwrap_or_else(|panic| {
        let text = panic_text(&*panic);
        tracing::error!(plugin = shared.plugin.name(), method, text, "a handler panicked");
        Outcome::Failed(Fault::server(format!("{method}: the plugin panicked: {text}")))
    })
}

fn panic_text(panic: &(dyn Panic + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("(no message)")
}

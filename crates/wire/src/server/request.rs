//! One request in work: its handler, its deadline, its answer.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use tokio::sync::mpsc::Sender;
use tokio::time::{Instant, timeout_at};
use tracing::error;

use crate::fault::{Fault, FaultCode};
use crate::frame::Head;
use crate::handler::Handler;
use crate::limits::MAX_DEADLINE;
use crate::methods::Method;
use crate::peer::Caller;
use crate::server::connection::{Active, Answer, Shares};

/// One request in work.
pub(super) struct Request {
    pub method: Method,
    pub head: Head,
    pub body: Bytes,
    pub caller: Caller,
    pub answers: Sender<Answer>,
    pub active: Active,
}

impl Request {
    /// Runs the handler and queues the answer. Being aborted is how a cancelled request ends.
    pub(super) async fn run(self, handler: Option<Arc<dyn Handler>>, shares: Shares) {
        let Self { method, head, body, caller, answers, active } = self;
        let result = match handler {
            Some(handler) => call(&*handler, method, caller, body, head.deadline_ms).await,
            None => {
                let text = format!("{method} is not served here");
                Err(Fault::new(FaultCode::UnknownMethod, text))
            }
        };
        let result = result.and_then(|reply| fit(method, reply));
        // Before the answer goes out: the caller may use the number again once it has it.
        active.remove(head.request);
        // The connection has ended if this fails; there is nobody left to tell.
        let _ = answers.send(Answer::new(head.request, result, Some(shares))).await;
    }
}

async fn call(
    handler: &dyn Handler,
    method: Method,
    caller: Caller,
    body: Bytes,
    deadline_ms: u32,
) -> Result<Bytes, Fault> {
    if deadline_ms == 0 {
        return Err(Fault::new(FaultCode::Late, "the request names no deadline"));
    }
    let given = Duration::from_millis(u64::from(deadline_ms)).min(MAX_DEADLINE);
    let deadline = Instant::now() + given;
    let work = AssertUnwindSafe(handler.call(caller, body, deadline)).catch_unwind();
    match timeout_at(deadline, work).await {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => {
            error!(%method, %caller, "a handler panicked");
            Err(Fault::new(FaultCode::Failed, "the handler panicked; see the log of that node"))
        }
        Err(_) => Err(Fault::new(FaultCode::Stopped, format!("not done after {given:?}"))),
    }
}

fn fit(method: Method, reply: Bytes) -> Result<Bytes, Fault> {
    let (size, limit) = (reply.len(), method.row().reply_limit);
    if size <= limit as usize {
        return Ok(reply);
    }
    let text = format!("{method} replied with {size} bytes, expected at most {limit}");
    Err(Fault::new(FaultCode::ReplyTooLarge, text))
}

//! What answers calls: handlers, and the router that holds at most one for each row of the table.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::time::Instant;

use crate::fault::Fault;
use crate::methods::{Method, StreamMethod};
use crate::peer::Caller;
use crate::stream::Stream;

/// Answers one method. It runs only for callers that the table accepts; it is dropped at the
/// deadline, when the caller cancels and when the connection ends.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// One request to its reply body.
    async fn call(&self, caller: Caller, body: Bytes, deadline: Instant) -> Result<Bytes, Fault>;
}

#[async_trait]
impl<F, R> Handler for F
where
    F: Fn(Caller, Bytes, Instant) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Bytes, Fault>> + Send,
{
    async fn call(&self, caller: Caller, body: Bytes, deadline: Instant) -> Result<Bytes, Fault> {
        self(caller, body, deadline).await
    }
}

/// Serves one kind of stream. It is dropped when the connection ends.
#[async_trait]
pub trait StreamHandler: Send + Sync + 'static {
    /// One stream from its opening body to its end: returning `Ok` ends our direction, if
    /// [`Stream::finish`] did not, and a fault is the last thing that the caller gets.
    async fn serve(&self, caller: Caller, opening: Bytes, stream: &mut Stream)
    -> Result<(), Fault>;
}

/// Which handler answers which method. What is not registered is answered with
/// [`FaultCode::UnknownMethod`](crate::FaultCode::UnknownMethod).
#[derive(Clone, Default)]
pub struct Router {
    calls: HashMap<Method, Arc<dyn Handler>>,
    streams: HashMap<StreamMethod, Arc<dyn StreamHandler>>,
}

impl Router {
    /// A router that answers nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Answers a method; a second registration replaces the first.
    #[must_use]
    pub fn on(mut self, method: Method, handler: impl Handler) -> Self {
        self.calls.insert(method, Arc::new(handler));
        self
    }

    /// Serves a kind of stream; a second registration replaces the first.
    #[must_use]
    pub fn on_stream(mut self, method: StreamMethod, handler: impl StreamHandler) -> Self {
        self.streams.insert(method, Arc::new(handler));
        self
    }

    pub(crate) fn handler(&self, method: Method) -> Option<&Arc<dyn Handler>> {
        self.calls.get(&method)
    }

    pub(crate) fn stream_handler(&self, method: StreamMethod) -> Option<&Arc<dyn StreamHandler>> {
        self.streams.get(&method)
    }
}

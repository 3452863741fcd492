//! Calls other nodes: one connection for each peer and class, dialled when it is needed.

use std::sync::Arc;

use bytes::Bytes;
use tokio::time::Instant;

use crate::fault::{CallError, NotSent};
use crate::methods::{Method, StreamMethod};
use crate::peer::Peer;
use crate::stream::Stream;

/// Calls other nodes. Cheap to clone; clones share the connections.
#[derive(Clone)]
pub struct Client {}

impl Client {
    /// Sends one request and waits for its reply.
    ///
    /// Many calls to one peer share a connection and are answered in any order. Dropping the
    /// future cancels the call at the peer.
    ///
    /// # Errors
    ///
    /// [`CallError`] says whether the request may have run.
    pub async fn call(
        &self,
        peer: &Peer,
        method: Method,
        body: Bytes,
        deadline: Instant,
    ) -> Result<Bytes, CallError> {
        let _ = (body, deadline);
        let why = NotSent::Closed(Arc::from("no connection"));
        Err(CallError::NotSent { method: method.row().name, peer: peer.clone(), why })
    }

    /// Opens a stream on a connection of its own; the deadline is for the opening alone.
    ///
    /// # Errors
    ///
    /// As for [`Client::call`].
    pub async fn open(
        &self,
        peer: &Peer,
        method: StreamMethod,
        opening: Bytes,
        deadline: Instant,
    ) -> Result<Stream, CallError> {
        let _ = (opening, deadline);
        let why = NotSent::Closed(Arc::from("no connection"));
        Err(CallError::NotSent { method: method.row().name, peer: peer.clone(), why })
    }
}

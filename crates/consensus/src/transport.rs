//! How members of a group reach each other. Implemented over the wire for nodes, and over queues in
//! simulated worlds.

use std::io;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;

/// A member as the others reach it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its node id.
    pub node: u64,
    /// Where it answers, `HOST:PORT`.
    pub address: String,
}

/// What is asked of a member. The body's form is this crate's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ask {
    /// Entries, or a heartbeat.
    Append,
    /// A vote, or whether it would be granted.
    Vote,
    /// To take over the lead.
    Transfer,
    /// To execute a command.
    Propose,
    /// The index that a read must wait for.
    ReadIndex,
    /// A change of the members.
    Members,
}

/// Why a member did not answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// It was not reached; it knows nothing of the request.
    #[error("reach node {node}: {reason}")]
    NotSent {
        /// The member.
        node: u64,
        /// Why not.
        reason: String,
    },
    /// It was reached, or may have been; what it did is unknown.
    #[error("hear from node {node}: {reason}")]
    Unknown {
        /// The member.
        node: u64,
        /// What went wrong.
        reason: String,
    },
}

/// Chunks of an image, in order.
pub type Chunks = BoxStream<'static, io::Result<Bytes>>;

/// Carries requests to members. Requests of one kind to one member arrive in order or not at all
/// where the connection allows; nothing relies on it.
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// Sends a request for `group` and waits for the reply.
    ///
    /// # Errors
    /// There is none; the error says whether the request may have arrived.
    async fn call(
        &self,
        to: &Peer,
        group: u32,
        ask: Ask,
        body: Bytes,
        within: Duration,
    ) -> Result<Bytes, TransportError>;

    /// Sends an image of `group`'s tables on a connection of its own and waits for the reply.
    ///
    /// # Errors
    /// There is none.
    async fn send_image(
        &self,
        to: &Peer,
        group: u32,
        head: Bytes,
        chunks: Chunks,
        within: Duration,
    ) -> Result<Bytes, TransportError>;
}

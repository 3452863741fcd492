//! The engine's calls to other members, over a [`Transport`].

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use openraft::errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{RPCOption, RaftNetworkFactory, RaftNetworkV2};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};

use crate::raft::message::{
    decode_append_reply, decode_snapshot_reply, decode_transfer_reply, decode_vote_reply,
    encode_append, encode_head, encode_transfer, encode_vote,
};
use crate::raft::{Image, ImageReader, Member, RaftSnapshot, StoredMembership, Types, Vote};
use crate::transport::{Ask, Chunks, Peer, Transport, TransportError};

/// How long a message with entries may take. The engine allows one heartbeat, in which a slow link
/// carries a few hundred KiB: the same entries would be sent again for ever.
const ENTRIES_WITHIN: Duration = Duration::from_secs(5);

/// Where members answer, as the newest membership that was applied here says. Clones are the same.
///
/// The engine keeps a connection for as long as its member stays a member, also when that one moves.
#[derive(Clone, Default)]
pub(crate) struct Addresses(Arc<RwLock<BTreeMap<u64, String>>>);

impl Addresses {
    /// Takes a membership over.
    pub(crate) fn update(&self, membership: &StoredMembership) {
        let known = membership.nodes().map(|(node, member)| (*node, member.address.clone()));
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = known.collect();
    }

    fn find(&self, node: u64) -> Option<String> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&node).cloned()
    }
}

/// Makes connections to members.
#[derive(Clone)]
pub(crate) struct Network {
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) group: u32,
    pub(crate) addresses: Addresses,
}

/// The way to one member.
pub(crate) struct Connection {
    network: Network,
    peer: Peer,
}

impl RaftNetworkFactory<Types> for Network {
    type Network = Connection;

    async fn new_client(&mut self, target: u64, member: &Member) -> Connection {
        let peer = Peer { node: target, address: member.address.clone() };
        Connection { network: self.clone(), peer }
    }
}

fn unreached(error: &TransportError) -> RPCError<Types> {
    match error {
        TransportError::NotSent { .. } => RPCError::Unreachable(Unreachable::new(error)),
        TransportError::Unknown { .. } => RPCError::Network(NetworkError::new(error)),
    }
}

fn garbled(error: &io::Error) -> RPCError<Types> {
    RPCError::Network(NetworkError::new(error))
}

impl Connection {
    /// The member where it answers now.
    fn peer(&self) -> Peer {
        let node = self.peer.node;
        let moved = self.network.addresses.find(node);
        Peer { node, address: moved.unwrap_or_else(|| self.peer.address.clone()) }
    }

    async fn call(
        &self,
        ask: Ask,
        body: io::Result<Bytes>,
        within: Duration,
    ) -> Result<Bytes, RPCError<Types>> {
        let body = body.map_err(|error| garbled(&error))?;
        let Network { transport, group, .. } = &self.network;
        let called = transport.call(&self.peer(), *group, ask, body, within).await;
        called.map_err(|error| unreached(&error))
    }

    async fn ask_vote(
        &self,
        request: &VoteRequest<Types>,
        pre: bool,
        option: &RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        let reply = self.call(Ask::Vote, encode_vote(request, pre), option.hard_ttl()).await?;
        decode_vote_reply(&reply).map_err(|error| garbled(&error))
    }
}

fn chunks(image: &Image) -> Result<Chunks, io::Error> {
    match image {
        Image::Ours(view) => Ok(ImageReader::new(view.clone()).chunks()),
        Image::Theirs(_) => Err(io::Error::other("send image: it is another member's")),
    }
}

impl RaftNetworkV2<Types> for Connection {
    type SnapshotData = Image;

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<Types>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<Types>, RPCError<Types>> {
        let heartbeat = request.entries.is_empty();
        let within = if heartbeat { option.hard_ttl() } else { ENTRIES_WITHIN };
        let reply = self.call(Ask::Append, encode_append(&request), within).await?;
        decode_append_reply(&reply).map_err(|error| garbled(&error))
    }

    async fn vote(
        &mut self,
        request: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        self.ask_vote(&request, false, &option).await
    }

    // Without this, everybody grants, and a member that was cut off disturbs the others.
    async fn pre_vote(
        &mut self,
        request: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        self.ask_vote(&request, true, &option).await
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: RaftSnapshot,
        cancel: impl Future<Output = ReplicationClosed> + Send + 'static,
        option: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        let unsent = |error: io::Error| StreamingError::Network(NetworkError::new(&error));
        let head = encode_head(&vote, &snapshot.meta).map_err(unsent)?;
        let chunks = chunks(&snapshot.snapshot).map_err(unsent)?;
        let Network { transport, group, .. } = &self.network;
        let peer = self.peer();
        let sending = transport.send_image(&peer, *group, head, chunks, option.hard_ttl());
        let reply = tokio::select! {
            reply = sending => reply,
            closed = cancel => return Err(StreamingError::Closed(closed)),
        };
        let reply = reply.map_err(|error| StreamingError::Unreachable(Unreachable::new(&error)))?;
        decode_snapshot_reply(&reply).map_err(unsent)
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<Types>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<Types>, RPCError<Types>> {
        let reply = self.call(Ask::Transfer, encode_transfer(&request), option.hard_ttl()).await?;
        match decode_transfer_reply(&reply).map_err(|error| garbled(&error))? {
            Ok(()) => Ok(Ok(())),
            Err(reason) => Err(RPCError::Unreachable(Unreachable::from_string(reason))),
        }
    }
}

//! Groups over the wire between nodes: what they send, and what answers on this node.
//!
//! Each body begins with the number of the group (u32, little-endian).

use std::collections::BTreeMap;
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use futures::{StreamExt as _, stream};
use regrow_pki::NodeNumber;
use regrow_wire::{
    CHUNK_LIMIT, CallError, Caller, Client, Fault, FaultCode, Method, Router, Stream,
    StreamHandler, StreamMethod,
};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::group::{AnswerError, Group};
use crate::transport::{Ask, Chunks, Peer, Transport, TransportError};

/// Longest time for opening a connection for an image.
const OPENING: Duration = Duration::from_secs(5);
/// Longest time in which nothing of an image goes out.
const STUCK: Duration = Duration::from_secs(10);
/// How often a member that works on an image says that it lives.
const STILL_HERE: Duration = Duration::from_secs(3);

const fn method(ask: Ask) -> Method {
    match ask {
        Ask::Append => Method::RaftAppend,
        Ask::Vote => Method::RaftVote,
        Ask::Transfer => Method::RaftTransfer,
        Ask::Propose => Method::ControlPropose,
        Ask::ReadIndex => Method::ControlReadIndex,
        Ask::Members => Method::ControlMembers,
    }
}

const ASKS: [Ask; 6] =
    [Ask::Append, Ask::Vote, Ask::Transfer, Ask::Propose, Ask::ReadIndex, Ask::Members];

/// Reaches members over the wire.
pub struct WireTransport {
    client: Client,
}

impl WireTransport {
    /// Calls as this client's node.
    pub const fn new(client: Client) -> Self {
        Self { client }
    }
}

fn addressed(group: u32, body: &Bytes) -> Bytes {
    let mut whole = BytesMut::with_capacity(body.len() + 4);
    whole.put_u32_le(group);
    whole.extend_from_slice(body);
    whole.freeze()
}

fn lost(node: u64, error: &CallError) -> TransportError {
    let reason = error.to_string();
    if error.may_have_run() {
        TransportError::Unknown { node, reason }
    } else {
        TransportError::NotSent { node, reason }
    }
}

fn wired(to: &Peer) -> regrow_wire::Peer {
    regrow_wire::Peer::node(to.address.as_str(), NodeNumber::new(to.node))
}

#[async_trait]
impl Transport for WireTransport {
    async fn call(
        &self,
        to: &Peer,
        group: u32,
        ask: Ask,
        body: Bytes,
        within: Duration,
    ) -> Result<Bytes, TransportError> {
        let deadline = Instant::now() + within;
        let called =
            self.client.call(&wired(to), method(ask), addressed(group, &body), deadline).await;
        called.map_err(|error| lost(to.node, &error))
    }

    async fn send_image(
        &self,
        to: &Peer,
        group: u32,
        head: Bytes,
        chunks: Chunks,
        within: Duration,
    ) -> Result<Bytes, TransportError> {
        let opening = addressed(group, &head);
        let deadline = Instant::now() + OPENING;
        let opened =
            self.client.open(&wired(to), StreamMethod::RaftSnapshot, opening, deadline).await;
        let stream = opened.map_err(|error| lost(to.node, &error))?;
        let unknown = |reason: String| TransportError::Unknown { node: to.node, reason };
        let sent = tokio::time::timeout(within, send(stream, chunks)).await;
        sent.map_err(|late| unknown(late.to_string()))?.map_err(|error| unknown(error.to_string()))
    }
}

async fn send(mut stream: Stream, mut chunks: Chunks) -> io::Result<Bytes> {
    while let Some(chunk) = chunks.next().await {
        let mut chunk = chunk?;
        while !chunk.is_empty() {
            let part = chunk.split_to(chunk.len().min(CHUNK_LIMIT as usize));
            let sent = tokio::time::timeout(STUCK, stream.send(part)).await;
            sent.map_err(io::Error::other)?.map_err(io::Error::other)?;
        }
    }
    stream.finish().await.map_err(io::Error::other)?;
    let reply = stream.next().await.map_err(io::Error::other)?;
    reply.ok_or_else(|| io::Error::other("the member gave no reply to the image"))
}

/// Says whether a caller may send a command to a group. Servers may; what workers may is for the
/// owner of the groups to say.
pub type Admit = Arc<dyn Fn(&Caller, u32, &[u8]) -> bool + Send + Sync>;

/// The groups of this node, by number.
#[derive(Clone, Default)]
pub struct Groups {
    by_number: Arc<RwLock<BTreeMap<u32, Arc<Group>>>>,
}

impl Groups {
    /// No group yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets the others reach a group; an earlier one of this number is replaced.
    pub fn insert(&self, number: u32, group: Arc<Group>) {
        self.by_number.write().unwrap_or_else(PoisonError::into_inner).insert(number, group);
    }

    /// Answers no more for a group.
    pub fn remove(&self, number: u32) {
        self.by_number.write().unwrap_or_else(PoisonError::into_inner).remove(&number);
    }

    fn find(&self, number: u32) -> Result<Arc<Group>, Fault> {
        let groups = self.by_number.read().unwrap_or_else(PoisonError::into_inner);
        groups.get(&number).cloned().ok_or_else(|| {
            Fault::new(FaultCode::Unavailable, format!("group {number} is not on this node"))
        })
    }

    /// Adds what these groups answer to a router.
    pub fn route(&self, router: Router, admit: &Admit) -> Router {
        let mut router = router.on_stream(StreamMethod::RaftSnapshot, Images(self.clone()));
        for ask in ASKS {
            let (groups, admit) = (self.clone(), admit.clone());
            router = router.on(method(ask), move |caller: Caller, body: Bytes, _: Instant| {
                let (groups, admit) = (groups.clone(), admit.clone());
                async move { groups.answer(&admit, caller, ask, body).await }
            });
        }
        router
    }

    async fn answer(
        &self,
        admit: &Admit,
        caller: Caller,
        ask: Ask,
        mut body: Bytes,
    ) -> Result<Bytes, Fault> {
        let (from, number) = origin(&caller, &mut body)?;
        if ask == Ask::Propose && !admit(&caller, number, &body) {
            let text = format!("{caller} may not send this command");
            return Err(Fault::new(FaultCode::Forbidden, text));
        }
        let group = self.find(number)?;
        group.answer(from, ask, body).await.map_err(|error| fault(&error))
    }
}

/// Node id of the caller and the group that it means.
fn origin(caller: &Caller, body: &mut Bytes) -> Result<(u64, u32), Fault> {
    let identity = caller.identity.ok_or_else(|| {
        Fault::new(FaultCode::Forbidden, "only members of the cluster reach its groups")
    })?;
    if body.len() < 4 {
        return Err(Fault::new(FaultCode::BadRequest, "the number of the group is missing"));
    }
    Ok((identity.node.get(), body.get_u32_le()))
}

fn fault(error: &AnswerError) -> Fault {
    let code = match error {
        AnswerError::Request { .. } => FaultCode::BadRequest,
        AnswerError::Retired { .. } => FaultCode::Forbidden,
        AnswerError::Halted { .. } => FaultCode::Failed,
    };
    Fault::new(code, error.to_string())
}

/// Takes images of the leader.
struct Images(Groups);

#[async_trait]
impl StreamHandler for Images {
    async fn serve(
        &self,
        caller: Caller,
        mut opening: Bytes,
        stream: &mut Stream,
    ) -> Result<(), Fault> {
        let (from, number) = origin(&caller, &mut opening)?;
        let group = self.0.find(number)?;
        let (tell, chunks) = mpsc::channel(4);
        let chunks = stream::unfold(chunks, |mut chunks| async move {
            chunks.recv().await.map(|chunk| (chunk, chunks))
        });
        let mut taking = pin!(group.answer_image(from, opening, chunks.boxed()));
        let early = tokio::select! {
            reply = &mut taking => Some(reply),
            () = pump(stream, tell) => None,
        };
        let reply = match early {
            Some(reply) => reply,
            None => patiently(taking, stream).await,
        };
        let reply = reply.map_err(|error| fault(&error))?;
        stream.send(reply).await.map_err(|error| Fault::new(FaultCode::Failed, error.to_string()))
    }
}

/// Works on an image, and lets the leader know that it does.
async fn patiently<T>(mut work: Pin<&mut impl Future<Output = T>>, stream: &mut Stream) -> T {
    loop {
        match tokio::time::timeout(STILL_HERE, &mut work).await {
            Ok(done) => return done,
            // A leader that is gone does not need the reply either, but the image is good.
            Err(_) => drop(stream.keep_alive().await),
        }
    }
}

/// Hands over what arrives until the end, a fault, or until nobody listens.
async fn pump(stream: &mut Stream, tell: mpsc::Sender<io::Result<Bytes>>) {
    while let Some(chunk) = stream.next().await.map_err(io::Error::other).transpose() {
        let last = chunk.is_err();
        if tell.send(chunk).await.is_err() || last {
            return;
        }
    }
}

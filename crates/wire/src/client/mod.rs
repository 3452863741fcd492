//! Calls other nodes: one connection for each peer and class, dialled when it is needed.

mod dial;
mod link;
mod slot;

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use regrow_pki::{Clock, Expect, RootDigest, joiner_config};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::{TlsConnector, TlsStream};

pub use dial::{Dial, TcpDial};

use crate::client::link::{Failure, Link};
use crate::client::slot::Slot;
use crate::fault::{CallError, NotSent, Unknown};
use crate::frame::{FrameError, Head, Kind, VERSIONS, decode_fault};
use crate::keys::Keys;
use crate::limits::ClientLimits;
use crate::methods::{Class, Method, Row, StreamMethod};
use crate::peer::Peer;
use crate::stream::Stream;
use crate::transport::{Reader, TransportError, Writer, describe, halves, hello, send_hello};

/// Peers that are remembered before unused ones are forgotten.
const SLOTS: usize = 1024;

/// Calls other nodes. Cheap to clone; clones share the connections.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    side: Side,
    dial: Box<dyn Dial>,
    limits: ClientLimits,
    slots: Mutex<HashMap<(Peer, Class), Arc<Slot>>>,
}

/// As what we call.
enum Side {
    Member(Keys),
    Joiner(Arc<ClientConfig>),
}

impl Client {
    /// Calls as a member of the cluster, over TCP.
    pub fn new(keys: Keys) -> Self {
        Self::with(keys, ClientLimits::default(), TcpDial)
    }

    /// Calls as a member of the cluster, with limits and a network of one's own.
    pub fn with(keys: Keys, limits: ClientLimits, dial: impl Dial) -> Self {
        Self::on(Side::Member(keys), limits, dial)
    }

    /// Calls as a newcomer, over TCP: without certificate, and only servers that show the root
    /// that the join token pins. Nothing is sent to any other.
    ///
    /// # Errors
    ///
    /// If TLS cannot be set up.
    pub fn joiner(root: RootDigest, clock: &Clock) -> Result<Self, rustls::Error> {
        let side = Side::Joiner(joiner_config(root, clock)?);
        Ok(Self::on(side, ClientLimits::default(), TcpDial))
    }

    fn on(side: Side, limits: ClientLimits, dial: impl Dial) -> Self {
        let dial = Box::new(dial);
        Self(Arc::new(Inner { side, dial, limits, slots: Mutex::default() }))
    }

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
        let row = method.row();
        let result = match self.0.check(peer, row, &body) {
            Ok(()) => self.0.call(peer, row, body, deadline).await,
            Err(why) => Err(Failure::NotSent(why)),
        };
        result.map_err(|failure| error(row, peer, failure))
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
        let row = method.row();
        let result = match self.0.check(peer, row, &opening) {
            Ok(()) => self.0.open(peer, row, &opening, deadline).await,
            Err(why) => Err(Failure::NotSent(why)),
        };
        result.map_err(|failure| error(row, peer, failure))
    }
}

fn error(row: &Row, peer: &Peer, failure: Failure) -> CallError {
    let (method, peer) = (row.name, peer.clone());
    match failure {
        Failure::NotSent(why) => CallError::NotSent { method, peer, why },
        Failure::Unknown(why) => CallError::Unknown { method, peer, why },
        Failure::Fault(fault) => CallError::Fault { method, peer, fault },
    }
}

impl Inner {
    /// What can be said before anything is sent.
    fn check(&self, peer: &Peer, row: &Row, body: &Bytes) -> Result<(), NotSent> {
        let (size, limit) = (body.len(), row.request_limit);
        if size > limit as usize {
            return Err(NotSent::TooLarge { size, limit });
        }
        // Connections to a node that is removed now were made when it was not.
        match (&self.side, peer.expected_node()) {
            (Side::Member(keys), Some(node)) if (keys.held().member.refused)(node) => {
                Err(NotSent::Removed)
            }
            _ => Ok(()),
        }
    }

    async fn call(
        self: &Arc<Self>,
        peer: &Peer,
        row: &Row,
        body: Bytes,
        deadline: Instant,
    ) -> Result<Bytes, Failure> {
        let slot = self.slot(peer, row.class);
        loop {
            let taken = slot.link(self, peer, deadline).await.map_err(Failure::NotSent)?;
            match taken.link.call(row, body.clone(), deadline).await {
                // The connection had ended while nobody used it: that is no answer yet.
                Err(Failure::NotSent(NotSent::Closed(_))) if taken.reused => {}
                result => return result,
            }
        }
    }

    fn slot(&self, peer: &Peer, class: Class) -> Arc<Slot> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = slots.get(&(peer.clone(), class)) {
            return slot.clone();
        }
        if slots.len() >= SLOTS {
            slots.retain(|_, slot| !slot.is_unused());
        }
        slots.entry((peer.clone(), class)).or_default().clone()
    }

    fn edition(&self) -> u64 {
        match &self.side {
            Side::Member(keys) => keys.held().edition,
            Side::Joiner(_) => 0,
        }
    }

    /// A new connection for calls.
    async fn link(&self, peer: &Peer) -> io::Result<Arc<Link>> {
        let edition = self.edition();
        let (reader, writer) = self.connect(peer).await?;
        Ok(Link::start(reader, writer, &self.limits, edition))
    }

    /// A new connection, verified and with the hellos exchanged.
    async fn connect(&self, peer: &Peer) -> io::Result<(Reader, Writer)> {
        let config = self.config(peer).map_err(io::Error::other)?;
        let what = |what| io::Error::new(io::ErrorKind::TimedOut, what);
        let io = timeout(self.limits.connect, self.dial.dial(peer.address()))
            .await
            .map_err(|_| what("no connection in time"))??;
        let name = ServerName::try_from("regrow").map_err(io::Error::other)?;
        let shake = async {
            let tls = TlsConnector::from(config).connect(name, io).await;
            let tls = tls.map_err(|error| io::Error::new(error.kind(), describe(&error)))?;
            let (mut reader, mut writer) = halves(TlsStream::Client(tls), self.limits.frame);
            send_hello(&mut writer, VERSIONS).await?;
            let theirs = hello(&mut reader, self.limits.handshake).await?;
            match VERSIONS.common(theirs) {
                Some(_) => Ok((reader, writer)),
                None => Err(TransportError::Versions(theirs).into()),
            }
        };
        timeout(self.limits.handshake, shake)
            .await
            .map_err(|_| what("no end of the handshake in time"))?
    }

    fn config(&self, peer: &Peer) -> Result<Arc<ClientConfig>, rustls::Error> {
        match &self.side {
            Side::Member(keys) => {
                let expect = Expect { role: peer.expected_role(), node: peer.expected_node() };
                keys.held().member.client_config(expect)
            }
            Side::Joiner(config) => Ok(config.clone()),
        }
    }

    async fn open(
        &self,
        peer: &Peer,
        row: &Row,
        opening: &[u8],
        deadline: Instant,
    ) -> Result<Stream, Failure> {
        let connected = timeout_at(deadline, self.connect(peer)).await;
        let connected = connected.map_err(|_| Failure::NotSent(NotSent::Late))?;
        let dial = |error| Failure::NotSent(NotSent::Dial(Arc::new(error)));
        let (mut reader, mut writer) = connected.map_err(dial)?;
        let asked = timeout_at(deadline, ask(&mut reader, &mut writer, row, opening, deadline));
        match asked.await {
            Ok(Ok(())) => Ok(Stream::new(reader, writer, REQUEST, self.limits.stream_idle)),
            Ok(Err(TransportError::Refused(fault))) => Err(Failure::Fault(fault)),
            Ok(Err(error)) => Err(Failure::Unknown(Unknown::Closed(error.to_string().into()))),
            Err(_) => Err(Failure::Unknown(Unknown::Late)),
        }
    }
}

/// The number of the one request on a stream's connection.
const REQUEST: u64 = 1;

/// Asks for a stream and waits for the consent.
async fn ask(
    reader: &mut Reader,
    writer: &mut Writer,
    row: &Row,
    opening: &[u8],
    deadline: Instant,
) -> Result<(), TransportError> {
    let left = deadline.saturating_duration_since(Instant::now());
    let head = Head {
        kind: Kind::Request,
        method: row.number,
        request: REQUEST,
        deadline_ms: left.as_millis().clamp(1, u128::from(u32::MAX)) as u32,
        size: opening.len() as u32,
    };
    writer.send(head, opening).await?;
    let head = reader.head(left).await?;
    match head.kind {
        Kind::Reply if head.size == 0 => Ok(()),
        Kind::Error => Err(TransportError::Refused(decode_fault(&reader.body(head.size).await?))),
        found => Err(FrameError::Unexpected { found, expected: "the consent" }.into()),
    }
}

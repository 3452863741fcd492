//! Accepts connections: bounded in number, verified before anything is read from them.

mod connection;
mod gate;
mod request;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use regrow_pki::{NodeIdentity, identity_of, validity_of};
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use crate::fault::{Fault, FaultCode};
use crate::frame::{VERSIONS, Versions};
use crate::handler::Router;
use crate::keys::{Held, Keys};
use crate::limits::ServerLimits;
use crate::peer::Caller;
use crate::server::connection::Connection;
use crate::server::gate::{Gate, Pass};
use crate::transport::{
    BoxIo, Reader, TransportError, Writer, describe, halves, hello, send_hello,
};

/// How long accepting pauses after it failed (out of descriptors, for example).
const PAUSE: Duration = Duration::from_millis(100);

/// Answers calls of other nodes. Cheap to clone; clones share the limits.
#[derive(Clone)]
pub struct Server(Arc<Inner>);

struct Inner {
    keys: Keys,
    router: Router,
    limits: ServerLimits,
    strangers: Gate,
    nodes: Gate,
}

/// What the handshake found out.
struct Shaken {
    reader: Reader,
    writer: Writer,
    peer: Option<Verified>,
}

/// A verified node at the other end.
#[derive(Clone, Copy)]
struct Verified {
    identity: NodeIdentity,
    until: SystemTime,
}

impl Server {
    /// A server with the default limits.
    pub fn new(keys: Keys, router: Router) -> Self {
        Self::with(keys, router, ServerLimits::default())
    }

    /// A server with limits of one's own.
    pub fn with(keys: Keys, router: Router, limits: ServerLimits) -> Self {
        let strangers = Gate::new(limits.strangers, limits.strangers_per_address);
        let nodes = Gate::new(limits.connections, limits.connections_per_address);
        Self(Arc::new(Inner { keys, router, limits, strangers, nodes }))
    }

    /// Accepts connections until told to stop; then requests in work are given
    /// [`ServerLimits::grace`] to end, and every connection is closed.
    pub async fn serve(&self, listener: TcpListener, stop: CancellationToken) {
        let connections = TaskTracker::new();
        while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
            match accepted {
                Ok((stream, address)) => {
                    // Frames are collected by us before they are written.
                    let _ = stream.set_nodelay(true);
                    if let Some(pass) = self.0.strangers.enter(address.ip()) {
                        let (inner, stop) = (self.0.clone(), stop.clone());
                        connections.spawn(inner.run(Box::new(stream), address, pass, stop));
                    } else {
                        debug!(%address, "hung up: too many connections without certificate");
                    }
                }
                Err(error) => {
                    warn!(%error, "failed to accept a connection; trying again");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
        drop(listener);
        connections.close();
        connections.wait().await;
    }

    /// Serves one connection that came about in another way than by TCP, until it ends.
    pub async fn serve_one(&self, io: BoxIo, address: SocketAddr, stop: CancellationToken) {
        if let Some(pass) = self.0.strangers.enter(address.ip()) {
            self.0.clone().run(io, address, pass, stop).await;
        }
    }
}

impl Inner {
    async fn run(
        self: Arc<Self>,
        io: BoxIo,
        address: SocketAddr,
        pass: Pass,
        stop: CancellationToken,
    ) {
        let held = self.keys.held();
        let shaking = timeout(self.limits.handshake, self.shake(io, &held));
        let shaken = match stop.run_until_cancelled(shaking).await {
            None => return,
            Some(Ok(Ok(shaken))) => shaken,
            Some(Ok(Err(error))) => {
                debug!(%address, error = describe(&error), "refused a connection");
                return;
            }
            Some(Err(_)) => {
                debug!(%address, "hung up: no end of the handshake in time");
                return;
            }
        };
        let Shaken { reader, writer, peer } = shaken;
        let now = held.member.clock.now();
        let lapsed = peer.is_some_and(|peer| now > peer.until);
        let caller = Caller { identity: peer.map(|peer| peer.identity), lapsed, address };
        // What had ended before it began is bounded by its place among the strangers.
        let until = peer.map(|peer| peer.until).filter(|_| !lapsed);
        let life = self.limits.stranger_life;
        if peer.is_none() || lapsed {
            let connection = Connection::new(self, caller, until, pass);
            if timeout(life, connection.run(reader, writer, stop)).await.is_err() {
                debug!(%caller, "hung up: took too long for a first certificate or the next one");
            }
            return;
        }
        // A place among the nodes is taken before the one among strangers is given back.
        let Some(place) = self.nodes.enter(address.ip()) else {
            warn!(%caller, "hung up: too many connections");
            return;
        };
        drop(pass);
        Connection::new(self, caller, until, place).run(reader, writer, stop).await;
    }

    /// TLS and hellos. The hello of the server goes out after the client's was read, so that who
    /// is not a client of ours gets nothing to work with.
    async fn shake(&self, io: BoxIo, held: &Held) -> io::Result<Shaken> {
        let tls = TlsAcceptor::from(held.server.clone()).accept(io).await?;
        let leaf = tls.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let peer = match leaf {
            None => None,
            Some(leaf) => Some(Verified {
                identity: identity_of(leaf).map_err(io::Error::other)?,
                until: validity_of(leaf).map_err(io::Error::other)?.not_after,
            }),
        };
        let (mut reader, mut writer) = halves(TlsStream::Server(tls), self.limits.frame);
        let theirs = hello(&mut reader, self.limits.handshake).await?;
        let Some(version) = VERSIONS.common(theirs) else {
            let error = TransportError::Versions(theirs);
            let fault = Fault::new(FaultCode::Unavailable, error.to_string());
            writer.fault(0, &fault).await?;
            return Err(error.into());
        };
        send_hello(&mut writer, Versions { min: version, max: version }).await?;
        Ok(Shaken { reader, writer, peer })
    }
}

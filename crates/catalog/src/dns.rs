//! The DNS interface of Consul 1.9: services, nodes and addresses as names under one domain.
//!
//! ```text
//!   serve        sockets, limits, time-outs
//!     |
//!   packet       bytes in, a question or a refusal out; an answer in, bytes that fit out
//!     |
//!   question     what a name stands for           reader    what the catalog has of it
//!     |                                              |
//!   answer       from both to records  <-------------+
//!     |
//!   recurse      other servers, for what is not ours to know
//! ```
//!
//! Everything but `serve`, `reader` and `recurse` is plain functions; [`answer()`] runs them over data that the
//! caller has. Only `hickory-proto`'s encoding is used, the resolution is ours.
//!
//! Data is read as the leader has it. DNS answers without a leader too: then with what this node
//! has, however old, as Consul always does by default ([`DnsOptions::stale`]). Tokens are not
//! looked at: whoever reaches the port may resolve.
//!
//! A name outside of the domain, and the reverse name of an address that the catalog does not have,
//! are refused, so that a client with several servers asks the next; a service whose address is a
//! host name is answered with the alias alone. Unless [`DnsOptions::recursors`] names other servers:
//! then these are asked.
//!
//! What differs from the original, and why: `service.consul.` and other names that only have names
//! below them are answered empty and not as missing, for resolvers that look at each level; a cut
//! answer always says so; answers over UDP have at most 4096 bytes, whatever the client takes, so
//! that fewer of them are lost as fragments.
//!
//! Start reading at [`answer()`].

mod answer;
mod names;
mod packet;
mod question;
mod reader;
mod recurse;
mod serve;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_proto::rr::Name;
use tokio::net::{TcpListener, UdpSocket};
use tokio_util::sync::CancellationToken;

use crate::Catalog;
use crate::model::{Instance, Node};

/// How DNS is served.
#[derive(Clone, Debug)]
pub struct DnsOptions {
    /// The domain under which everything is, with or without the dot at its end. Default `consul`.
    pub domain: String,
    /// True to answer with what this node has even while there is a leader. Default false.
    pub stale: bool,
    /// True to leave out instances with a warning. Default false.
    pub only_passing: bool,
    /// How long answers about nodes and addresses may be kept. Default 0.
    pub node_ttl: Duration,
    /// How long answers about services may be kept, by name. A name that ends with `*` stands for
    /// all that begin so, and the longest that fits counts. Default none, which means 0.
    pub service_ttl: BTreeMap<String, Duration>,
    /// How long it may be kept that there is nothing. Default 0.
    pub negative_ttl: Duration,
    /// Most records of an answer over UDP to a client that does not say how large an answer it
    /// takes. Default 3.
    pub udp_answer_limit: usize,
    /// Most TCP connections at once; further ones are closed. Default 256.
    pub connections: usize,
    /// Most questions at once; further UDP ones are dropped, TCP ones wait. Default 1024.
    pub questions: usize,
    /// Servers that are asked about names outside of the domain, one after the other until one
    /// answers; 8 at most. Default none: such names are refused.
    pub recursors: Vec<SocketAddr>,
    /// Longest time for one of them. Default 2 s.
    pub recursor_timeout: Duration,
}

impl Default for DnsOptions {
    fn default() -> Self {
        Self {
            domain: "consul".to_owned(),
            stale: false,
            only_passing: false,
            node_ttl: Duration::ZERO,
            service_ttl: BTreeMap::new(),
            negative_ttl: Duration::ZERO,
            udp_answer_limit: 3,
            connections: 256,
            questions: 1024,
            recursors: Vec::new(),
            recursor_timeout: Duration::from_secs(2),
        }
    }
}

impl DnsOptions {
    /// Refuses servers to ask that make no sense; `own` is where DNS is to be answered.
    ///
    /// # Errors
    /// There are too many, or one is the own server.
    pub fn check_recursors(&self, own: Option<SocketAddr>) -> Result<(), DnsError> {
        recurse::check(&self.recursors, own)
    }
}

/// Why DNS is not served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DnsError {
    /// The domain is no name.
    #[error("serve DNS: the domain {domain:?} is no name ({reason}); give one such as `consul`")]
    Domain {
        /// The domain.
        domain: String,
        /// What is wrong with it.
        reason: String,
    },
    /// There are more servers to ask than anybody would wait for.
    #[error("serve DNS: {given} servers to ask about other names; use {limit} at most")]
    Recursors {
        /// How many were given.
        given: usize,
        /// Most.
        limit: usize,
    },
    /// A server to ask is this one.
    #[error(
        "serve DNS: {0} is to be asked about other names, and is this server itself; name others"
    )]
    OwnRecursor(SocketAddr),
}

/// What all answers share.
#[derive(Clone, Debug)]
pub struct Zone {
    domain: Name,
    datacenter: String,
    options: DnsOptions,
}

impl Zone {
    /// A domain in a data centre.
    ///
    /// # Errors
    /// The domain of the options is empty or no name.
    pub fn new(datacenter: impl Into<String>, options: DnsOptions) -> Result<Self, DnsError> {
        let domain = names::dotted(&options.domain).ok_or_else(|| DnsError::Domain {
            domain: options.domain.clone(),
            reason: "labels have 1 to 63 bytes, all of them 255 at most".to_owned(),
        })?;
        Ok(Self { domain, datacenter: datacenter.into(), options })
    }
}

/// The way a question came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// In a datagram: the answer is cut to what the client takes.
    Udp,
    /// On a connection: up to 65,535 bytes.
    Tcp,
}

/// What an answer depends on beside question and data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Decides the order of the records.
    pub seed: u64,
    /// Serial number of the zone: seconds since 1970.
    pub serial: u32,
}

/// What has to be known for an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Want {
    /// Nothing.
    Nothing,
    /// The instances of a service, its name without regard to case.
    Service(String),
    /// A node, its name without regard to case.
    Node(String),
    /// What has this address.
    Address(IpAddr),
}

/// Who has an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A node, by name.
    Node(String),
    /// A service, by name.
    Service(String),
}

/// What is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data {
    /// Nothing of this kind is there, or nothing was asked for.
    Nothing,
    /// The catalog cannot be read: the client is told to try elsewhere.
    Unavailable,
    /// The instances of a service, healthy or not.
    Instances(Vec<Instance>),
    /// A node.
    Node(Node),
    /// Who has the address.
    Owner(Owner),
}

/// The answer to a packet, `None` for one that is better not answered. `look` is asked at most
/// once, and no other server. Any bytes may be given.
pub fn answer(
    packet: &[u8],
    zone: &Zone,
    transport: Transport,
    moment: Moment,
    look: impl FnOnce(&Want) -> Data,
) -> Option<Vec<u8>> {
    match packet::receive(packet) {
        packet::Received::Drop => None,
        packet::Received::Refused(reply) => Some(reply),
        packet::Received::Asked(asked) => {
            let meant = question::meant(&asked, zone);
            let data = look(&question::want(&meant));
            let sections = answer::sections(&asked, &meant, &data, zone, moment);
            packet::send(&asked, &sections, transport, zone.options.udp_answer_limit)
        }
    }
}

impl Catalog {
    /// Answers DNS on a socket and a listener until told to stop; then answers that are being made
    /// are given up.
    ///
    /// # Errors
    /// The domain of the options is no name; there are too many servers to ask, or this one is among
    /// them.
    pub async fn serve_dns(
        &self,
        udp: UdpSocket,
        tcp: TcpListener,
        options: DnsOptions,
        stop: CancellationToken,
    ) -> Result<(), DnsError> {
        let zone = Zone::new(self.agent().options().datacenter.clone(), options)?;
        zone.options.check_recursors(udp.local_addr().ok())?;
        serve::run(udp, tcp, reader::Reader::new(self.client().clone()), zone, stop).await;
        Ok(())
    }
}

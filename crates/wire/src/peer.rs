//! Whom a call goes to, and whom it comes from.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use regrow_pki::{NodeIdentity, NodeNumber};

use crate::methods::CallerKind;

/// Whom a call goes to. Every peer that is called must show a certificate of this cluster with the
/// role server, or, if a node is named, the certificate of that node.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Peer {
    address: Arc<str>,
    node: Option<NodeNumber>,
}

impl Peer {
    /// The node with this number at `HOST:PORT`, whatever its role.
    pub fn node(address: impl Into<Arc<str>>, node: NodeNumber) -> Self {
        Self { address: address.into(), node: Some(node) }
    }

    /// Any server of the cluster at `HOST:PORT`.
    pub fn any_server(address: impl Into<Arc<str>>) -> Self {
        Self { address: address.into(), node: None }
    }

    /// `HOST:PORT`; the name is looked up at each dial.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The node that must be there, if one was named.
    pub fn expected(&self) -> Option<NodeNumber> {
        self.node
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.node {
            Some(node) => write!(f, "node {node} ({})", self.address),
            None => write!(f, "server {}", self.address),
        }
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Whom a call comes from: verified before any handler runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// What its certificate says; none for a stranger who wants to join.
    pub identity: Option<NodeIdentity>,
    /// Where its connection comes from.
    pub address: SocketAddr,
}

impl Caller {
    /// What it is, as far as the table cares.
    pub fn kind(&self) -> CallerKind {
        CallerKind::of(self.identity.as_ref())
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.identity {
            Some(identity) => {
                write!(f, "{} {} at {}", identity.role, identity.node, self.address)
            }
            None => write!(f, "stranger at {}", self.address),
        }
    }
}

//! Whom a call goes to, and whom it comes from.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use regrow_pki::{NodeIdentity, NodeNumber, Role};

use crate::methods::CallerKind;

/// Whom a call goes to. The certificate that is shown there must be of this cluster and fit what is
/// expected here; nothing is sent to anybody else.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Peer {
    address: Arc<str>,
    role: Option<Role>,
    node: Option<NodeNumber>,
}

impl Peer {
    /// The node with this number at `HOST:PORT`, which must be a server.
    pub fn server(address: impl Into<Arc<str>>, node: NodeNumber) -> Self {
        Self { address: address.into(), role: Some(Role::Server), node: Some(node) }
    }

    /// Any server of the cluster at `HOST:PORT`.
    pub fn any_server(address: impl Into<Arc<str>>) -> Self {
        Self { address: address.into(), role: Some(Role::Server), node: None }
    }

    /// The node with this number at `HOST:PORT`, whatever its role.
    pub fn node(address: impl Into<Arc<str>>, node: NodeNumber) -> Self {
        Self { address: address.into(), role: None, node: Some(node) }
    }

    /// `HOST:PORT`; the name is looked up at each dial.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The role that is expected there, if any.
    pub fn expected_role(&self) -> Option<Role> {
        self.role
    }

    /// The node that is expected there, if one was named.
    pub fn expected_node(&self) -> Option<NodeNumber> {
        self.node
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.role, self.node) {
            (Some(role), Some(node)) => write!(f, "{role} {node} ({})", self.address),
            (Some(role), None) => write!(f, "{role} at {}", self.address),
            (None, Some(node)) => write!(f, "node {node} ({})", self.address),
            (None, None) => write!(f, "node at {}", self.address),
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
    /// That certificate had expired when it connected; it was good until then.
    pub lapsed: bool,
    /// Where its connection comes from.
    pub address: SocketAddr,
}

impl Caller {
    /// What it is, as far as the table cares.
    pub fn kind(&self) -> CallerKind {
        if self.lapsed { CallerKind::Lapsed } else { CallerKind::of(self.identity.as_ref()) }
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.identity {
            Some(identity) => {
                let lapsed = if self.lapsed { " with an expired certificate" } else { "" };
                write!(f, "{} {} at {}{lapsed}", identity.role, identity.node, self.address)
            }
            None => write!(f, "stranger at {}", self.address),
        }
    }
}

//! What the catalog knows: nodes, services, checks, keys, sessions, events, tokens.
//!
//! These are the types that the machine stores, that reads return and that DNS and HTTP print. All
//! of them are stored with `postcard`, field by field in this order: a new field or another order
//! is a new version of the row (see `machine::rows`).

mod check;
mod key;
pub mod rules;
mod session;
mod token;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use check::{Check, CheckDefinition, CheckSpec, CheckType, SERF_HEALTH, Status};
pub use key::KeyEntry;
pub use session::{Behavior, Session, SessionId, SessionIdError};
pub use token::{Access, Policy, Resource, Rule, Token};

/// Where in the log a row was made and last changed. Readers know them as `CreateIndex` and
/// `ModifyIndex`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Indexes {
    /// Index of the command that made the row.
    pub created: u64,
    /// Index of the command that changed it last.
    pub modified: u64,
}

impl Indexes {
    /// Those of a row written at `index`, which was `before` until then.
    pub(crate) fn write(before: Option<Self>, index: u64) -> Self {
        Self { created: before.map_or(index, |before| before.created), modified: index }
    }
}

/// A machine, or something that is entered as one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// UUID text; may be empty for nodes that were entered by hand.
    pub id: String,
    /// Unique name.
    pub name: String,
    /// Address or host name.
    pub address: String,
    /// Name of its data center.
    pub datacenter: String,
    /// Further addresses by name (`lan`, `wan`, …).
    pub tagged_addresses: BTreeMap<String, String>,
    /// Free text by key.
    pub meta: BTreeMap<String, String>,
}

/// An address under a name of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceAddress {
    /// Address or host name.
    pub address: String,
    /// Port.
    pub port: u16,
}

/// Weights of a service in DNS SRV answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Weights {
    /// While all checks pass.
    pub passing: u16,
    /// While one warns.
    pub warning: u16,
}

impl Default for Weights {
    fn default() -> Self {
        Self { passing: 1, warning: 1 }
    }
}

/// One instance of a service on a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// Unique on its node.
    pub id: String,
    /// What others look for.
    pub name: String,
    /// Labels, in the order given.
    pub tags: Vec<String>,
    /// Own address or host name; empty for the node's.
    pub address: String,
    /// Port; 0 for none.
    pub port: u16,
    /// Free text by key.
    pub meta: BTreeMap<String, String>,
    /// Further addresses by name.
    pub tagged_addresses: BTreeMap<String, ServiceAddress>,
    /// Weights in SRV answers.
    pub weights: Weights,
    /// Others may change the tags in the catalog; the agent that registered it leaves them so.
    pub enable_tag_override: bool,
}

/// Something that happened, told to everybody who lists events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// UUID.
    pub id: SessionId,
    /// Name.
    pub name: String,
    /// Any bytes.
    pub payload: Vec<u8>,
    /// Regular expression over node names; empty for all.
    pub node_filter: String,
    /// Regular expression over service names; empty for all.
    pub service_filter: String,
    /// Regular expression over tags; empty for all.
    pub tag_filter: String,
}

/// A stored row and where it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Indexed<T> {
    /// The row.
    pub value: T,
    /// Where it was made and changed.
    pub indexes: Indexes,
}

/// An instance of a service with everything that readers want beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// The node it runs on.
    pub node: Indexed<Node>,
    /// The service.
    pub service: Indexed<Service>,
    /// The node's checks, then the service's, each by id.
    pub checks: Vec<Indexed<Check>>,
}

impl Instance {
    /// The worst status of all checks; passing where there are none.
    pub fn status(&self) -> Status {
        self.checks.iter().map(|check| check.value.status).max().unwrap_or(Status::Passing)
    }

    /// The service's own address, else the node's.
    pub fn address(&self) -> &str {
        let own = &self.service.value.address;
        if own.is_empty() { &self.node.value.address } else { own }
    }
}

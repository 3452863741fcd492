//! Coordination as domains see it: ordered keys with revisions, transactions over several keys,
//! watches, leases, and elections with a fence that only grows.
//!
//! One trait, [`Coordinator`], with four backends: [`Quorum`] on our own consensus, the same alone
//! in memory ([`Quorum::memory`]), [`Etcd`] and [`Consul`]. One conformance kit,
//! [`conformance`], holds them to the same behaviour; where one cannot, its [`Capabilities`] say so.
//! [`Election`] is made of keys and leases and so the same on all of them.
//!
//! It must never let two holders of one name see the same fence, nor lose a change between two
//! events of a watch without saying so.
//!
//! Start reading at [`Coordinator`], then [`Txn`], then [`Election`].

pub mod conformance;

mod consul;
mod coordinator;
mod election;
mod entry;
mod error;
mod etcd;
mod http;
mod keeper;
mod key;
mod lease;
mod quorum;
mod retry;
mod txn;
mod watch;

pub use consul::{Consul, ConsulSettings};
pub use coordinator::{Capabilities, Coordinator, Events, Limits};
pub use election::{Candidacy, Election, Leader, Leading, Report, Standing};
pub use entry::{Entry, Got, Listing, Query};
pub use error::{CoordError, Invalid, WatchError};
pub use etcd::{Etcd, EtcdSettings};
pub use keeper::HeldLease;
pub use key::{Key, MAX_KEY_BYTES, Prefix, Span};
pub use lease::{Lease, LeaseId};
pub use quorum::{Bounds, DEADLINE, KeyMachine, Quorum};
pub use regrow_consensus::Consistency;
pub use txn::{Branch, Compare, Txn, TxnReply, Write};
pub use watch::{Batch, Change, Watch};

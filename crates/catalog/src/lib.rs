//! Services, checks, sessions and keys, answered as Consul answers: HTTP and DNS.
//!
//! ```text
//!   http    dns          who asks, in their own protocols
//!     \      |
//!      catalog           the handle that everybody outside of this crate holds
//!     /      \
//!  agent    query        what this node registered; reads with an index, and waiting for it
//!     \      /
//!     machine            a pure state machine on `regrow-consensus`
//! ```
//!
//! It must never let an index go back, nor end a session before its time, nor miss a wake-up, nor
//! acknowledge what its replica did not.
//!
//! Start reading at [`machine`] (what the catalog does), then [`query`] (how it is read) and
//! [`agent`] (what a node owns). [`Catalog`] is what the binary uses:
//!
//! - `Catalog::start(replica, hub, options)` with the catalog's part of a replica and the hub of
//!   its machine; `Catalog::serve_http(listener, options, stop)`.
//! - DNS and other readers: `catalog.client().ask(&query::registry::instances("web"), &how)`;
//!   [`model::Instance`] has the address and the worst status.
//! - The runner of checks: [`agent::Agent::watch`] shows the definitions and every change of them,
//!   [`agent::Agent::report`] takes what a check found.
//! - The failure detector: `Catalog::node_alive(node, alive)`.

pub mod agent;
pub mod checks;
pub mod dns;
pub mod http;
pub mod machine;
pub mod model;
pub mod query;

mod catalog;

pub use catalog::{Catalog, StartError};

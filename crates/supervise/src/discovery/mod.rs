//! Everything that talks to a Consul agent, HashiCorp's or our own catalog: what is announced, what is
//! watched, and the locks. All of it is beside the loop: calls return at once, answers come as
//! [`Input`](crate::machine::Input).
//!
//! - [`Client`]: one call with a limit of time and size.
//! - [`Announcer`]: keeps the agent at the latest state of each service.
//! - [`Watching`]: tells what becomes of services and keys.
//! - [`Locking`]: competes for locks and says when they are ours.
//!
//! It must never hold up its caller, grow while the agent is silent, or tell a sign of life that is
//! older than the agent would believe it.

mod announce;
mod client;
mod complaint;
mod error;
#[cfg(test)]
mod fake;
mod locking;
mod pace;
#[cfg(test)]
mod tests;
mod tls;
mod token;
mod watching;

pub use announce::Announcer;
pub use client::Client;
pub use error::{CallError, DiscoveryError};
pub use locking::Locking;
pub use watching::Watching;

//! One agent on each machine: it makes a cluster or joins one, keeps its own identity fresh, and
//! carries the control group, in which everything that the cluster agrees on is kept.
//!
//! **What the cluster knows of its nodes** is a state machine ([`nodes`]): who they are, which of them
//! are servers, which were removed, the join tokens (hashed) and the authority (sealed, see
//! [`seal`]). **What a node keeps** is its state folder ([`folder`]). **What a leader does** about nodes
//! that came, went silent or are to leave is decided in [`plan`] and done in `lead`.
//!
//! Joining: the newcomer verifies a server by the digest in its token, and only then shows the
//! secret and a request for a certificate; the cluster gives it a number that is never used again.
//! It becomes a member of the control group without a vote, and gets a vote while votes are free.
//!
//! A node whose log or tables the disk damaged gets another number from the others and is refilled
//! (`refill`); it never goes on under the old one.
//!
//! Failure detection: each node tells the leader every second that it lives; a node that the leader
//! has not heard for five is dead (ADR 0008).
//!
//! It must never show its token's secret to a server that it has not verified, keep a private key
//! where others can read it, or act on the list of nodes without leading.
//!
//! Start reading at [`Agent`], then [`nodes`].

pub mod door;
pub mod folder;
pub mod nodes;
pub mod plan;
pub mod seal;

mod admit;
mod agent;
mod backup;
mod error;
mod founding;
mod heartbeat;
mod join;
mod lead;
mod messages;
mod others;
mod own;
mod proposals;
mod refill;
mod renew;
mod starting;

pub use agent::{Agent, AgentOptions, CONTROL, Observer, Start};
pub use backup::{BackupHead, RestoreOptions, recover, restore};
pub use error::AgentError;
pub use nodes::{ClusterRecord, NodeRecord, Nodes, NodesError, SCOPE};
pub use proposals::WorkerScope;

#[cfg(test)]
mod samples;

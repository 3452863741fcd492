//! What scenarios with several real processes share: starting the shipped binary in folders of its
//! own, talking to it, reading what it costs.
//!
//! What it is: the workbench of the outer test ring and of `cargo xtask bench`.
//!
//! What it must never do: touch a process, folder or address that it did not make itself.
//!
//! Where to start reading: [`Stack`], then `bin/bench-groups`; for agents on machines of their own
//! [`net`], then [`Cluster`] and [`Load`].

pub mod net;

mod cluster;
mod cost;
mod http;
mod load;
mod means;
mod probe;
mod stack;
pub mod supervised;
mod table;

pub use cluster::{Cluster, ClusterOptions, Loss, MANAGER_PORT};
pub use cost::Cost;
pub use http::{Answer, Http, NoAnswer};
pub use load::{Done, Load};
pub use means::{loopback, missing, search_path};
pub use probe::{Attempt, recovery, share};
pub use stack::{Stack, StackOptions, binary};
pub use table::table;

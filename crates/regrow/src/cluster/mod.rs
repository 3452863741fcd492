//! `regrow agent` and the commands that speak with it.
//!
//! `agent` starts a node of a cluster; `parts` says which machines share its control group, `follow`
//! prints what changes, and `health` carries what the leader hears of nodes into the catalog. The
//! other commands ask a running agent through the door in its state folder (`ask`).

mod agent;
mod ask;
mod backup;
mod dev;
mod faces;
mod follow;
mod health;
mod listen;
mod node;
mod notify;
mod parts;
mod settings;
mod token;

pub use agent::AgentArgs;
pub use ask::{CaCommand, StatusArgs};
pub use backup::{BackupArgs, RestoreArgs};
pub use dev::{CatalogArgs, Embedded};
pub use node::NodeCommand;
pub use token::TokenCommand;

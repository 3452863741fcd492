//! Commands on any catalog that answers as Consul does over HTTP: keys, sessions, services, events,
//! tokens.
//!
//! `client` carries calls; the others are one noun each. `lock` runs a command while a lock is held.

mod acl;
mod client;
mod event;
mod kv;
mod lock;
mod service;
mod session;

pub use acl::AclCommand;
pub use event::EventCommand;
pub use kv::KvCommand;
pub use service::ServiceCommand;
pub use session::SessionCommand;

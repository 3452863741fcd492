//! The plugin protocol: service interfaces, their types, and JSON-RPC 2.0 over unix sockets.
//!
//! What it is: wire-compatible with InfraKit's plugins in both directions. A plugin author
//! implements one trait of [`spi`] and serves it; a caller gets the same trait back from a name,
//! whether the object lives in this process or behind a socket.
//!
//! What it must never do: decide anything about groups or instances, keep state beyond its sockets,
//! or trust the other side: bodies, depth, time and connections are bounded.
//!
//! Where to start reading: [`spi`] for the interfaces, [`Plugin`] for what a process offers,
//! `server` and `client` for the wire, `discovery` for how names become sockets.

pub mod error;
mod lookup;
mod objects;
pub mod spi;
pub mod tree;

pub use error::{Effect, PluginError};
pub use lookup::{Lookup, Registry};
pub use objects::{DEFAULT_OBJECT, FixedObjects, Objects, Plugin, Vendor, keyed, typed};

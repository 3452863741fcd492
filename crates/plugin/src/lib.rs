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
//! [`wire`] for the table of methods, [`server`] and [`client`] for the two ends of a call,
//! [`discovery`] for how names become sockets, [`fence`] for how calls of old leaders are refused, [`topics`] for how hints about instances travel, and
//! [`conformance`] for the checks that a plugin of any language can be put through.

mod buffers;
pub mod client;
pub mod conformance;
pub mod discovery;
pub mod error;
pub mod fence;
mod growing;
mod lookup;
mod objects;
mod percent;
pub mod server;
pub mod spi;
pub mod topics;
pub mod tree;
pub mod wire;

pub use client::{Client, Timeouts};
pub use discovery::{Directory, Endpoint, RemotePlugins, SocketPlugins};
pub use error::{Effect, PluginError};
pub use fence::{InForce, KeptFencesError, Mandate};
pub use lookup::{Lookup, Registry};
pub use objects::{
    DEFAULT_OBJECT, FixedObjects, FunctionInfo, Functions, Objects, Plugin, Vendor, keyed, typed,
};
pub use server::{Listen, Running, ServeError, main, run, serve, serve_blocking};

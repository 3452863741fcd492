//! The manager of a stack: keeps what the user committed, follows the leadership, and stands before
//! groups, controllers and metadata.
//!
//! What it is: a plugin ([`Manager::plugin`]) that offers `Stack`, `Group`, `Controller` and
//! `Updatable` objects. A change is checked by the plugin that will carry it out, then stored, then
//! carried out. A replica that begins to lead hands all stored specs over; one that no longer leads
//! lets go of them. What a group controller rolled back by itself is stored too, so that the next
//! leader does not try it again (`core/rollbacks.rs`).
//!
//! What it must never do: act, or go on acting, while it does not lead; store what a plugin has
//! rejected; hold a lock over all names while it waits for a plugin; know what a group is beyond its
//! name and what `properties.rs` reads.
//!
//! Where to start reading: `core/change.rs` for the order of a change, `core/term.rs` for what
//! leadership does, [`leader`] and [`store`] for the two choices behind it, [`intents`] for what a group
//! controller promises under such a leadership, [`mux`] for remote clients.

mod backend;
mod catalog;
mod core;
mod error;
mod escape;
pub mod intents;
pub mod leader;
mod manager;
pub mod mux;
mod objects;
mod options;
mod properties;
pub mod store;

pub use backend::{Backend, CoordinatorOptions, CoordinatorTls};
pub use catalog::{Catalog, GROUP_KIND, Key, Record};
pub use error::ManagerError;
pub use manager::{Environment, Manager, plugin};
pub use options::{Env, FileSettings, MuxOptions, Options, OptionsError, TlsFiles, lay_over};

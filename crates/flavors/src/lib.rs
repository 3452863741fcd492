//! Flavor plugins, and the plugin of user-defined metadata.
//!
//! What it is: [`vanilla`] adds a script, tags and attachments to every member of a group,
//! [`combo`] joins several flavors into one, [`vars`] is a tree of values that templates read and
//! people change. Each module offers a `plugin` to serve.
//!
//! What it must never do: create, list or destroy instances, keep state on disk, or find other
//! plugins except through [`regrow_plugin::Lookup`].
//!
//! Where to start reading: [`vanilla::Settings`] for what a user writes, [`Templates`] for how
//! scripts are rendered. What an instance looks like to its script's template is described at
//! [`vanilla`].

pub mod combo;
mod templates;
pub mod vanilla;
pub mod vars;

pub use templates::Templates;

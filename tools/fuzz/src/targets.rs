//! The functions of the table, a module for each family.

pub mod agent;
pub mod catalog;
pub mod catalog_http;
pub mod codec;
pub mod consensus;
pub mod files;
pub mod groups;
pub mod ids;
pub mod journal;
pub mod machines;
pub mod manager;
pub mod options;
pub mod pki;
pub mod plugin;
pub mod rpc;
pub mod spec;
pub mod supervise;
pub mod template;
pub mod tree;
pub mod wire;

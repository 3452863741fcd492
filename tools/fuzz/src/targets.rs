//! The functions of the table, a module for each family.

pub mod catalog;
pub mod codec;
pub mod files;
pub mod groups;
pub mod ids;
pub mod manager;
pub mod options;
pub mod plugin;
pub mod rpc;
pub mod spec;
pub mod template;
pub mod tree;

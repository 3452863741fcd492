//! Groups
mod config;
pub use config::*;

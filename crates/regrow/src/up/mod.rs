//! `regrow up`: everything that a stack needs in one process, and what happens to it as it happens.
//!
//! Order: read and check all specs → start the plugins that they name → ask whether every group
//! would be accepted → commit → follow until told to stop. Until the commit nothing has an effect
//! beyond sockets.

mod args;
mod finish;
mod follow;
mod health;
mod session;
mod specs;
mod stack;
mod tracker;

pub use args::UpArgs;
pub use tracker::{GroupView, Line, LineLevel};

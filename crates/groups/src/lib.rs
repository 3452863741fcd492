//! The group controller: keeps sets of alike instances alive, and changes them step by step.
//!
//! ```text
//!  document ─► GroupConfig ─┐
//!                           ├─► plan(state, now) ─► steps ─► flavor and instance plugins
//!  lists, health, events ─► GroupState ◄──────── outcomes ──┘
//! ```
//!
//! What it is: wire- and state-compatible with InfraKit's group plugin (specification §4), driven by
//! the loop of `reconcile`. [`Groups`] is the service; [`state::GroupState`] is everything known about
//! one group; [`plan::plan`] is the pure decision.
//!
//! What it must never do: destroy because something was not seen; make a second instance where the
//! first may still come; decide anything outside [`plan`] and [`state`]; import another domain.
//!
//! Where to start reading: [`plan::plan`], then `plan/size.rs` and `plan/leaving.rs`; what a look does to
//! the state is in `state/absorb.rs`.

pub mod config;
mod controller;
pub mod plan;
mod service;
#[cfg(test)]
mod simulation;
pub mod state;
pub mod step;

pub use controller::GroupController;
pub use service::{Groups, Options, plugin};

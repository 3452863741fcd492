//! The one loop that drives every controller: observe, plan, execute, settle.
//!
//! ```text
//!            wake (event, timer, command)
//!                 │
//!   question ─► observe ─► absorb ─► plan ─► record intents ─► execute ─► settle ─┐
//!   (pure)      (effect)   (pure)   (pure)     (durable)       (effect)   (pure)  │
//!                 ▲                                                               │
//!                 └──────────────── wake again until the plan is empty ───────────┘
//! ```
//!
//! What it is: a [`Controller`] supplies those functions; the [`Loop`] owns everything around them:
//! one writer for each key's state, waking without losing or doubling, bounded parallel execution,
//! intents on disk before any outside effect, a budget for destruction, pause, notes for people.
//!
//! What it must never do: know what a group or an instance is; let a step run without a recorded
//! intent, beyond the destroy budget, or after the loop was told to stop.
//!
//! Where to start reading: [`Controller`] and [`Plan`], then `runner/actor.rs` for the order of
//! things, [`Sighting`] for what a look at the world is worth.

mod backoff;
mod budget;
mod controller;
pub mod intents;
mod moment;
mod note;
mod plan;
mod runner;
mod sighting;

pub use backoff::Backoff;
pub use budget::{Budget, BudgetLedger};
pub use controller::{Controller, Report};
pub use moment::Moment;
pub use note::{Level, Note};
pub use plan::{Class, Plan, Step};
pub use runner::{Authority, Handle, Loop, LoopOptions, Status};
pub use sighting::{Quality, Sighting};

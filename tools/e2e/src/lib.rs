//! What scenarios with several real processes share: starting the shipped binary in folders of its
//! own, talking to it, reading what it costs.
//!
//! What it is: the workbench of the outer test ring and of `cargo xtask bench`.
//!
//! What it must never do: touch a process, folder or address that it did not make itself.
//!
//! Where to start reading: [`Stack`], then `bin/bench-groups`.

mod cost;
mod stack;

pub use cost::Cost;
pub use stack::{Stack, StackOptions, binary};

//! Programs under `regrow supervise`: what ContainerPilot's users complained of, and what holds while
//! processes die.

mod complaints;
mod crash;
mod discovery;
mod input;

use std::time::Duration;

/// Longer than anything here takes on a busy machine.
const WITHIN: Duration = crate::WITHIN;

//! Providers as a controller sees them.

#![expect(clippy::expect_used, reason = "helpers of tests fail like tests")]

mod file;
mod process;
mod selector;
mod simulator;
mod worlds;

//! The group controller as a service, with plugins that live in memory.

#![expect(clippy::expect_used, clippy::unwrap_used, reason = "helpers of tests fail like tests")]

mod fakes;
mod fences;
mod handover;
mod metadata;
mod texts;
mod weaknesses;

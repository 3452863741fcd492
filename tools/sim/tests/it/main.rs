//! The judges under test: known verdicts, brute force, long histories, bad input, and what a person gets to see.
#![expect(clippy::expect_used, reason = "a test that cannot go on says why and stops")]

mod brute_force;
mod format;
mod golden;
mod judges;
mod known;
mod large;
mod support;
mod world;

//! Replicas and their tables from outside.

#![expect(clippy::expect_used, reason = "a test fails where it stands")]

mod cluster;
mod faults;
mod group;
mod local;
mod offline;
mod tables;
mod tally;
mod wired;

//! Agents on loopback, each with a state folder of its own.

#![expect(clippy::expect_used, reason = "a test fails where it stands")]

mod cluster;
mod damage;
mod join;
mod renewal;
mod world;

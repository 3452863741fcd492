//! Tests of the catalog from outside: over HTTP on a loopback port, and of the machine alone.
#![expect(clippy::expect_used, reason = "a test that cannot go on says so")]

mod agent;
mod amends;
mod blocking;
mod client;
mod clients;
mod curl;
mod endpoints;
mod gate;
mod golden;
mod limits;
mod login;
mod lone;
mod machine;
mod model;
mod samples;
mod sessions;
mod tokens;
mod world;

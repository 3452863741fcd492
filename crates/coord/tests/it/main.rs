//! The backends from outside.

#![expect(clippy::expect_used, reason = "a test fails where it stands")]

mod consul;
mod etcd;
mod etcd_server;
mod holders;
mod memory;
mod model;
mod quorum;
mod vectors;
mod watches;

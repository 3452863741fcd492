//! The real init with a worker that does what the test says.
#![expect(clippy::expect_used, reason = "a test that fails says where")]

mod lives;
mod world;

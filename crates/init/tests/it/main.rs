//! The real init with a worker that does what the test says.
#![expect(clippy::expect_used, reason = "a test that fails says where")]

mod ends;
mod lives;
mod orphans;
mod panics;
mod siege;
mod signals;
mod world;

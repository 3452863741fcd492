//! The protocol over real sockets.

#![expect(clippy::expect_used, reason = "a test that cannot go on must stop")]

mod calls;
mod envelope;
mod goldens;
mod support;
mod told;

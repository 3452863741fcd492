//! The protocol over real sockets.

#![expect(clippy::expect_used, reason = "a test that cannot go on must stop")]

mod bounds;
mod browsers;
mod calls;
mod claims;
mod conformance;
mod envelope;
mod events;
mod fences;
mod generations;
mod goldens;
mod hostile;
mod random;
mod remote;
mod slow_calls;
mod speed;
mod support;
mod told;

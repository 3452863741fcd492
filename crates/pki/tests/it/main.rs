//! The authority, its certificates and the handshakes that they allow, without sockets.
//!
//! Fault model: any certificate may be shown by anybody; keys of others are not known.

#![expect(clippy::expect_used, reason = "a test ends at the first thing that is not as expected")]

mod handshake;
mod issue;
mod papers;
mod rotation;
mod world;

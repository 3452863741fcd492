//! Calls between real nodes on the loopback device, and what strangers may try.
//!
//! Fault model: the network carries anything from anybody; a peer with a valid certificate may be
//! slow, silent, of another version, or gone. What a server with a valid certificate answers is
//! believed.

#![expect(clippy::expect_used, reason = "a test ends at the first thing that is not as expected")]

mod calls;
mod hostile;
mod join;
mod keys;
mod raw;
mod streams;
mod table;
mod world;

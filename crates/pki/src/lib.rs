//! Who is who in a cluster: its certificate authority, join tokens, node certificates and the rules
//! of their renewal. No sockets and no files.
//!
//! What it is: plain functions and values; time and randomness that matter to a decision come as
//! arguments.
//!
//! What it must never do: print, log or serialize a secret by accident; trust a name that a
//! requester wrote; read a clock on its own.
//!
//! Where to start reading: [`NodeIdentity`] for what a certificate says.

mod identity;

pub use identity::{ClusterId, IdentityError, NodeIdentity, NodeNumber, Role};

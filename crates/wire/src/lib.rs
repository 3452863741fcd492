//! Calls between nodes: framed and pipelined over mutual TLS on one port, with deadlines, size
//! limits and the caller's identity in each handler.
//!
//! It must never run a handler before the caller's certificate was verified and its role accepted
//! by the table of methods; hold more of a peer's bytes than the table and the limits allow; say
//! that a request did not run when it may have.
//!
//! Where to start reading: [`Method`] for the table, [`Client::call`] and [`Handler`] for the two
//! ends of a call, [`Stream`] for what is too large for one frame.

mod client;
mod fault;
mod handler;
mod methods;
mod peer;
mod stream;

pub use client::Client;
pub use fault::{CallError, Fault, FaultCode, NotSent, Unknown};
pub use handler::{Handler, Router, StreamHandler};
pub use methods::{CHUNK_LIMIT, CallerKind, Class, DEFAULT_BODY_LIMIT, Method, Row, StreamMethod};
pub use peer::{Caller, Peer};
pub use stream::{Stream, StreamError};

//! Calls between nodes: framed and pipelined over mutual TLS on one port, with deadlines, size
//! limits and the caller's identity in each handler.
//!
//! It must never run a handler before the caller's certificate was verified and its role accepted
//! by the table of methods; hold more of a peer's bytes than the table and the limits allow; say
//! that a request did not run when it may have.
//!
//! Where to start reading: [`Method`] for the table, [`Client::call`] and [`Handler`] for the two
//! ends of a call, [`Stream`] for what is too large for one frame, [`frame`] for the format.

mod client;
mod fault;
pub mod frame;
mod handler;
mod keys;
mod limits;
mod methods;
mod peer;
mod server;
mod stream;
mod transport;

pub use client::{Client, Dial, TcpDial};
pub use fault::{CallError, Fault, FaultCode, NotSent, Unknown};
pub use handler::{Handler, Router, StreamHandler};
pub use keys::Keys;
pub use limits::{ClientLimits, MAX_DEADLINE, ServerLimits};
pub use methods::{CHUNK_LIMIT, CallerKind, Class, DEFAULT_BODY_LIMIT, Method, Row, StreamMethod};
pub use peer::{Caller, Peer};
pub use server::Server;
pub use stream::{Stream, StreamError, StreamReceiver, StreamSender};
pub use transport::{BoxIo, Io};

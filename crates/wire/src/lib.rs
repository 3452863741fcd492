//! Calls between nodes: framed and pipelined over mutual TLS on one port, with deadlines, size
//! limits and the caller's identity in each handler.
//!
//! It must never run a handler before the caller's certificate was verified and its role accepted.

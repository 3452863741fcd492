//! How bytes become values and back: JSON with Go's rules, and the envelope of our own records.
//!
//! What it is: [`Any`] (JSON kept as it came), [`decode`] (reading JSON the way Go's decoder does,
//! with the position of a fault), [`gojson`] (printing JSON the way Go prints it, on which the
//! configuration hash depends), [`record`] (versioned, checksummed records for disk) and
//! [`versioned`] (a byte of version and a value: what logs, tables and messages carry).
//!
//! What it must never do: know what a group, a plugin or a log is; touch a file or a socket.
//!
//! Where to start reading: [`decode::from_slice`] for the wire, [`record::Record`] for disk.

mod any;
pub mod decode;
pub mod gojson;
pub mod record;
pub mod versioned;

pub use any::Any;

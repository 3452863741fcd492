//! The application supervisor: jobs, their health, what others are told of them and what they learn
//! of others. Successor of ContainerPilot; its configuration files run unchanged.
//!
//! ```text
//!   file ── config ──► Config ─► machine ◄── Input ── init (ends, signals) · control · discovery · clock
//!                                   │
//!                                   └── Effect ──► init (start, signal) · discovery · log · telemetry
//! ```
//!
//! [`machine`] decides and does nothing; it is one plain state machine, all of it serialisable, so
//! that the next worker goes on where a crashed one stopped. [`worker`] is the thin shell that feeds
//! it and carries out what it says. Everything that can be slow (discovery, checks, logs) is beside
//! the loop and never in it.
//!
//! It must never let a slow or silent peer (catalog, log reader, check) hold up a job or the end of
//! the program, announce a service that was not healthy, stop a job because a file was wrong, or
//! name a job's secret in a log.
//!
//! Start reading at [`config::Config`], then [`machine::Machine`].

pub mod clock;
pub mod config;
pub mod control;
pub mod discovery;
pub mod event;
pub mod flags;
pub mod log;
pub mod machine;
pub mod probe;
pub mod telemetry;
pub mod worker;

//! Judges and worlds: a linearizability checker for recorded histories, and simulated clusters in
//! virtual time.
//!
//! It must never depend on a real clock, network or disk.

//! The durable log below consensus: records of several streams in one sequence of preallocated
//! segment files, flushed in groups by one writer thread.
//!
//! It must never acknowledge a record that a power cut could lose, never go on after a failed
//! flush, and never mistake damage in the middle for the torn end of an interrupted write.

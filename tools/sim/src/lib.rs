//! Judges of recorded histories, was what the clients saw possible? And simulated worlds that record them.
//!
//! A run of a simulated world or of real processes records what its clients asked and what they were told.
//! The judges of this crate say afterwards whether a correct system could have answered so. They share one
//! history format with every ring of tests, and one form of failure report.
//!
//! | judge | question | promise |
//! |---|---|---|
//! | [`linear::check`] | is there one order of all operations that explains every reply? | C1 |
//! | [`judges::watch`] | did each watcher get each change once, in order, or `Compacted`? | C2 |
//! | [`judges::fence`] | did only the newest leader act? | C3 |
//! | [`judges::ack`] | is everything that was acknowledged still there? | C4 |
//! | [`judges::session`] | did sessions end neither early nor much too late? | C10 |
//!
//! **Where to start reading.** Start at [`history`], which says what a history is and how it is stored. [`linear`] has the trait
//! [`linear::Model`], which describes a correct system in a few lines, and [`linear::check`], which looks for an
//! order; its search is the heart of this crate. [`models`] are the models that exist. [`report`] writes what a
//! person needs when a verdict is bad. [`seed`] gives worlds their randomness; [`world`] is one.
//!
//! **What it must never do.** It reads no clock, opens no socket and draws no randomness of its own: the same
//! history has the same verdict and the same witness every time. Only [`report::Failure::save`] touches a disk,
//! in the folder that it is given. A search that ran out of its budget says [`linear::Verdict::Unknown`], and
//! that counts as a failure.

pub mod history;
pub mod judges;
pub mod linear;
pub mod models;
pub mod report;
pub mod seed;
pub mod world;

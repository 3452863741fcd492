//! Judges beside linearizability: watches, fences, sessions, acknowledged writes. Each is a plain function from what was
//! recorded to the first violation, in an order that does not depend on chance.

pub mod ack;
pub mod fence;
pub mod session;
pub mod watch;

//! What the supervisor needs of other parts of this program.

pub mod probe;

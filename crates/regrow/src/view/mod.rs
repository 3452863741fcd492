//! What people see: the live view of `up`, and tables.

mod live;

pub use live::{Manner, View};

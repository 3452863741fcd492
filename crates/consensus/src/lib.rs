//! Replicated deterministic state machines: OpenRaft behind a narrow interface.
//!
//! A [`Machine`] turns commands into changes of ordered [`Tables`] and into replies, and depends on
//! nothing but its tables, the command and the cluster's clock. A [`Replica`] takes commands from
//! everybody in one order, and reads what they made. [`LocalReplica`] is a replica alone in its
//! process and in memory; [`Group`] is one member of a Raft group. Above this crate nobody can tell
//! them apart.
//!
//! **Time.** Machines see one clock, [`Time`]: milliseconds that pass only while somebody leads. It
//! is stamped on each command by the leader from its monotonic clock, continues where the last
//! leader's stopped, and never goes back. Wall clocks, and their jumps, play no part. What expires
//! (a lease, a session) therefore expires late after a change of leader, and never early.
//!
//! It must never acknowledge a command that a majority could forget, nor let the name of the engine
//! below be seen by anybody above.
//!
//! Start reading at [`machine`], then [`replica`].

pub mod chance;
pub mod forms;
pub mod group;
pub mod machine;
pub mod offline;
pub mod replica;
pub mod tables;
pub mod transport;
pub mod wired;

mod local;
mod raft;
mod ticks;

pub use group::{Group, GroupOptions, Storage};
pub use local::LocalReplica;
pub use machine::{At, Change, Machine, Machines, MachinesError, Scope, Time};
pub use replica::{
    Consistency, Leadership, Outcome, ProposeError, ReadError, Replica, Scoped, Snapshot, Status,
};
pub use tables::{Edit, MemoryFile, Span, TableError, Tables, View};

//! The first process: parent of the worker and of every job, in a container (PID 1) and outside
//! (a sub-reaper).
//!
//! [`split`] forks. The child is the *worker*: it gets a [`Channel`] and does everything that needs
//! thought. The parent stays here, synchronous and without a heap: it starts processes, reaps
//! whatever ends, passes signals on, and keeps what must not die with a worker: the exit codes that
//! nobody took yet, the pipes that jobs write to, and one block of memory in which the worker keeps
//! its state. When the worker dies without saying [`Request::Bye`], the next one is forked and finds
//! all that again.
//!
//! It must never end before the worker said so, allocate after its start, block on anything but its
//! one `poll`, or signal a process that it has not just seen unreaped.
//!
//! Start reading at [`Request`] and [`Reply`]: the whole protocol.

pub mod protocol;

pub use protocol::{Channel, Ended, Output, ProcessId, Reply, Request, Streams, Target};

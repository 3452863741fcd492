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
//! What the worker does:
//!
//! ```no_run
//! use std::ffi::OsStr;
//! use std::path::Path;
//!
//! use regrow_init::{Command, ProcessId, Reply, Request, split};
//!
//! fn main() -> std::io::Result<()> {
//!     let channel = split()?; // from here on this is the worker
//!     channel.send(&Request::Hello)?;
//!     loop {
//!         // `recv` never waits; a real worker comes back when the descriptor can be read.
//!         match channel.recv()? {
//!             Reply::Process { .. } => {} // runs, or ran and was not forgotten
//!             Reply::Ready { .. } => {
//!                 let arguments = ["sleep", "1"].map(OsStr::new).to_vec();
//!                 let (environment, directory) = (Vec::new(), Path::new(""));
//!                 let command = Command { arguments, environment, directory }.encode()?;
//!                 let process = ProcessId(1);
//!                 channel.send(&Request::Start { process, wrapped: false, command })?;
//!             }
//!             // Say `Took` when what it means is noted in the state: until then it is told again.
//!             Reply::Signal(signal) => channel.send(&Request::Took(signal))?,
//!             // Init kills what is left, this worker too, and exits. `Forget` would go on.
//!             Reply::Ended { .. } => channel.send(&Request::Bye(0))?,
//!         }
//!     }
//! }
//! ```
//!
//! Init must never end before the worker said so, allocate after its start, block on anything but its
//! one `poll`, or signal a process that it has not just seen unreaped. It is read as a whole, so it has at
//! most 900 lines of code, which `cargo xtask tidy` counts.
//!
//! Start reading at [`Request`] and [`Reply`]: the whole protocol.

mod command;
mod end;
mod exec;
pub mod protocol;
mod run;
mod signals;
mod start;
mod sys;
mod table;
mod wire;
mod worker;

use std::io;

pub use command::Command;
pub use protocol::{Channel, Ended, ProcessId, Reply, Request, Stream, Streams};
pub use sys::shrink;

/// Splits this process in two. The parent becomes init and never comes back; each worker that it
/// forks returns from here, with the memory of the program as it is now, in a process group of its
/// own, every signal let through, and its limit of descriptors as high as it may be. Processes get the
/// limit that this one had.
///
/// Call it first, while there is one thread. Until a worker says [`Request::Hello`] for the first
/// time init is no more than its parent: `SIGTERM`, `SIGINT` and `SIGQUIT` go to it as they are, and
/// when it ends init exits with its code, or 128 and the number of the signal that killed it.
///
/// # Errors
///
/// What the kernel said where this process could not be prepared; nothing was forked then.
pub fn split() -> io::Result<Channel> {
    run::Init::new().map(run::Init::run).map_err(io::Error::from_raw_os_error)
}

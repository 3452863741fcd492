//! What the worker and init say to each other: one datagram a message on a socket pair
//! (`SOCK_SEQPACKET`), open files passed beside it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use serde::{Deserialize, Serialize};

use crate::{sys, wire};

/// A process that the worker asked for. The worker chooses the number and never uses one twice in
/// the life of its init, so asking again after a crash starts nothing a second time.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct ProcessId(pub u64);

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ended {
    /// It returned this code, 0 to 255.
    Code(i32),
    /// This signal killed it.
    Signal(i32),
    /// It was never there: fork or exec failed with this `errno`.
    NotStarted(i32),
}

/// One stream of a wrapped process.
#[derive(Debug)]
pub struct Stream {
    /// The reading end of its pipe, not blocking.
    pub pipe: OwnedFd,
    /// A file in memory that outlives a worker. What was taken from the pipe and is not written to
    /// the log yet is kept here by the reader; init never looks at it.
    pub spool: OwnedFd,
}

/// The streams of a wrapped process.
#[derive(Debug)]
pub struct Streams {
    /// Its standard output.
    pub out: Stream,
    /// Its standard error.
    pub err: Stream,
}

/// From the worker to init.
#[derive(Debug)]
pub enum Request {
    /// The worker is there. Answered by one [`Reply::Process`] for each process that is known, one
    /// [`Reply::Ended`] for each whose end was not forgotten, and [`Reply::Ready`].
    Hello,
    /// Start a process as leader of its own group, with `/dev/null` as input. Where the number is
    /// known already it is not started again; the answer is the same.
    Start {
        /// Its number.
        process: ProcessId,
        /// Its output and errors go into two pipes whose reading ends init keeps and hands to each
        /// worker; otherwise to init's own descriptors 1 and 2.
        wrapped: bool,
        /// What to execute, as the worker encoded it into a file in memory.
        command: OwnedFd,
    },
    /// Send a signal to the group of a process. Without effect where the process has ended.
    Signal {
        /// Which one.
        process: ProcessId,
        /// Number of the signal.
        signal: i32,
    },
    /// The end of this process was taken: do not say it to the next worker.
    Forget(ProcessId),
    /// Both streams of this process ended and were written out: init closes them.
    Drained(ProcessId),
    /// What a [`Reply::Signal`] with this number asked for is done or safely noted. A signal that was
    /// told and not taken is told again to the next worker.
    Took(i32),
    /// The last word of a worker that ends on purpose: init kills what is left, the worker too, and
    /// exits with this code, 0 to 255.
    Bye(i32),
}

/// From init to the worker.
#[derive(Debug)]
pub enum Reply {
    /// A process runs, or ran and was not forgotten.
    Process {
        /// Its number.
        process: ProcessId,
        /// Its number in the kernel; 0 where it could not be forked.
        pid: i32,
        /// Its streams, where it is wrapped and they did not end.
        streams: Option<Streams>,
    },
    /// A process ended. Repeated to the next worker until forgotten.
    Ended {
        /// Its number.
        process: ProcessId,
        /// How.
        how: Ended,
    },
    /// Everything known was told.
    Ready {
        /// Memory for the worker's state. Empty at first; init never looks at it.
        state: OwnedFd,
        /// How many workers there were before this one.
        predecessors: u32,
    },
    /// Init received a signal with this number that is for the worker.
    Signal(i32),
}

/// The worker's end of the socket pair. It never waits; readiness is that of its descriptor.
#[derive(Debug)]
pub struct Channel(pub(crate) OwnedFd);

impl Channel {
    /// Says something to init. [`io::ErrorKind::WouldBlock`] where init is behind: send it again
    /// when the descriptor can be written to. Any other error means that init is gone.
    pub fn send(&self, request: &Request) -> io::Result<()> {
        let (frame, files) = wire::from_request(request);
        sys::send(&self.0, frame, files).map_err(io::Error::from_raw_os_error)
    }

    /// The next thing that init says. [`io::ErrorKind::WouldBlock`] where there is nothing now;
    /// `EBADMSG` for a message that lacks what belongs to it, as when this process has no descriptors
    /// left: the next [`Request::Hello`] brings it again. Any other error means that init is gone.
    pub fn recv(&self) -> io::Result<Reply> {
        let reply = |(frame, files)| wire::to_reply(frame, files).ok_or(libc::EBADMSG);
        sys::receive(&self.0).and_then(reply).map_err(io::Error::from_raw_os_error)
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

//! Messages as bytes: one datagram of 16 bytes each, open files passed beside it (`SCM_RIGHTS`).
//!
//! | bytes | what |
//! |---|---|
//! | 0 | [`VERSION`] |
//! | 1 | kind: a request below 64, a reply from there on |
//! | 2 | detail: a small number that depends on the kind |
//! | 3 | 0 |
//! | 4..8 | value: a signal, an exit code, an `errno`, a process number of the kernel; `i32`, little-endian |
//! | 8..16 | the process that it is about; `u64`, little-endian |
//!
//! Nothing here allocates: init uses it too.

use std::os::fd::OwnedFd;
use std::slice;

use crate::protocol::{Ended, ProcessId, Reply, Request, Stream, Streams};

/// Version of the layout. Both ends are one program, so another version is a fault, not an age.
const VERSION: u8 = 2;
/// Most files beside one message: two pipes and two spools.
pub const FILES_MAX: usize = 4;

/// Files that come beside a message.
pub type Files = [Option<OwnedFd>; FILES_MAX];

pub const HELLO: u8 = 1;
pub const START: u8 = 2;
pub const SIGNAL: u8 = 3;
pub const FORGET: u8 = 4;
pub const DRAINED: u8 = 5;
pub const TOOK: u8 = 6;
pub const BYE: u8 = 7;
pub const PROCESS: u8 = 64;
pub const ENDED: u8 = 65;
pub const READY: u8 = 66;
pub const SIGNALLED: u8 = 67;

/// One message without its files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    pub kind: u8,
    pub detail: u8,
    pub value: i32,
    pub process: ProcessId,
}

impl Frame {
    /// About no process in particular.
    pub fn plain(kind: u8, value: i32) -> Self {
        Self { kind, detail: 0, value, process: ProcessId(0) }
    }

    pub fn ended(process: ProcessId, how: Ended) -> Self {
        let (detail, value) = match how {
            Ended::Code(code) => (0, code),
            Ended::Signal(signal) => (1, signal),
            Ended::NotStarted(errno) => (2, errno),
        };
        Self { kind: ENDED, detail, value, process }
    }

    pub fn encode(self) -> [u8; 16] {
        let [a, b, c, d] = self.value.to_le_bytes();
        let [e, f, g, h, i, j, k, l] = self.process.0.to_le_bytes();
        [VERSION, self.kind, self.detail, 0, a, b, c, d, e, f, g, h, i, j, k, l]
    }

    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let [VERSION, kind, detail, 0, a, b, c, d, e, f, g, h, i, j, k, l] = *bytes else {
            return None;
        };
        let process = ProcessId(u64::from_le_bytes([e, f, g, h, i, j, k, l]));
        Some(Self { kind, detail, value: i32::from_le_bytes([a, b, c, d]), process })
    }
}

/// A request as a frame and the file beside it.
pub fn from_request(request: &Request) -> (Frame, &[OwnedFd]) {
    let of = |kind, value, process| Frame { kind, detail: 0, value, process };
    let frame = match *request {
        Request::Hello => Frame::plain(HELLO, 0),
        Request::Start { process, wrapped, ref command } => {
            let frame = Frame { detail: wrapped.into(), ..of(START, 0, process) };
            return (frame, slice::from_ref(command));
        }
        Request::Signal { process, signal } => of(SIGNAL, signal, process),
        Request::Forget(process) => of(FORGET, 0, process),
        Request::Drained(process) => of(DRAINED, 0, process),
        Request::Took(signal) => Frame::plain(TOOK, signal),
        Request::Bye(code) => Frame::plain(BYE, code),
    };
    (frame, &[])
}

/// The reply that a frame and its files are; `None` where they are none.
pub fn to_reply(frame: Frame, files: Files) -> Option<Reply> {
    let Frame { kind, detail, value, process } = frame;
    let reply = match (kind, detail) {
        (PROCESS, 0) => Reply::Process { process, pid: value, streams: None },
        (PROCESS, 1) => {
            let [out_pipe, out_spool, err_pipe, err_spool] = files;
            let out = Stream { pipe: out_pipe?, spool: out_spool? };
            let err = Stream { pipe: err_pipe?, spool: err_spool? };
            Reply::Process { process, pid: value, streams: Some(Streams { out, err }) }
        }
        (ENDED, 0) => Reply::Ended { process, how: Ended::Code(value) },
        (ENDED, 1) => Reply::Ended { process, how: Ended::Signal(value) },
        (ENDED, 2) => Reply::Ended { process, how: Ended::NotStarted(value) },
        (READY, 0) => {
            let [state, ..] = files;
            Reply::Ready { state: state?, predecessors: u32::try_from(value).ok()? }
        }
        (SIGNALLED, 0) => Reply::Signal(value),
        _ => return None,
    };
    Some(reply)
}

#[cfg(test)]
mod tests;

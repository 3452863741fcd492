//! Requests carried out, and how a process comes to be.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{MemfdFlags, OFlags, fcntl_setfl, memfd_create};
use rustix::io::{Errno, Result};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, Resource, setpgid, setrlimit};

use crate::protocol::{Ended, ProcessId, Stream, Streams};
use crate::run::Init;
use crate::sys;
use crate::table::Slot;
use crate::wire::{self, Files, Frame};

/// Exit code of a child that could not execute its command, as shells have it.
pub const NOT_EXECUTED: i32 = 127;
/// Bytes of such a child's report: its [`ProcessId`] and the `errno`. Small enough to be whole.
const REPORT: usize = 12;

impl Init {
    pub fn handle(&mut self, frame: Frame, files: Files) {
        let Frame { kind, detail, value, process } = frame;
        match kind {
            wire::HELLO => self.hello(),
            wire::START => {
                let [command, ..] = files;
                self.start(process, detail == 1, command);
            }
            wire::SIGNAL => {
                if let Some(pid) = self.table.of(process).and_then(|slot| slot.alive()) {
                    sys::kill(if detail == 1 { pid.saturating_neg() } else { pid }, value);
                }
            }
            wire::FORGET => {
                if let Some(slot) = self.table.of(process).filter(|slot| slot.ended.is_some()) {
                    slot.forgotten = true;
                    slot.tell_ended = false;
                }
                self.table.sweep();
            }
            wire::DRAINED => {
                if let Some(slot) = self.table.of(process) {
                    slot.streams = None;
                }
                self.table.sweep();
            }
            wire::TOOK => self.signals.took(value),
            wire::BYE => {
                if let Some(worker) = &mut self.worker {
                    worker.bye = Some(value & 0xff);
                    worker.leave();
                }
            }
            _ => {}
        }
    }

    fn hello(&mut self) {
        self.greeted = true;
        if let Some(worker) = &mut self.worker {
            worker.ready = true;
            worker.owed_ready = true;
        }
        self.table.slots().for_each(Slot::repeat);
    }

    fn start(&mut self, process: ProcessId, wrapped: bool, command: Option<OwnedFd>) {
        if let Some(slot) = self.table.of(process) {
            return slot.repeat();
        }
        if self.table.add(Slot::new(process)).is_err() {
            self.refused = Some(process);
            return;
        }
        let started = self.spawn(process, wrapped, command);
        let Some(slot) = self.table.of(process) else { return };
        match started {
            Ok((pid, streams)) => {
                slot.pid = pid;
                slot.streams = streams;
            }
            Err(error) => slot.end(Ended::NotStarted(error.raw_os_error())),
        }
    }

    fn spawn(
        &self,
        process: ProcessId,
        wrapped: bool,
        command: Option<OwnedFd>,
    ) -> Result<(i32, Option<Streams>)> {
        // Only a full table of descriptors takes the file from a message.
        let command = command.ok_or(Errno::MFILE)?;
        let (ends, streams) = match wrapped {
            true => streams().map(|(ends, streams)| (Some(ends), Some(streams)))?,
            false => (None, None),
        };
        let Some(pid) = sys::fork()? else { self.become_process(process, &command, ends.as_ref()) };
        // The child does it too: whoever is later fails, and a signal sent now finds the group.
        let group = Pid::from_raw(pid);
        let _ = setpgid(group, group);
        Ok((pid, streams))
    }

    /// What the child does. Its parent cannot be held up by it.
    fn become_process(&self, process: ProcessId, command: &OwnedFd, ends: Option<&Ends>) -> ! {
        let error = self.prepare(ends).err().unwrap_or_else(|| sys::execute(command.as_fd()));
        let [a, b, c, d, e, f, g, h] = process.0.to_le_bytes();
        let [i, j, k, l] = error.raw_os_error().to_le_bytes();
        let report: [u8; REPORT] = [a, b, c, d, e, f, g, h, i, j, k, l];
        let _ = rustix::io::write(&self.reports.1, &report);
        sys::exit(NOT_EXECUTED)
    }

    fn prepare(&self, ends: Option<&Ends>) -> Result<()> {
        let _ = setpgid(None, None);
        sys::place(self.null.as_fd(), 0)?;
        if let Some((out, err)) = ends {
            sys::place(out.as_fd(), 1)?;
            sys::place(err.as_fd(), 2)?;
        }
        setrlimit(Resource::Nofile, self.limit)?;
        sys::default_signals();
        sys::unblock_signals();
        Ok(())
    }

    /// Takes what children said before they returned [`NOT_EXECUTED`].
    pub fn take_reports(&mut self) {
        let mut report = [0_u8; REPORT];
        while rustix::io::read(&self.reports.0, &mut report) == Ok(REPORT) {
            let [a, b, c, d, e, f, g, h, i, j, k, l] = report;
            let process = ProcessId(u64::from_le_bytes([a, b, c, d, e, f, g, h]));
            if let Some(slot) = self.table.of(process) {
                slot.failed = Some(i32::from_le_bytes([i, j, k, l]));
            }
        }
    }
}

/// The writing ends of a wrapped process: output, errors.
type Ends = (OwnedFd, OwnedFd);

fn streams() -> Result<(Ends, Streams)> {
    let ((out, out_end), (err, err_end)) = (stream()?, stream()?);
    Ok(((out_end, err_end), Streams { out, err }))
}

fn stream() -> Result<(Stream, OwnedFd)> {
    let (pipe, end) = pipe_with(PipeFlags::CLOEXEC)?;
    fcntl_setfl(&pipe, OFlags::NONBLOCK)?;
    Ok((Stream { pipe, spool: memfd_create(c"spool", MemfdFlags::CLOEXEC)? }, end))
}

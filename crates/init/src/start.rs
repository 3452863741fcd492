//! Requests carried out, and how a process comes to be.

use std::os::fd::OwnedFd;

use crate::exec::execute;
use crate::protocol::{Ended, ProcessId, Stream, Streams};
use crate::run::Init;
use crate::sys::{self, Result};
use crate::table::Slot;
use crate::wire::{self, Files, Frame};

/// Exit code of a child that could not execute its command, as shells have it.
pub const NOT_EXECUTED: i32 = 127;
/// Bytes of such a child's report: its [`ProcessId`] and the `errno`. Small enough to be whole.
const REPORT: usize = 12;

impl Init {
    pub fn handle(&mut self, frame: Frame, files: Files) {
        let Frame { kind, detail, value, process } = frame;
        self.news = true;
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
        let Some((slot, full)) = self.table.add(process) else { return };
        if full {
            return slot.end(Ended::NotStarted(libc::EAGAIN));
        }
        let started = self.spawn(process, wrapped, command);
        let Some(slot) = self.table.of(process) else { return };
        match started {
            Ok((pid, streams)) => (slot.pid, slot.streams) = (pid, streams),
            Err(errno) => slot.end(Ended::NotStarted(errno)),
        }
    }

    fn spawn(
        &self,
        process: ProcessId,
        wrapped: bool,
        command: Option<OwnedFd>,
    ) -> Result<(i32, Option<Streams>)> {
        // Only a full table of descriptors takes the file from a message.
        let command = command.ok_or(libc::EMFILE)?;
        // Two of the six descriptors are free again after it, which is what the next worker needs.
        let (ends, streams) = if wrapped { streams()? } else { (None, None) };
        let pid = sys::fork()?;
        if pid == 0 {
            self.become_process(process, &command, ends.as_ref());
        }
        // The child does it too: whoever is later fails, and a signal sent now finds the group.
        sys::lead_group(pid);
        Ok((pid, streams))
    }

    /// What the child does. Its parent cannot be held up by it.
    fn become_process(&self, process: ProcessId, command: &OwnedFd, ends: Option<&Ends>) -> ! {
        let errno = self.prepare(ends).err().unwrap_or_else(|| execute(command));
        let [a, b, c, d, e, f, g, h] = process.0.to_le_bytes();
        let [i, j, k, l] = errno.to_le_bytes();
        let report: [u8; REPORT] = [a, b, c, d, e, f, g, h, i, j, k, l];
        sys::write(&self.reports.1, &report);
        sys::exit(NOT_EXECUTED)
    }

    fn prepare(&self, ends: Option<&Ends>) -> Result<()> {
        sys::lead_group(0);
        sys::place(&self.null, 0)?;
        if let Some((out, err)) = ends {
            sys::place(out, 1)?;
            sys::place(err, 2)?;
        }
        sys::swap_limit(|_| self.limit);
        sys::default_signals();
        sys::unblock_signals();
        Ok(())
    }

    /// Takes what children said before they returned [`NOT_EXECUTED`].
    pub fn take_reports(&mut self) {
        let mut report = [0_u8; REPORT];
        while let [a, b, c, d, e, f, g, h, i, j, k, l] = *sys::read(&self.reports.0, &mut report) {
            let process = ProcessId(u64::from_le_bytes([a, b, c, d, e, f, g, h]));
            if let Some(slot) = self.table.of(process) {
                slot.failed = Some(i32::from_le_bytes([i, j, k, l]));
            }
        }
    }
}

/// The writing ends of a wrapped process: output, errors.
type Ends = (OwnedFd, OwnedFd);

fn streams() -> Result<(Option<Ends>, Option<Streams>)> {
    let ((out, out_end), (err, err_end)) = (stream()?, stream()?);
    Ok((Some((out_end, err_end)), Some(Streams { out, err })))
}

fn stream() -> Result<(Stream, OwnedFd)> {
    let (pipe, end) = sys::pipe()?;
    Ok((Stream { pipe, spool: sys::memory_file(c"spool")? }, end))
}

//! Requests carried out, and how a process comes to be.

use std::os::fd::OwnedFd;

use crate::protocol::Ended;
use crate::run::Init;
use crate::sys::{self, Result};
use crate::table::Slot;
use crate::wire::{self, FILES_MAX, Files, Frame};

/// What init keeps of a wrapped process: pipe and spool of its output, then of its errors.
pub type Streams = [OwnedFd; FILES_MAX];
/// What it writes to, output and errors; nothing where that is our own.
pub type Ends = [Option<OwnedFd>; 2];

impl Init {
    pub fn handle(&mut self, frame: Frame, files: Files) {
        let Frame { kind, value, process, .. } = frame;
        self.news = true;
        match (kind, self.table.of(process)) {
            (wire::HELLO, _) => {
                self.table.slots.iter_mut().for_each(|slot| slot.told = 0);
                (self.worker.ready, self.worker.owed_ready) = (true, true);
            }
            (wire::START, Some(slot)) => slot.told = 0,
            (wire::START, None) => self.start(frame, files),
            (wire::SIGNAL, Some(slot)) if slot.ended.is_none() => {
                sys::kill(slot.pid.saturating_neg(), value);
            }
            (wire::FORGET, Some(slot)) => slot.forgotten = slot.ended.is_some(),
            (wire::DRAINED, Some(slot)) => slot.streams = None,
            (wire::TOOK, _) => self.signals.took(value),
            (wire::BYE, _) => self.end(value & 0xff),
            _ => {}
        }
        self.table.sweep();
    }

    fn start(&mut self, frame: Frame, files: Files) {
        let full = self.table.is_full();
        let started = if full { Err(libc::EAGAIN) } else { self.spawn(frame, files) };
        let refused = |errno| Slot { ended: Some(Ended::NotStarted(errno)), ..Slot::default() };
        let slot = started.unwrap_or_else(refused);
        self.table.add(Slot { process: frame.process, ..slot });
    }

    fn spawn(&self, frame: Frame, [command, ..]: Files) -> Result<Slot> {
        // Only a full table of descriptors takes the file from a message.
        let command = command.ok_or(libc::EMFILE)?;
        // Two of the six descriptors are free again after it, which is what the next worker needs.
        let (streams, ends) = if frame.detail == 1 { streams()? } else { Default::default() };
        let pid = sys::fork()?;
        if pid == 0 {
            self.become_process(frame.process, &command, &ends);
        }
        Ok(Slot { pid, streams, ..Slot::default() })
    }

    /// Takes what children said that could not execute their command, before they ended.
    pub fn take_reports(&mut self) {
        let mut bytes = [0_u8; 16];
        while let Some(report) = Frame::decode(sys::read(&self.reports.0, &mut bytes)) {
            if let Some(slot) = self.table.of(report.process) {
                slot.ended = Some(Ended::NotStarted(report.value));
            }
        }
    }
}

fn streams() -> Result<(Option<Streams>, Ends)> {
    let ((out, out_end), (err, err_end)) = (sys::pipe()?, sys::pipe()?);
    let [out_spool, err_spool] = [sys::memory_file(c"spool")?, sys::memory_file(c"spool")?];
    Ok((Some([out, out_spool, err, err_spool]), [Some(out_end), Some(err_end)]))
}

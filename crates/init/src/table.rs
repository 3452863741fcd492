//! Every process that the worker asked for and did not forget: a fixed number of places, allocated
//! before anything runs and filled in order, so that what is not used costs no memory.

use std::os::fd::OwnedFd;

use crate::protocol::{Ended, ProcessId};
use crate::start::Streams;
use crate::wire::{self, Frame};

/// Most processes that are known at one time.
pub const PLACES: usize = 8192;
/// Places besides for those that could not be started, until the worker has taken that.
const PLACES_REFUSED: usize = 64;

/// One process.
#[derive(Debug, Default)]
pub struct Slot {
    pub process: ProcessId,
    /// Its number in the kernel, 0 where it could not be forked. It is safe to signal while `ended`
    /// is `None`: only we reap it, and then `ended` is set.
    pub pid: i32,
    pub ended: Option<Ended>,
    /// Where it is wrapped and they did not end.
    pub streams: Option<Streams>,
    /// How much of it the worker was told: 0 nothing, 1 that it is there, 2 its end too.
    pub told: u8,
    /// The worker took its end.
    pub forgotten: bool,
}

impl Slot {
    /// What the worker is to be told of it next, with the files beside that.
    pub fn untold(&self) -> Option<(Frame, &[OwnedFd])> {
        match (self.told, self.ended.filter(|_| !self.forgotten)) {
            (0, _) => {
                let files: &[OwnedFd] = self.streams.as_ref().map_or(&[], |files| files);
                let detail = u8::from(self.streams.is_some());
                let (kind, value, process) = (wire::PROCESS, self.pid, self.process);
                Some((Frame { kind, detail, value, process }, files))
            }
            (1, Some(how)) => Some((Frame::ended(self.process, how), &[])),
            _ => None,
        }
    }
}

/// The table, in memory that is the one allocation of init.
pub struct Table {
    pub slots: Vec<Slot>,
}

impl Table {
    pub fn new() -> Self {
        Self { slots: Vec::with_capacity(PLACES + PLACES_REFUSED) }
    }

    pub fn of(&mut self, process: ProcessId) -> Option<&mut Slot> {
        self.slots.iter_mut().find(|slot| slot.process == process)
    }

    /// The process with this number in the kernel that was not reaped.
    pub fn of_pid(&mut self, pid: i32) -> Option<&mut Slot> {
        self.slots.iter_mut().find(|slot| slot.pid == pid && slot.ended.is_none())
    }

    /// No more processes may be started.
    pub fn is_full(&self) -> bool {
        self.slots.iter().filter(|slot| slot.pid > 0).count() >= PLACES
    }

    /// Knows one more process; not where even the places of those that are refused are taken: nothing
    /// may be allocated here, and the test of what the linker reaches sees that nothing can be.
    pub fn add(&mut self, slot: Slot) {
        if self.slots.len() < self.slots.capacity() {
            self.slots.push(slot);
        }
    }

    /// Frees the places of processes of which nobody wants to know anything any more.
    pub fn sweep(&mut self) {
        self.slots.retain(|slot| !slot.forgotten || slot.streams.is_some());
    }
}

#[cfg(test)]
mod tests;

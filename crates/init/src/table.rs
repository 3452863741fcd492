//! Every process that the worker asked for and did not forget: a fixed number of places, allocated
//! before anything runs and filled in order, so that what is not used costs no memory.

use std::mem::MaybeUninit;
use std::slice;

use crate::protocol::{Ended, ProcessId, Streams};

/// Most processes that are known at one time.
pub const PLACES: usize = 8192;
/// Places behind them for processes that are not started because there are too many, until the worker
/// has taken that.
const PLACES_REFUSED: usize = 64;

/// One process.
#[derive(Debug, Default)]
pub struct Slot {
    pub process: ProcessId,
    /// Its number in the kernel, 0 where it could not be forked. It is safe to signal while `ended`
    /// is `None`: only we reap it, and then `ended` is set.
    pub pid: i32,
    pub ended: Option<Ended>,
    /// Why it could not be executed, where its child said so.
    pub failed: Option<i32>,
    pub streams: Option<Streams>,
    pub forgotten: bool,
    /// The worker is to be told of it.
    pub tell_process: bool,
    /// The worker is to be told of its end.
    pub tell_ended: bool,
}

impl Slot {
    /// It ended like this.
    pub fn end(&mut self, how: Ended) {
        self.ended = Some(self.failed.map_or(how, Ended::NotStarted));
        self.tell_ended = true;
    }

    /// Tell all there is to tell, once more.
    pub fn repeat(&mut self) {
        self.tell_process = true;
        self.tell_ended = self.ended.is_some() && !self.forgotten;
    }

    /// The number to signal, where it is there and not reaped.
    pub fn alive(&self) -> Option<i32> {
        Some(self.pid).filter(|pid| *pid > 0 && self.ended.is_none())
    }
}

/// The table.
#[derive(Debug)]
pub struct Table {
    places: &'static mut [MaybeUninit<Option<Slot>>],
    /// How many places, from the first on, were ever used and so hold a value.
    used: usize,
}

impl Table {
    /// The one allocation of init.
    pub fn new() -> Self {
        Self { places: Box::leak(Box::new_uninit_slice(PLACES + PLACES_REFUSED)), used: 0 }
    }

    fn places(&mut self) -> &mut [Option<Slot>] {
        let start = self.places.as_mut_ptr().cast();
        // SAFETY: the first `used` places were written by `add`, and it found them in the slice.
        unsafe { slice::from_raw_parts_mut(start, self.used) }
    }

    pub fn slots(&mut self) -> impl Iterator<Item = &mut Slot> {
        self.places().iter_mut().flatten()
    }

    pub fn of(&mut self, process: ProcessId) -> Option<&mut Slot> {
        self.slots().find(|slot| slot.process == process)
    }

    /// The process with this number in the kernel that was not reaped.
    pub fn of_pid(&mut self, pid: i32) -> Option<&mut Slot> {
        self.slots().find(|slot| slot.pid == pid && slot.ended.is_none())
    }

    /// A place for a process. `full` where it is one for those that are not started; `None` where not
    /// even that is left.
    pub fn add(&mut self, process: ProcessId) -> Option<(&mut Slot, bool)> {
        let free = self.places().iter().position(Option::is_none);
        let at = free.unwrap_or(self.used);
        let slot = Slot { process, tell_process: true, ..Slot::default() };
        self.places.get_mut(at)?.write(Some(slot));
        self.used = self.used.max(at.saturating_add(1));
        let slot = self.places().get_mut(at)?.as_mut()?;
        Some((slot, at >= PLACES))
    }

    /// Frees the places of processes of which nobody wants to know anything any more.
    pub fn sweep(&mut self) {
        for place in self.places() {
            if place.as_ref().is_some_and(|slot| slot.forgotten && slot.streams.is_none()) {
                *place = None;
            }
        }
    }

    /// Lets go of everything: the worker's copy after a fork.
    pub fn clear(&mut self) {
        self.places().fill_with(|| None);
    }
}

#[cfg(test)]
mod tests;

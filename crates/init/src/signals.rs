//! Signals on their way to the worker: none is lost with a worker, and there is always room.

use std::os::fd::OwnedFd;

use crate::sys::{self, SIGNAL_MAX};

/// Bytes of what a `signalfd` says of one signal; its number comes first.
const RECORD: usize = 128;

/// What is known of one signal. Equal signals that wait become one, as in the kernel.
#[derive(Clone, Copy, Debug, Default)]
struct Mark {
    /// Place in the queue of those that nobody was told; 0 for none.
    waiting: u64,
    /// The place that it had when it was told to the worker, until that took it; 0 for none.
    told: u64,
}

/// Signals that the worker has not taken yet, by number.
#[derive(Debug)]
pub struct Signals {
    marks: [Mark; SIGNAL_MAX as usize + 1],
    arrived: u64,
}

impl Signals {
    pub fn new() -> Self {
        Self { marks: [Mark::default(); SIGNAL_MAX as usize + 1], arrived: 0 }
    }

    fn mark(&mut self, signal: i32) -> Option<&mut Mark> {
        self.marks.get_mut(usize::try_from(signal).ok()?)
    }

    pub fn arrive(&mut self, signal: i32) {
        self.arrived = self.arrived.saturating_add(1);
        let place = self.arrived;
        if let Some(mark) = self.mark(signal).filter(|mark| mark.waiting == 0) {
            mark.waiting = place;
        }
    }

    /// The signal to tell next.
    pub fn next(&self) -> Option<i32> {
        let marks = (0_i32..).zip(&self.marks).filter(|(_, mark)| mark.waiting > 0);
        marks.min_by_key(|(_, mark)| mark.waiting).map(|(signal, _)| signal)
    }

    /// It was told to the worker.
    pub fn told(&mut self, signal: i32) {
        if let Some(mark) = self.mark(signal) {
            *mark = Mark { waiting: 0, told: mark.waiting };
        }
    }

    /// The worker has done what it asked for.
    pub fn took(&mut self, signal: i32) {
        if let Some(mark) = self.mark(signal) {
            mark.told = 0;
        }
    }

    /// The worker died: what it was told and did not take waits again, in its old place.
    pub fn untake(&mut self) {
        for mark in self.marks.iter_mut().filter(|mark| mark.told > 0) {
            *mark = Mark { waiting: mark.told, told: 0 };
        }
    }

    pub fn waits(&self, signal: i32) -> bool {
        let mark = usize::try_from(signal).ok().and_then(|at| self.marks.get(at));
        mark.is_some_and(|mark| mark.waiting > 0)
    }

    /// Takes what has come in. Children's ends are not for the worker, and a terminal's stop
    /// signals for reading and writing in the background concern nobody: both only wake us.
    pub fn take(&mut self, file: &OwnedFd) {
        let mut bytes = [0_u8; 16 * RECORD];
        let mut more = true;
        while more {
            let records = sys::read(file, &mut bytes);
            for record in records.chunks_exact(RECORD) {
                let number = record.first_chunk().map_or(0, |bytes| i32::from_ne_bytes(*bytes));
                if !matches!(number, libc::SIGCHLD | libc::SIGTTIN | libc::SIGTTOU) {
                    self.arrive(number);
                }
            }
            more = records.len() == 16 * RECORD;
        }
    }
}

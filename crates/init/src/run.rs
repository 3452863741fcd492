//! The loop: one `poll` over signals and the worker's socket, then whatever became due.

use std::os::fd::OwnedFd;
use std::slice;

use crate::protocol::Channel;
use crate::signals::Signals;
use crate::sys::{self, Result, now};
use crate::table::Table;
use crate::wire::{self, Frame};
use crate::worker::Worker;

/// Most children reaped, or signals or requests taken, before the others have their turn.
const TURN: usize = 1000;
/// Pause before a worker that could not be told something is told again, in milliseconds.
const PAUSE: u64 = 20;
/// Pause before the next look at what ended, where an orphan was reaped, in milliseconds: they come thick
/// and fast, and together they cost less.
const ORPHAN_PAUSE: u64 = 5;
/// After so many milliseconds without anything to do, pages that can be read again are let go.
const IDLE: u64 = 250;

/// Everything that init knows.
pub struct Init {
    pub table: Table,
    pub signals: Signals,
    pub signal_file: OwnedFd,
    /// Pipe through which a child says why it could not execute: reading end, writing end.
    pub reports: (OwnedFd, OwnedFd),
    /// What processes read.
    pub null: OwnedFd,
    /// The worker's memory.
    pub state: OwnedFd,
    /// What processes get as their limit of descriptors.
    pub limit: libc::rlimit,
    pub worker: Worker,
    /// There may be something in the table that the worker was not told.
    pub news: bool,
}

impl Init {
    /// Prepares this process. Until here, failing is allowed.
    pub fn new() -> Result<Self> {
        sys::adopt_orphans()?;
        Ok(Self {
            table: Table::new(),
            signals: Signals::default(),
            signal_file: sys::block_signals()?,
            reports: sys::pipe()?,
            // An empty file reads like /dev/null, and there are images without that.
            null: sys::open(c"/dev/null").or_else(|_| sys::memory_file(c"null"))?,
            state: sys::memory_file(c"state")?,
            limit: sys::raise_limit(),
            worker: Worker::default(),
            news: false,
        })
    }

    /// Serves for ever. Returns in a worker only, each time that one is forked.
    // A test links from this name on and looks for what may panic or allocate.
    #[unsafe(export_name = "regrow_init_run")]
    #[inline(never)]
    pub fn run(mut self) -> Channel {
        let (mut pause, mut small) = (None, false);
        loop {
            if self.worker.pid == 0 && self.worker.revive_at <= now() {
                self.give_up_where_asked();
                if let Some(channel) = self.fork_worker() {
                    return channel;
                }
            }
            let told = self.tell().is_ok();
            let limit = match (pause, self.worker.pid) {
                (Some(pause), _) => pause,
                (None, 0) => self.worker.revive_at.saturating_sub(now()),
                (None, _) if !told => PAUSE,
                (None, _) if !small => IDLE,
                (None, _) => u64::MAX,
            };
            let signals = Some(&self.signal_file).filter(|_| pause.is_none());
            let [signals, requests] = sys::wait([signals, self.worker.socket.as_ref()], limit);
            small = limit == IDLE && !signals && !requests;
            if small {
                sys::shrink();
            }
            if requests {
                self.take_requests();
            }
            if signals || pause.is_some() {
                self.take_signals();
                pause = self.reap();
            }
        }
    }

    /// Takes the signals that came. Children's ends are not for the worker, and a terminal's stop signals
    /// for reading and writing in the background concern nobody: both only wake us. Until a first worker
    /// said hello it may be a program that only answers a question, and has to be stopped like one.
    fn take_signals(&mut self) {
        let alone = self.worker.pid > 0 && self.worker.is_silent_first();
        for _ in 0..TURN {
            match sys::take_signal(&self.signal_file) {
                0 => return,
                libc::SIGCHLD | libc::SIGTTIN | libc::SIGTTOU => {}
                signal @ (libc::SIGINT | libc::SIGQUIT | libc::SIGTERM) if alone => {
                    sys::kill(self.worker.pid, signal);
                }
                signal => self.signals.arrive(signal),
            }
        }
    }

    pub fn take_requests(&mut self) {
        for _ in 0..TURN {
            let Some(socket) = &self.worker.socket else { return };
            match sys::receive(socket) {
                Ok((frame, files)) => self.handle(frame, files),
                Err(libc::EPIPE) => self.worker.hung_up(),
                Err(libc::EAGAIN) => return,
                // Says once that a dead worker left something unread; what it sent comes after it.
                Err(_) => {}
            }
        }
    }

    /// Reaps what has ended. While a leader is looked at and not yet reaped nobody else can have its
    /// number, so its group is told then. `Some` where it is to be done again, after so many milliseconds.
    fn reap(&mut self) -> Option<u64> {
        let mut orphan = false;
        for _ in 0..TURN {
            let Ok(Some((pid, how))) = sys::peek() else { return orphan.then_some(ORPHAN_PAUSE) };
            if let Some(slot) = self.table.of_pid(pid) {
                slot.ended = Some(how);
                self.news = true;
                sys::kill(pid.saturating_neg(), libc::SIGTERM);
                self.take_reports();
            } else if self.worker.pid == pid {
                self.worker_ended(how);
            } else {
                orphan = true;
            }
            sys::reap(pid);
        }
        Some(0)
    }

    /// Tells the worker what it was not told yet; an error where there is no room for it now.
    fn tell(&mut self) -> Result<()> {
        let socket = self.worker.socket.as_ref().filter(|_| self.worker.ready);
        let Some(socket) = socket else { return Ok(()) };
        for slot in self.table.slots.iter_mut().take_while(|_| self.news) {
            while let Some((frame, files)) = slot.untold() {
                sys::send(socket, frame, files)?;
                slot.told = slot.told.saturating_add(1);
            }
        }
        self.news = false;
        if self.worker.owed_ready {
            let ready = Frame::plain(wire::READY, self.worker.predecessors);
            sys::send(socket, ready, slice::from_ref(&self.state))?;
            self.worker.owed_ready = false;
        }
        while let Some(signal) = self.signals.next() {
            sys::send(socket, Frame::plain(wire::SIGNALLED, signal), &[])?;
            self.signals.told(signal);
        }
        Ok(())
    }
}

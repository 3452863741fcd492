//! The loop: one `poll` over signals and the worker's socket, then whatever became due.

use std::os::fd::OwnedFd;

use crate::protocol::{Channel, Ended};
use crate::signals::Signals;
use crate::start::NOT_EXECUTED;
use crate::sys::{self, Result, now};
use crate::table::Table;
use crate::wire::{self, Frame};
use crate::worker::Worker;

/// Most children reaped, or requests taken, before the other has its turn.
const TURN: usize = 1000;
/// Pause before a worker that could not be told something is told again, in milliseconds.
const PAUSE: u64 = 20;
/// Pause between two rounds of reaping where orphans come thick and fast, in milliseconds: together they
/// cost less.
const ORPHAN_PAUSE: u64 = 5;
/// After so many milliseconds without anything to do, pages that can be read again are let go.
const IDLE: u64 = 250;

/// Everything that init knows.
#[derive(Debug)]
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
    /// This is the first process of its name space.
    pub first: bool,
    pub worker: Option<Worker>,
    /// When the next worker is due, in milliseconds of [`now`].
    pub revive_at: u64,
    /// Workers so far.
    pub forks: u32,
    /// Workers that died young, one after the other.
    pub deaths: u32,
    /// When only orphans were reaped, the last time, in milliseconds of [`now`].
    pub orphans_at: u64,
    /// Some worker said hello.
    pub greeted: bool,
    /// There may be something in the table that the worker was not told.
    pub news: bool,
}

impl Init {
    /// Prepares this process. Until here, failing is allowed.
    pub fn new() -> Result<Self> {
        Ok(Self {
            first: sys::adopt_orphans()?,
            table: Table::new(),
            signals: Signals::default(),
            signal_file: sys::block_signals()?,
            reports: sys::pipe()?,
            // An empty file reads like /dev/null, and there are images without that.
            null: sys::open(c"/dev/null").or_else(|_| sys::memory_file(c"null"))?,
            state: sys::memory_file(c"state")?,
            limit: sys::swap_limit(|was| libc::rlimit { rlim_cur: was.rlim_max, ..was }),
            worker: None,
            revive_at: 0,
            forks: 0,
            deaths: 0,
            orphans_at: 0,
            greeted: false,
            news: false,
        })
    }

    /// Serves for ever. Returns in a worker only, each time that one is forked.
    // A test links from this name on and looks for what may panic or allocate.
    #[unsafe(export_name = "regrow_init_run")]
    #[inline(never)]
    pub fn run(mut self) -> Channel {
        let (mut more, mut small) = (false, false);
        loop {
            if self.worker.is_none() && self.revive_at <= now() {
                self.give_up_where_asked();
                if let Some(channel) = self.fork_worker() {
                    return channel;
                }
            }
            self.tell();
            let due = if more { Some(0) } else { self.due() };
            let due = if small { due } else { Some(due.map_or(IDLE, |due| due.min(IDLE))) };
            let socket = self.worker.as_ref().and_then(|worker| worker.socket.as_ref());
            let [signals, requests] = sys::wait([Some(&self.signal_file), socket], due);
            let idle = !signals && !requests && (small || due == Some(IDLE));
            if idle && !small {
                sys::shrink();
            }
            small = idle;
            if signals {
                if now().saturating_sub(self.orphans_at) < ORPHAN_PAUSE {
                    sys::pause(ORPHAN_PAUSE as i32);
                }
                self.take_signals();
            }
            if requests {
                self.take_requests();
            }
            if signals || more {
                more = self.reap();
            }
        }
    }

    /// Milliseconds until something is due without anything happening.
    fn due(&mut self) -> Option<u64> {
        let Some(worker) = &mut self.worker else {
            return Some(self.revive_at.saturating_sub(now()));
        };
        let left = worker.until.map(|until| until.saturating_sub(now()));
        if left == Some(0) {
            sys::kill(worker.pid, libc::SIGKILL);
            worker.until = None;
        }
        if worker.behind { Some(left.map_or(PAUSE, |left| left.min(PAUSE))) } else { left }
    }

    /// Takes the signals that came. Until a first worker said hello it may be a program that only
    /// answers a question, and has to be stopped like one.
    fn take_signals(&mut self) {
        self.signals.take(&self.signal_file);
        if let Some(worker) = self.worker.as_ref().filter(|_| !self.greeted) {
            for signal in [libc::SIGINT, libc::SIGQUIT, libc::SIGTERM] {
                if self.signals.waits(signal) {
                    sys::kill(worker.pid, signal);
                    self.signals.told(signal);
                    self.signals.took(signal);
                }
            }
        }
    }

    pub fn take_requests(&mut self) {
        for _ in 0..TURN {
            let Some(worker) = &mut self.worker else { return };
            let Some(socket) = &worker.socket else { return };
            match wire::receive(socket) {
                Ok(Some((frame, files))) => self.handle(frame, files),
                Ok(None) => {}
                Err(libc::EPIPE) => return worker.hung_up(),
                Err(libc::EAGAIN) => return,
                // Says once that a dead worker left something unread; what it sent comes after it.
                Err(_) => {}
            }
        }
    }

    /// Reaps what has ended. While a leader is looked at and not yet reaped nobody else can have its
    /// number, so its group is told then. True where there may be more.
    fn reap(&mut self) -> bool {
        for _ in 0..TURN {
            let Ok(Some((pid, how))) = sys::peek() else { return false };
            let known = self.table.of_pid(pid).is_some();
            if known {
                sys::kill(pid.saturating_neg(), libc::SIGTERM);
                if how == Ended::Code(NOT_EXECUTED) {
                    self.take_reports();
                }
            }
            sys::reap(pid);
            let worker = self.worker.as_ref().is_some_and(|worker| worker.pid == pid);
            self.orphans_at = if known || worker { 0 } else { now() };
            if known && let Some(slot) = self.table.of_pid(pid) {
                slot.end(how);
                self.news = true;
            } else if worker {
                self.worker_ended(how);
            }
        }
        true
    }

    /// Tells the worker what it was not told yet, as far as there is room.
    fn tell(&mut self) {
        let Some(worker) = self.worker.as_mut().filter(|worker| worker.ready) else { return };
        worker.behind = true;
        for slot in self.table.slots().take_while(|_| self.news) {
            if slot.tell_process && !worker.say_process(slot) {
                return;
            }
            slot.tell_process = false;
            let ended = slot.ended.filter(|_| slot.tell_ended);
            if ended.is_some_and(|how| !worker.say(Frame::ended(slot.process, how), &[])) {
                return;
            }
            slot.tell_ended = false;
        }
        self.news = false;
        if worker.owed_ready {
            let predecessors = i32::try_from(self.forks).unwrap_or(i32::MAX).saturating_sub(1);
            if !worker.say(Frame::plain(wire::READY, predecessors), &[&self.state]) {
                return;
            }
            worker.owed_ready = false;
        }
        while let Some(signal) = self.signals.next() {
            if !worker.say(Frame::plain(wire::SIGNALLED, signal), &[]) {
                return;
            }
            self.signals.told(signal);
        }
        worker.behind = false;
    }
}

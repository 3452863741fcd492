//! The loop: one `poll` over signals and the worker's socket, then whatever became due.

use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, Mode, OFlags, memfd_create, open};
use rustix::io::{Errno, Result};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{
    Resource, Rlimit, getpgrp, getpid, getrlimit, set_child_subreaper, setrlimit,
};
use rustix::time::{ClockId, clock_gettime};

use crate::protocol::{Channel, Ended, ProcessId};
use crate::signals::Signals;
use crate::sys;
use crate::table::Table;
use crate::wire::{self, Frame, Received};
use crate::worker::{Link, Worker};

/// Most children reaped, or requests taken, before the other has its turn.
const TURN: usize = 1000;
/// Pause after a failure that may pass, in milliseconds.
const PAUSE: u64 = 100;

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
    pub limit: Rlimit,
    pub first: bool,
    pub own_group: i32,
    pub worker: Option<Worker>,
    /// When the next worker is due, in milliseconds of [`now`].
    pub revive_at: u64,
    /// Workers so far.
    pub forks: u32,
    /// Workers that died young, one after the other.
    pub deaths: u32,
    /// Some worker said hello.
    pub greeted: bool,
    /// A process that found no place. No request is read until the worker was told.
    pub refused: Option<ProcessId>,
}

/// Milliseconds since some moment in the past.
pub fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let rest = u64::try_from(time.tv_nsec).unwrap_or(0);
    seconds.saturating_mul(1000).saturating_add(rest / 1_000_000)
}

impl Init {
    /// Prepares this process. Until here, failing is allowed.
    pub fn new() -> Result<Self> {
        let limit = getrlimit(Resource::Nofile);
        // A process that may have fewer files than it could is no fault.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
        let own = getpid();
        let first = own.as_raw_nonzero().get() == 1;
        if !first {
            set_child_subreaper(Some(own))?;
        }
        let reports = pipe_with(PipeFlags::CLOEXEC)?;
        rustix::fs::fcntl_setfl(&reports.0, OFlags::NONBLOCK)?;
        // An empty file reads like /dev/null, and there are images without that.
        let null = open(c"/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
            .or_else(|_| memfd_create(c"null", MemfdFlags::CLOEXEC))?;
        Ok(Self {
            table: Table::new(),
            signals: Signals::new(),
            signal_file: sys::take_signals()?,
            reports,
            null,
            state: memfd_create(c"state", MemfdFlags::CLOEXEC)?,
            limit,
            first,
            own_group: getpgrp().as_raw_nonzero().get(),
            worker: None,
            revive_at: 0,
            forks: 0,
            deaths: 0,
            greeted: false,
            refused: None,
        })
    }

    /// Serves for ever. Returns in a worker only, each time that one is forked.
    #[inline(never)]
    pub fn run(mut self) -> Channel {
        loop {
            if self.worker.is_none() && self.revive_at <= now() {
                self.give_up_where_asked();
                if let Some(channel) = self.fork_worker() {
                    return channel;
                }
            }
            self.tell();
            self.wait();
            self.take_signals();
            self.take_requests();
            self.watch_worker();
            self.reap();
        }
    }

    /// Waits until something happens or is due.
    fn wait(&self) {
        let mut due = self.worker.is_none().then_some(self.revive_at);
        let [signals, mut socket] = [(); 2].map(|()| PollFd::new(&self.signal_file, PollFlags::IN));
        if let Some(worker) = &self.worker {
            let mut events = PollFlags::empty();
            events.set(PollFlags::IN, self.refused.is_none());
            events.set(PollFlags::OUT, worker.link == Link::Full);
            if !worker.deaf {
                socket = PollFd::new(&worker.socket, events);
            }
            due = worker.until;
            if worker.link == Link::Failed {
                let soon = now().saturating_add(PAUSE);
                due = Some(due.map_or(soon, |due| due.min(soon)));
            }
        }
        let left = due.map(|due| timespec(due.saturating_sub(now())));
        if poll(&mut [signals, socket], left.as_ref()).is_err() {
            // Without memory in the kernel even waiting fails; do not spin meanwhile.
            let _ = rustix::thread::nanosleep(&timespec(PAUSE));
        }
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
            let Some(worker) = &self.worker else { return };
            if self.refused.is_some() {
                return;
            }
            match wire::receive(worker.socket.as_fd()) {
                Ok(Received::Message(frame, files)) => self.handle(frame, files),
                Ok(Received::Noise) => {}
                Ok(Received::Empty) => return self.worker_hung_up(),
                Err(Errno::WOULDBLOCK) => return,
                // Says once that a dead worker left something unread; what it sent comes after it.
                Err(_) => {}
            }
        }
    }

    /// Reaps what has ended. While a leader is looked at and not yet reaped nobody else can have its
    /// number, so its group is told then.
    pub fn reap(&mut self) {
        for _ in 0..TURN {
            let Ok(Some((pid, how))) = sys::peek() else { return };
            if self.worker.as_ref().is_some_and(|worker| worker.pid == pid) {
                sys::reap(pid);
                self.worker_ended(how);
                continue;
            }
            if self.table.of_pid(pid).is_some() {
                sys::kill(pid.saturating_neg(), libc::SIGTERM);
                if how == Ended::Code(crate::start::NOT_EXECUTED) {
                    self.take_reports();
                }
            }
            sys::reap(pid);
            if let Some(slot) = self.table.of_pid(pid) {
                slot.end(how);
            }
        }
    }

    /// Tells the worker what it was not told yet, as far as there is room.
    fn tell(&mut self) {
        let Some(worker) = self.worker.as_mut().filter(|worker| worker.ready) else { return };
        worker.link = Link::Open;
        if let Some(process) = self.refused {
            if !worker.say(Frame::new(wire::PROCESS, 0, 0, process), &[])
                || !worker.say(Frame::ended(process, Ended::NotStarted(libc::EAGAIN)), &[])
            {
                return;
            }
            self.refused = None;
        }
        for slot in self.table.slots() {
            if slot.tell_process && !worker.say_process(slot) {
                return;
            }
            slot.tell_process = false;
            if let Some(how) = slot.ended.filter(|_| slot.tell_ended) {
                if !worker.say(Frame::ended(slot.process, how), &[]) {
                    return;
                }
                slot.tell_ended = false;
            }
        }
        if worker.owed_ready {
            let predecessors = i32::try_from(self.forks.saturating_sub(1)).unwrap_or(i32::MAX);
            if !worker.say(Frame::plain(wire::READY, predecessors), &[self.state.as_fd()]) {
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
    }
}

/// Milliseconds as the kernel wants them.
pub fn timespec(milliseconds: u64) -> Timespec {
    let seconds = i64::try_from(milliseconds / 1000).unwrap_or(i64::MAX);
    Timespec { tv_sec: seconds, tv_nsec: ((milliseconds % 1000) * 1_000_000) as i64 }
}

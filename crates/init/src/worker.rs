//! The worker as init sees it: forked, listened to, and forked again when it dies.

use std::os::fd::OwnedFd;

use crate::protocol::{Channel, Ended};
use crate::run::Init;
use crate::sys::{self, Result, now};
use crate::table::Slot;
use crate::wire::{self, Frame};

/// A worker that lived for so long is not one that cannot live, in milliseconds.
const GROWN_UP: u64 = 10_000;
/// Pause before the second worker that is forked in a row, doubled from there on, in milliseconds.
const BACK_OFF: u64 = 100;
/// Longest such pause, in milliseconds: promise S8 allows a second without a worker.
const BACK_OFF_MAX: u64 = 1000;
/// So many deaths in a row mean that no worker can be made to live.
const HOPELESS: u32 = 3;
/// How long a worker may take to end after it said so or hung up, in milliseconds.
const LEAVE: u64 = 5000;

/// The present worker.
#[derive(Debug, Default)]
pub struct Worker {
    pub pid: i32,
    /// `None` once it closed its end.
    pub socket: Option<OwnedFd>,
    born: u64,
    /// It said hello.
    pub ready: bool,
    /// It is to be told that it was told everything.
    pub owed_ready: bool,
    /// It could not be told everything.
    pub behind: bool,
    /// The exit code that it asked for.
    pub bye: Option<i32>,
    /// When it is killed because it does not end, in milliseconds of [`now`].
    pub until: Option<u64>,
}

impl Worker {
    /// Tells it something; false where that has to wait.
    pub fn say(&self, frame: Frame, files: &[&OwnedFd]) -> bool {
        self.socket.as_ref().is_some_and(|socket| wire::send(socket, frame, files).is_ok())
    }

    pub fn say_process(&self, slot: &Slot) -> bool {
        let frame = |streams| Frame::new(wire::PROCESS, streams, slot.pid, slot.process);
        let Some(streams) = &slot.streams else { return self.say(frame(0), &[]) };
        let [out, err] = [&streams.out, &streams.err];
        self.say(frame(1), &[&out.pipe, &out.spool, &err.pipe, &err.spool])
    }

    /// It closed its end of the socket. One that was at work is about to end.
    pub fn hung_up(&mut self) {
        self.socket = None;
        if self.ready {
            self.leave();
        }
    }

    /// It is expected to end now.
    pub fn leave(&mut self) {
        self.until.get_or_insert(now().saturating_add(LEAVE));
    }
}

/// Pause before the next worker after so many deaths in a row, in milliseconds.
fn back_off(deaths: u32) -> u64 {
    match deaths {
        0 | 1 => 0,
        _ => BACK_OFF.saturating_mul(1 << deaths.saturating_sub(2).min(10)).min(BACK_OFF_MAX),
    }
}

impl Init {
    /// Forks a worker. `Some` in the worker itself, without anything that belongs to init.
    pub fn fork_worker(&mut self) -> Option<Channel> {
        self.try_fork_worker().unwrap_or_else(|_| {
            self.deaths = self.deaths.max(1);
            self.died_young();
            None
        })
    }

    /// The next worker comes later than the last one did.
    fn died_young(&mut self) {
        self.deaths = self.deaths.saturating_add(1);
        self.revive_at = now().saturating_add(back_off(self.deaths));
    }

    fn try_fork_worker(&mut self) -> Result<Option<Channel>> {
        let (socket, theirs) = sys::socket_pair()?;
        let pid = sys::fork()?;
        if pid == 0 {
            self.table.clear();
            // Its own group: what a terminal sends to the group of init is for init to pass on.
            sys::lead_group(0);
            sys::unblock_signals();
            return Ok(Some(Channel(theirs)));
        }
        self.forks = self.forks.saturating_add(1);
        let socket = Some(socket);
        self.worker = Some(Worker { pid, socket, born: now(), ..Worker::default() });
        Ok(None)
    }

    /// The worker was reaped. What it still said counts.
    pub fn worker_ended(&mut self, how: Ended) {
        self.take_requests();
        let Some(worker) = self.worker.take() else { return };
        if let Some(code) = worker.bye {
            self.end(code);
        }
        if !self.greeted {
            self.end(match how {
                Ended::Code(code) => code,
                Ended::Signal(number) | Ended::NotStarted(number) => number.saturating_add(128),
            });
        }
        self.signals.untake();
        if now().saturating_sub(worker.born) >= GROWN_UP {
            self.deaths = 0;
        }
        self.died_young();
    }

    /// Ends everything where that is asked for and no worker lives to do it.
    pub fn give_up_where_asked(&mut self) {
        let asked = [libc::SIGTERM, libc::SIGINT].into_iter().find(|s| self.signals.waits(*s));
        if let Some(signal) = asked.filter(|_| self.deaths >= HOPELESS) {
            self.put_down(libc::SIGTERM);
            self.end(signal.saturating_add(128));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::back_off;

    #[test]
    fn pauses_double_up_to_a_second() {
        let pauses: Vec<u64> = (0..8).map(back_off).collect();
        assert_eq!(pauses, [0, 0, 100, 200, 400, 800, 1000, 1000]);
        assert_eq!(back_off(u32::MAX), 1000);
    }
}

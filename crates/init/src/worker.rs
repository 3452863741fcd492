//! The worker as init sees it: forked, listened to, and forked again when it dies.

use std::os::fd::OwnedFd;

use crate::protocol::{Channel, Ended};
use crate::run::Init;
use crate::sys::{self, now};

/// A worker that lived for so long is not one that cannot live, in milliseconds.
const GROWN_UP: u64 = 10_000;
/// So many deaths in a row mean that no worker can be made to live.
const HOPELESS: usize = 3;

/// The present worker, and what there is to know of those before it.
#[derive(Debug, Default)]
pub struct Worker {
    /// 0 where there is none.
    pub pid: i32,
    /// `None` once it closed its end.
    pub socket: Option<OwnedFd>,
    born: u64,
    /// It said hello.
    pub ready: bool,
    /// It is to be told that it was told everything.
    pub owed_ready: bool,
    /// How many died before it.
    pub predecessors: i32,
    /// How many of them died young, one after the other.
    deaths: usize,
    /// When the next one is due, in milliseconds of [`now`].
    pub revive_at: u64,
}

impl Worker {
    /// It is the first, and did not say hello.
    pub fn is_silent_first(&self) -> bool {
        self.predecessors == 0 && !self.ready
    }

    /// It closed its end of the socket. One that was at work has nothing left to do; another may be a
    /// program that only answers a question.
    pub fn hung_up(&mut self) {
        self.socket = None;
        if self.ready {
            sys::kill(self.pid, libc::SIGKILL);
        }
    }

    /// It is gone, or could not be forked. The next one comes later than it did, unless it lived long.
    fn died(&mut self) {
        let grown_up = now().saturating_sub(self.born) >= GROWN_UP;
        let deaths = if grown_up { 1 } else { self.deaths.saturating_add(1) };
        let revive_at = now().saturating_add(pause(deaths));
        *self = Self { deaths, revive_at, predecessors: self.predecessors, ..Self::default() };
    }
}

/// Pause before the next worker after so many deaths in a row, in milliseconds: promise S8 allows a second
/// without a worker, its beginning included.
fn pause(deaths: usize) -> u64 {
    [0, 0, 100, 200, 400].get(deaths).copied().unwrap_or(800)
}

impl Init {
    /// Forks a worker. `Some` in the worker itself.
    pub fn fork_worker(&mut self) -> Option<Channel> {
        self.worker.born = now();
        let forked = sys::socket_pair().and_then(|pair| Ok((sys::fork()?, pair)));
        let Ok((pid, (socket, theirs))) = forked else {
            self.worker.died();
            return None;
        };
        if pid == 0 {
            return Some(Channel(theirs));
        }
        (self.worker.pid, self.worker.socket) = (pid, Some(socket));
        None
    }

    /// The worker has ended and is about to be reaped. What it still said counts.
    pub fn worker_ended(&mut self, how: Ended) {
        self.take_requests();
        if self.worker.is_silent_first() {
            self.end(match how {
                Ended::Code(code) => code,
                Ended::Signal(number) | Ended::NotStarted(number) => number.saturating_add(128),
            });
        }
        self.signals.untake();
        self.worker.died();
        self.worker.predecessors = self.worker.predecessors.saturating_add(1);
    }

    /// Ends everything where that is asked for and no worker lives to do it.
    pub fn give_up_where_asked(&mut self) {
        let asked = [libc::SIGTERM, libc::SIGINT].into_iter().find(|s| self.signals.waits(*s));
        if let Some(signal) = asked.filter(|_| self.worker.deaths >= HOPELESS) {
            self.put_down(libc::SIGTERM);
            self.end(signal.saturating_add(128));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::pause;

    #[test]
    fn pauses_double_and_leave_a_second_room_for_the_beginning() {
        let pauses: Vec<u64> = (0..8).map(pause).collect();
        assert_eq!(pauses, [0, 0, 100, 200, 400, 800, 800, 800]);
        assert_eq!(pause(usize::MAX), 800);
    }
}

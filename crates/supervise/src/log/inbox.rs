//! What the worker hands to the thread of the log, and how it wakes it. Nothing here waits.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use regrow_init::{ProcessId, Streams};
use rustix::event::{EventfdFlags, eventfd};

use super::Label;
use super::output::Output;
use crate::config::{Format, Level};

/// Own records that wait to be written. More than a supervisor says in a second at debug; a few
/// hundred kilobytes at most.
const OWN_RECORDS: usize = 1024;

/// A record of the supervisor.
#[derive(Debug)]
pub struct Own {
    /// When it was said.
    pub at: Timestamp,
    /// Importance.
    pub level: Level,
    /// The job that it is about.
    pub job: Option<String>,
    /// What.
    pub text: String,
}

/// A process whose lines are to be read.
#[derive(Debug)]
pub struct Attach {
    /// Which.
    pub process: ProcessId,
    /// Who it is in the log.
    pub label: Label,
    /// Its pipes.
    pub streams: Streams,
}

/// How records are written from now on. `None`: as before.
#[derive(Debug, Default)]
pub struct Settings {
    /// The least important level that is shown, and the form.
    pub form: Option<(Level, Format)>,
    /// Where to.
    pub output: Option<Output>,
}

/// What lies in the inbox.
#[derive(Debug, Default)]
pub struct Mail {
    /// New processes.
    pub attached: Vec<Attach>,
    /// Those of a predecessor are among them or were: nothing is written before.
    pub adopted: bool,
    /// Changed settings.
    pub settings: Settings,
    /// Own records, the oldest first.
    pub own: VecDeque<Own>,
    /// Own records that had no room.
    pub dropped: u64,
    /// End at this time at the latest.
    pub finish: Option<Instant>,
    /// The thread has ended, and whether everything was written.
    finished: Option<bool>,
}

/// The inbox.
#[derive(Debug)]
pub struct Inbox {
    mail: Mutex<Mail>,
    wake: OwnedFd,
    ended: Condvar,
    /// Figures for telemetry.
    pub figures: Figures,
}

/// Figures about the log since the start of this worker. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct Figures(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    stalled: AtomicU64,
    dropped: AtomicU64,
    lost: AtomicU64,
}

impl Figures {
    /// How long the log waited for a slow reader or a full disk. While it waits nothing is taken
    /// from the pipes, and jobs that write wait too.
    pub fn stalled(&self) -> Duration {
        Duration::from_nanos(self.0.stalled.load(Ordering::Relaxed))
    }

    /// Records of the supervisor that were not written because too many waited.
    pub fn dropped(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }

    /// Records that were not written because nobody reads the output any more.
    pub fn lost(&self) -> u64 {
        self.0.lost.load(Ordering::Relaxed)
    }

    pub(super) fn add_stalled(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.0.stalled.fetch_add(nanos, Ordering::Relaxed);
    }

    fn add_dropped(&self) {
        self.0.dropped.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn add_lost(&self, records: u64) {
        self.0.lost.fetch_add(records, Ordering::Relaxed);
    }
}

impl Inbox {
    /// An empty one.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            mail: Mutex::default(),
            wake: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
            ended: Condvar::new(),
            figures: Figures::default(),
        })
    }

    /// What lies in it. Held for a few instructions only.
    pub fn mail(&self) -> MutexGuard<'_, Mail> {
        self.mail.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts something in and wakes the thread.
    pub fn put(&self, change: impl FnOnce(&mut Mail)) {
        change(&mut self.mail());
        // Fails only where the counter is full, and then the thread is woken already.
        let _: rustix::io::Result<usize> = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
    }

    /// Puts an own record in; the oldest one gives way where there is no room.
    pub fn say(&self, own: Own) {
        self.put(|mail| {
            if mail.own.len() >= OWN_RECORDS {
                mail.own.pop_front();
                mail.dropped += 1;
                self.figures.add_dropped();
            }
            mail.own.push_back(own);
        });
    }

    /// Readable when something was put in.
    pub fn bell(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }

    /// Takes note that the bell rang.
    pub fn heard(&self) {
        let _: rustix::io::Result<usize> = rustix::io::read(&self.wake, &mut [0; 8]);
    }

    /// The thread has ended, and whether everything was written.
    pub fn set_finished(&self, whole: bool) {
        self.mail().finished = Some(whole);
        self.ended.notify_all();
    }

    /// Waits for the end of the thread. False: not everything was written in time.
    pub fn wait_finished(&self, until: Instant) -> bool {
        let mut mail = self.mail();
        loop {
            if let Some(whole) = mail.finished {
                return whole;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            mail = match self.ended.wait_timeout(mail, left) {
                Ok((mail, _)) => mail,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }
}

//! Locks: which are wanted, what runs under them, and when they are given back.
//!
//! A lock is ours for a *tenure*, which its fence names: no other, earlier or later, has the same one.
//! A tenure begins once, however often it is told, and what is over never begins again.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::io::{Effect, Moment};
use super::life::Life;
use super::table::Phase;
use super::{JobId, Machine};
use crate::event::Code;

/// A lock that is ours, until nothing runs under it any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Held {
    pub fence: u64,
    pub stage: Stage,
    /// How long it is left to others when it was given back.
    pub time_off: Duration,
}

/// How far a tenure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Stage {
    /// Jobs run under it.
    Firm,
    /// It is given back when the last of its jobs has ended its processes.
    Leaving,
    /// The same, and it cannot be kept: its jobs are killed before another can have it.
    Lost,
}

impl Held {
    /// It is to go when nothing runs under it any more.
    pub fn leave(&mut self) {
        if self.stage == Stage::Firm {
            self.stage = Stage::Leaving;
        }
    }
}

impl Machine {
    /// Whether some job may still run under this lock or a watch follows it, and it was not left to
    /// others: only then it is worth competing for.
    pub fn wants(&self, lock: &str) -> bool {
        let mut ours = self.lives.values().filter(|life| life.lock.as_deref() == Some(lock));
        let yielded = self.hub.yielded.contains_key(lock) || self.hub.ending.is_some();
        let may_run = |life: &Life| life.phase != Phase::Ended && !life.leaving;
        !yielded && (self.is_followed(lock) || ours.any(may_run))
    }

    fn is_followed(&self, lock: &str) -> bool {
        self.hub.ending.is_none() && self.hub.config.followers(lock).next().is_some()
    }

    /// Tells what became of a lock: those that run under it, and those that follow it.
    fn publish_lock(&mut self, code: Code, lock: &str) {
        self.hub.publish(code, &format!("lock:{lock}").into());
        for source in Arc::clone(&self.hub.config).followers(lock) {
            self.hub.publish(code, &source);
        }
    }

    /// Leaves a lock to others: what runs under it ends first, and from then on it is not competed for
    /// in this time.
    pub(super) fn yield_lock(&mut self, lock: &Arc<str>, time: Duration) {
        self.hub.yielded.insert(Arc::clone(lock), self.hub.now.after(time));
        if let Some(held) = self.hub.locks.get_mut(lock) {
            held.leave();
            held.time_off = time;
            self.settle_lock(lock);
        }
    }

    /// Where nobody runs under the lock, or the program ends, it is for others. A tenure that is known
    /// was found again by a worker that follows another: nothing begins by that.
    pub(super) fn acquired(&mut self, lock: Arc<str>, fence: u64) {
        match self.hub.locks.get(&lock) {
            Some(held) if held.fence == fence => return,
            Some(held) if held.stage != Stage::Lost => self.losing(&lock, self.hub.now),
            Some(_) | None => {}
        }
        let over = self.hub.released.get(&lock).is_some_and(|last| *last >= fence);
        if over || !self.wants(&lock) {
            self.release(&lock, fence);
            return;
        }
        let name = Arc::clone(&lock);
        self.hub.locks.insert(lock, Held { fence, stage: Stage::Firm, time_off: Duration::ZERO });
        self.publish_lock(Code::Acquired, &name);
    }

    pub(super) fn losing(&mut self, lock: &Arc<str>, kill_at: Moment) {
        for id in self.all() {
            self.with(id, |life, hub| life.lose(lock, Some(kill_at), hub));
        }
        let Some(held) = self.hub.locks.get_mut(lock) else { return };
        if std::mem::replace(&mut held.stage, Stage::Lost) != Stage::Lost {
            self.publish_lock(Code::Lost, lock);
        }
        self.settle_lock(lock);
    }

    /// Gives a lock back when nothing that ran under it is left, and stops what is left where it is to
    /// go.
    pub(super) fn settle_lock(&mut self, lock: &Arc<str>) {
        let Some(Held { fence, stage, time_off }) = self.hub.locks.get(lock).cloned() else {
            return;
        };
        let ours = self.lives.values().filter(|life| life.lock.as_ref() == Some(lock));
        let busy: Vec<JobId> = ours.filter(|life| life.uses_lock()).map(|life| life.id).collect();
        if stage == Stage::Leaving {
            for id in &busy {
                self.with(*id, |life, hub| life.lose(lock, None, hub));
            }
        }
        if busy.is_empty() && (stage != Stage::Firm || !self.is_followed(lock)) {
            self.hub.locks.remove(lock);
            if !time_off.is_zero() {
                self.hub.yielded.insert(Arc::clone(lock), self.hub.now.after(time_off));
            }
            self.release(lock, fence);
            if stage != Stage::Lost {
                self.publish_lock(Code::Lost, lock);
            }
        }
    }

    /// Ends a tenure; it is told again to a worker's successor.
    fn release(&mut self, lock: &Arc<str>, fence: u64) {
        let last = self.hub.released.entry(Arc::clone(lock)).or_insert(fence);
        *last = fence.max(*last);
        self.hub.effects.push(Effect::Release { lock: Arc::clone(lock), fence });
    }
}

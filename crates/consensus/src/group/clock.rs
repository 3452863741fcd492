//! The cluster's clock on the member that leads.

use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

use crate::machine::Time;

/// Runs while this member leads: from the time that the last leader's commands show, by the
/// monotonic clock of this machine.
#[derive(Debug, Default)]
pub(super) struct Clock {
    since: Mutex<Option<(Time, Instant)>>,
}

impl Clock {
    /// Starts at `time`.
    pub(super) fn start(&self, time: Time) {
        *self.lock() = Some((time, Instant::now()));
    }

    /// Stops.
    pub(super) fn stop(&self) {
        *self.lock() = None;
    }

    /// The time now; `None` while it stands.
    pub(super) fn now(&self) -> Option<Time> {
        let (time, since) = (*self.lock())?;
        // Rounded down, so that nothing ends early.
        let passed = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
        Some(Time::from_millis(time.as_millis().saturating_add(passed)))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<(Time, Instant)>> {
        self.since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

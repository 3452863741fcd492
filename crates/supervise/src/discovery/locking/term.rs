//! How long a lock is certainly ours, by two clocks: the one that leases are kept by stands still while
//! the machine sleeps, the other does not.

use std::time::Duration;

use tokio::time::Instant;

use crate::machine::Moment;

/// A moment to come, by both clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    by_own: Instant,
    by_boot: Moment,
}

impl End {
    /// The moment after this time.
    pub fn after(left: Duration, now: Instant, boot: Moment) -> Self {
        Self { by_own: now + left, by_boot: boot.after(left) }
    }

    /// The time until then by the clock that is ahead.
    pub fn left(&self, now: Instant, boot: Moment) -> Duration {
        self.by_own.saturating_duration_since(now).min(self.by_boot.since(boot))
    }
}

/// What is known of the time of a lease.
#[derive(Debug, Default)]
pub(super) struct Term {
    end: Option<End>,
}

impl Term {
    /// The time that is left of a lease that ends at `until`; `None`: it ended.
    pub fn left(&mut self, until: Option<Instant>, now: Instant, boot: Moment) -> Duration {
        let Some(until) = until else { return Duration::ZERO };
        let end = match self.end {
            Some(known) if known.by_own == until => known,
            // It was renewed.
            _ => End::after(until.saturating_duration_since(now), now, boot),
        };
        self.end = Some(end);
        end.left(now, boot)
    }
}

/// What follows from the time that is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing for this time at most.
    Fine(Duration),
    /// Jobs are to stop, and are killed after this time.
    Stop(Duration),
    /// They are dead by now, and the lock can go.
    Over,
}

/// Judges a lease that is left for some time; `told`: its jobs were told that they are dead after this
/// time from now. What they were told stays, also where the lease was renewed since.
pub(super) fn judge(left: Duration, stop_before: Duration, told: Option<Duration>) -> Verdict {
    match told {
        Some(Duration::ZERO) => Verdict::Over,
        // It ended before what they were told: somebody took it away.
        Some(_) if left.is_zero() => Verdict::Stop(left),
        Some(told) => Verdict::Fine(told),
        None if left <= stop_before => Verdict::Stop(left),
        None => Verdict::Fine(left - stop_before),
    }
}

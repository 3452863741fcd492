use std::fmt;
use std::ops::Add;
use std::time::Duration;

/// A point of the loop's own monotonic time, in microseconds since the loop began.
///
/// Decisions take it as an argument, so that a test or a simulation can run them at any time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(u64);

impl Moment {
    /// The beginning.
    pub const START: Self = Self(0);

    /// A moment by its distance from the beginning.
    pub fn after(distance: Duration) -> Self {
        Self(u64::try_from(distance.as_micros()).unwrap_or(u64::MAX))
    }

    /// Time that passed since an earlier moment; zero when that one is not earlier.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    fn add(self, distance: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(distance.as_micros()).unwrap_or(u64::MAX)))
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "t+{}.{:03}s", self.0 / 1_000_000, self.0 / 1_000 % 1_000)
    }
}

//! The pause before something that failed is tried again.

use std::time::Duration;

/// The first pause.
const FIRST: Duration = Duration::from_millis(200);
/// The longest pause: an agent that came back knows everything again after this time.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The pause after so many failures in a row: doubled each time, and random by half, so that many who
/// failed together do not come back together.
pub(super) fn pause(failures: u32) -> Duration {
    let doubled = FIRST * 2_u32.pow(failures.saturating_sub(1).min(8));
    doubled.min(LONGEST_PAUSE).mul_f64(rand::random_range(0.5..=1.0))
}

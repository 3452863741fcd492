//! The clock of the supervisor, which goes on while the machine sleeps and means the same to the next
//! worker.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::machine::Moment;

/// Now, by `CLOCK_BOOTTIME`.
pub fn now() -> Moment {
    let time = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    let nanos = u32::try_from(time.tv_nsec).unwrap_or_default();
    Moment(Duration::new(seconds, nanos))
}

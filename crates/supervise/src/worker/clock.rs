//! The clock of the machine: time since boot, which is the same for the next worker and never jumps.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::machine::Moment;

/// Now.
pub fn now() -> Moment {
    let time = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u32::try_from(time.tv_nsec).unwrap_or(0);
    Moment(Duration::new(seconds, nanos))
}

/// Returns at this moment; never without one.
pub async fn until(moment: Option<Moment>) {
    match moment {
        Some(moment) => tokio::time::sleep(moment.0.saturating_sub(now().0)).await,
        None => std::future::pending().await,
    }
}

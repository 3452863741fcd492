//! Waiting for a moment of the machine's clock.

use crate::clock::now;
use crate::machine::Moment;

/// Returns at this moment; never without one.
pub async fn until(moment: Option<Moment>) {
    match moment {
        Some(moment) => tokio::time::sleep(moment.since(now())).await,
        None => std::future::pending().await,
    }
}

//! Waiting before something that failed is tried again.

use std::time::Duration;

use regrow_consensus::chance;

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(2);

/// Grows with each failure in a row. Random, so that many who failed together do not come back
/// together.
#[derive(Debug, Default)]
pub(crate) struct Retry {
    failures: u32,
}

impl Retry {
    /// Something succeeded.
    pub(crate) const fn reset(&mut self) {
        self.failures = 0;
    }

    /// Waits half to all of what is due.
    pub(crate) async fn wait(&mut self) {
        let due = (FIRST * 2_u32.pow(self.failures.min(8))).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        let thousandths = 500 + (chance::draw() % 500) as u32;
        tokio::time::sleep(due * thousandths / 1_000).await;
    }
}

//! Shortens the log when it has grown by bytes. The engine counts entries only, and twenty thousand
//! of the largest are gigabytes, all of which a restart would read.

use std::sync::Weak;
use std::time::Duration;

use openraft::async_runtime::WatchReceiver as _;

use crate::group::Group;

/// How often the size is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Entries that stay behind a snapshot that was made for their size.
const KEEP: u64 = 64;

/// Runs until the group is gone or its engine stopped.
pub(super) async fn run(group: Weak<Group>) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let Some(this) = group.upgrade() else { return };
        if this.log.grown() >= this.options.snapshot_bytes && !this.shorten().await {
            return;
        }
    }
}

impl Group {
    /// Makes a snapshot, and drops the log before it. False when the engine stopped.
    async fn shorten(&self) -> bool {
        let mut changes = self.engine.metrics();
        let shown = changes.borrow_and_update().snapshot.map(|id| id.index);
        self.log.measure_again();
        if self.engine.trigger().snapshot().await.is_err() {
            return false;
        }
        let snapshot = loop {
            if changes.changed().await.is_err() || self.halted().is_some() {
                return false;
            }
            let now = changes.borrow_and_update().snapshot.map(|id| id.index);
            if let Some(snapshot) = now.filter(|_| now > shown) {
                break snapshot;
            }
        };
        self.engine.trigger().purge_log(snapshot.saturating_sub(KEEP)).await.is_ok()
    }
}

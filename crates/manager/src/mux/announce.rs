use std::sync::Arc;
use std::time::Duration;

use regrow_plugin::spi::LeaderLocation;

use crate::leader::{LeaderSource, Leadership};

/// Pause between attempts to write the location.
const RETRY: Duration = Duration::from_secs(2);

/// Writes our location whenever we begin to lead.
pub(super) async fn announce(source: Arc<dyn LeaderSource>, location: LeaderLocation) {
    let mut changes = source.watch();
    let mut last_fault = String::new();
    loop {
        let leads = matches!(*changes.borrow_and_update(), Leadership::Leading { .. });
        let mut written = true;
        if leads {
            if let Err(fault) = source.set_location(&location).await {
                written = false;
                let fault = fault.to_string();
                if fault != last_fault {
                    tracing::warn!(%fault, "cannot write the location of the leader, trying on");
                }
                last_fault = fault;
            } else {
                last_fault.clear();
            }
        }
        let changed = if written {
            Ok(changes.changed().await)
        } else {
            tokio::time::timeout(RETRY, changes.changed()).await
        };
        if matches!(changed, Ok(Err(_))) {
            return; // the source has ended
        }
    }
}

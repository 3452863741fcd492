use std::sync::Arc;
use std::time::Duration;

use regrow_plugin::spi::LeaderLocation;

use crate::leader::{LeaderError, LeaderSource, Leadership};

/// Pause between attempts to write the location.
const RETRY: Duration = Duration::from_secs(2);
/// How often the leader looks whether its location still stands: a former leader may have written
/// its own late, or somebody may have removed it.
const POLL: Duration = Duration::from_secs(5);
/// How long the source may take to be asked or told.
const SOURCE_TIMEOUT: Duration = Duration::from_secs(10);

/// Keeps our location written while we lead.
pub(super) async fn announce(source: Arc<dyn LeaderSource>, location: LeaderLocation) {
    let mut changes = source.watch();
    let mut last_fault = String::new();
    loop {
        let leads = matches!(*changes.borrow_and_update(), Leadership::Leading { .. });
        let mut pause = None;
        if leads {
            let fault = match tokio::time::timeout(SOURCE_TIMEOUT, tend(&*source, &location)).await
            {
                Ok(Ok(())) => String::new(),
                Ok(Err(fault)) => fault.to_string(),
                Err(_) => format!("no answer within {} s", SOURCE_TIMEOUT.as_secs()),
            };
            if !fault.is_empty() && fault != last_fault {
                tracing::warn!(%fault, "cannot write the location of the leader, trying on");
            }
            pause = Some(if fault.is_empty() { POLL } else { RETRY });
            last_fault = fault;
        }
        let changed = match pause {
            None => Ok(changes.changed().await),
            Some(pause) => tokio::time::timeout(pause, changes.changed()).await,
        };
        if matches!(changed, Ok(Err(_))) {
            return; // the source has ended
        }
    }
}

/// Writes our location unless it stands there. One that cannot be read is written anew.
async fn tend(source: &dyn LeaderSource, location: &LeaderLocation) -> Result<(), LeaderError> {
    if matches!(source.location().await, Ok(Some(found)) if found == *location) {
        return Ok(());
    }
    if !matches!(*source.watch().borrow(), Leadership::Leading { .. }) {
        return Ok(()); // it is another's by now
    }
    source.set_location(location).await
}

//! The leader's clock at work: proposes what has expired.

use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::machine::{Machines, Time};
use crate::replica::{Consistency, Replica};

/// How often the leader looks for something that expired. What expires is late by this at most, and
/// by the time of one command.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Runs until the replica is gone. `now` is the cluster's clock, `None` where this replica does not
/// lead.
pub(crate) async fn run<R: Replica>(
    replica: Weak<R>,
    machines: Machines,
    now: impl Fn(&R) -> Option<Time> + Send,
) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let Some(replica) = replica.upgrade() else { return };
        let Some(time) = now(&replica) else { continue };
        look(&replica, &machines, time).await;
    }
}

async fn look<R: Replica>(replica: &Arc<R>, machines: &Machines, now: Time) {
    let due = match replica.read(Consistency::Stale).await {
        Ok(snapshot) => machines.due(now, snapshot.view()).map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    match due {
        Ok(commands) => {
            for command in commands {
                if let Err(error) = replica.propose(command).await {
                    tracing::debug!(%error, "expire: tried again soon");
                }
            }
        }
        // A replica that stopped says so elsewhere.
        Err(error) => tracing::debug!(error, "look for what expired"),
    }
}

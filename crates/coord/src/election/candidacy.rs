//! A candidate that never gives up: queues, leads, and queues again.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use regrow_ids::Fence;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::election::Election;
use crate::error::CoordError;
use crate::txn::Compare;

/// How a candidate stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It leads.
    Leading {
        /// Larger than that of every leader before.
        fence: Fence,
        /// Holds in a transaction as long as this leadership does.
        guard: Compare,
    },
    /// Another one leads, or none.
    Following,
    /// The backend cannot be asked, and why. It does not lead.
    Unknown(Arc<str>),
}

/// A candidate in the background. Dropping it leaves the election.
///
/// A process that was stopped sees its old standing for the moment until this task runs again:
/// effects are to be guarded by the fence, not by the standing alone.
pub struct Candidacy {
    standing: watch::Receiver<Standing>,
    _running: DropGuard,
}

impl Candidacy {
    /// Starts to campaign; see [`Election::campaign`].
    pub fn start(election: Election, value: impl Into<Bytes>, ttl: Duration) -> Self {
        let (sender, standing) = watch::channel(Standing::Unknown("not asked yet".into()));
        let stop = CancellationToken::new();
        let running = run(election, value.into(), ttl, sender);
        tokio::spawn(stop.clone().run_until_cancelled_owned(running));
        Self { standing, _running: stop.drop_guard() }
    }

    /// The standing now and every change of it; a slow reader misses changes in between and never
    /// the last one.
    pub fn standing(&self) -> watch::Receiver<Standing> {
        self.standing.clone()
    }
}

fn tell(standing: &watch::Sender<Standing>, new: Standing) {
    standing.send_if_modified(|old| {
        let differs = *old != new;
        *old = new;
        differs
    });
}

fn unknown(error: &CoordError) -> Standing {
    Standing::Unknown(error.to_string().into())
}

async fn run(election: Election, value: Bytes, ttl: Duration, standing: watch::Sender<Standing>) {
    loop {
        let report = |how: Result<(), &CoordError>| {
            let new = match how {
                Ok(()) => Standing::Following,
                Err(error) => unknown(error),
            };
            tell(&standing, new);
        };
        match election.campaign_telling(value.clone(), ttl, &report).await {
            Ok(leading) => {
                let (fence, guard) = (leading.fence(), leading.guard());
                tell(&standing, Standing::Leading { fence, guard });
                leading.lost().await;
                tell(&standing, Standing::Following);
            }
            Err(error) => {
                tracing::error!(%error, "this candidate cannot stand");
                tell(&standing, unknown(&error));
                // Refused for good; perhaps somebody changes rights or settings.
                tokio::time::sleep(ttl).await;
            }
        }
    }
}

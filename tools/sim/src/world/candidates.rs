//! Candidates of the product's own election, one on each node: each campaigns with its node's clock,
//! acts while it leads, and acts once more as if it had not noticed that it lost.

use std::sync::Arc;
use std::time::Duration;

use regrow_coord::{Coordinator as _, Election, Key, Leading, Quorum, Txn};

use super::canary::Canary;
use super::observer::Observer;

/// The election.
pub const NAME: &str = "boss";
/// What the leader writes: its fence.
pub const EFFECT: &str = "boss-says";
/// Time of the lease of a leader.
const TTL: Duration = Duration::from_secs(2);
/// Pause between two acts.
const REST: Duration = Duration::from_millis(250);

/// One moment in which a candidate believed that it leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Belief {
    /// Time of the world, in microseconds.
    pub at: u64,
    /// The node.
    pub node: u64,
    /// The fence.
    pub fence: u64,
}

/// Campaigns for as long as the node lives.
pub async fn campaign(quorum: Quorum, observer: Arc<Observer>, canary: Option<Canary>) {
    let Ok(election) = Election::new(Arc::new(quorum.clone()), NAME) else { return };
    loop {
        let Ok(leading) = election.campaign(observer.node.to_string(), TTL).await else {
            tokio::time::sleep(TTL).await;
            continue;
        };
        let fence = leading.fence().get();
        // Some resign, others lead until something ends it.
        let rounds = 3 + fence % 30;
        for _ in 0..rounds {
            if !leading.holds() {
                break;
            }
            observer.believes(fence);
            act(&quorum, &leading, canary).await;
            tokio::select! {
                biased;
                () = leading.lost() => break,
                () = tokio::time::sleep(REST) => {}
            }
        }
        // As one that was stopped between the look at its standing and the act.
        act(&quorum, &leading, canary).await;
        if fence.is_multiple_of(2) {
            let _ = leading.resign().await;
        }
    }
}

async fn act(quorum: &Quorum, leading: &Leading, canary: Option<Canary>) {
    let Ok(key) = Key::new(EFFECT) else { return };
    let txn = Txn::new().put(key, leading.fence().get().to_string());
    let blind = canary == Some(Canary::UnguardedAct);
    let txn = if blind { txn } else { txn.when(leading.guard()) };
    // What became of it, the log tells.
    let _ = quorum.transact(&txn).await;
}

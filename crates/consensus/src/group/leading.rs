//! Follows who leads, starts the clock when this member does, and tells whether it still holds.

use std::sync::{PoisonError, Weak};
use std::time::Duration;

use openraft::async_runtime::WatchReceiver as _;
use openraft::{Instant as _, ReadPolicy, ServerState};

use crate::group::{AGAIN, Group};
use crate::replica::Leadership;

/// Runs until the group is gone or its engine stopped.
pub(super) async fn follow(group: Weak<Group>) {
    let Some(mut changes) = group.upgrade().map(|group| group.engine.server_metrics()) else {
        return;
    };
    let mut led = None;
    loop {
        let (leader, term, state) = {
            let now = changes.borrow_and_update();
            (now.current_leader, now.vote.leader_id().term, now.state)
        };
        let Some(this) = group.upgrade() else { return };
        let leads = state == ServerState::Leader && leader == Some(this.options.node);
        if !leads {
            led = None;
            this.clock.stop();
            this.publish(Leadership { leader, term, leading: false });
        } else if led != Some(term) {
            this.publish(Leadership { leader, term, leading: false });
            if this.take_over(term).await {
                led = Some(term);
                let this = this.clone();
                tokio::spawn(async move { this.finish_change().await });
            } else {
                drop(this);
                tokio::time::sleep(AGAIN).await;
                continue;
            }
        }
        drop(this);
        if changes.changed().await.is_err() {
            return;
        }
    }
}

impl Group {
    /// Who leads as far as that can be relied upon, and how long ago it was last known to hold.
    pub(super) fn contact(&self) -> (Leadership, Option<Duration>) {
        let known = *self.leadership.borrow();
        let heard = *self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let heard = heard.map(|heard| heard.elapsed());
        let own = known.leader == Some(self.options.node);
        let silent = if own { self.unconfirmed() } else { heard };
        // Whom a member that began just now found in its log may lead still.
        let waited = silent.or_else(|| (!own).then(|| self.began.elapsed()));
        // The longest time for which a follower waits before it stands for election.
        if waited.is_some_and(|waited| waited > self.options.election.1 * 2) {
            return (Leadership { leader: None, leading: false, ..known }, silent);
        }
        (known, if known.leading { Some(Duration::ZERO) } else { heard })
    }

    /// How long no majority answered this leader; `None` before any did.
    fn unconfirmed(&self) -> Option<Duration> {
        let metrics = self.engine.metrics();
        let metrics = metrics.borrow_watched();
        if metrics.membership_config.voter_ids().eq(std::iter::once(self.options.node)) {
            return Some(Duration::ZERO);
        }
        let acked = metrics.last_quorum_acked.as_ref()?;
        Some(acked.elapsed())
    }

    fn publish(&self, leadership: Leadership) {
        self.leadership.send_if_modified(|known| {
            let differs = *known != leadership;
            *known = leadership;
            differs
        });
    }

    /// Waits until everything that earlier leaders committed is applied here, then leads. False when
    /// it could not be confirmed.
    async fn take_over(&self, term: u64) -> bool {
        if let Err(error) = self.engine.ensure_linearizable(ReadPolicy::ReadIndex).await {
            tracing::debug!(%error, group = self.options.group, "take over: not confirmed yet");
            return false;
        }
        self.clock.start(self.store.applied().time);
        self.publish(Leadership { leader: Some(self.options.node), term, leading: true });
        true
    }
}

//! Follows who leads, and starts the clock when this member does.

use std::sync::Weak;

use openraft::async_runtime::WatchReceiver as _;
use openraft::{ReadPolicy, ServerState};

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

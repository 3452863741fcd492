//! Rollbacks that a group controller made by itself, kept over the end of a term.
//!
//! A controller that gives an update up goes back to the members of before, and notes in the
//! document that it shows what it took back ([`RolledBack`](regrow_plugin::spi::RolledBack)). The
//! store still has what the user committed; the next leader would try that again. So the leader
//! puts what is in force in its place, the note included: nobody tries it again until the user
//! commits it again, and the user sees in the document what became of the commit.
//!
//! The truth is the document that the controller shows. It is read when a term begins (before
//! anything is handed over), when the controller warns of something, and with each revisit; events
//! only make it quick. A rollback is lost when the controller and this process end within the
//! moment between the two: then the next leader tries once more.
//!
//! Only what is stored word for word as it was tried is replaced, under the lock of the name: a
//! commit of the user that is newer than the rollback wins.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use regrow_ids::{Fence, PluginName};
use regrow_plugin::PluginError;
use regrow_plugin::spi::{EventStream, GroupSpec};
use tokio_util::sync::CancellationToken;

use super::Core;
use super::calls::{CALL_TIMEOUT, found, within};
use crate::ManagerError;
use crate::catalog::{Key, Record};
use crate::properties::rolled_back;
use crate::store::StoreError;

/// Topic of all that happens to groups.
const TOPIC: &str = "groups/";
/// Type of the events that tell of a rollback, among others.
const WARNING: &str = "warning";
/// Least time between two looks that events ask for.
const SPACING: Duration = Duration::from_secs(1);
/// Pause before a group plugin is asked again for its events.
const RETRY: Duration = Duration::from_secs(30);
/// So many events that wait are one reason to look.
const EVENTS_AT_ONCE: usize = 1_024;
/// How long a new term waits for the first look before it hands over what is stored.
const FIRST_LOOK: Duration = Duration::from_secs(5);

impl Core {
    /// Stores the rollbacks that a group plugin tells of, once; waits a little at most.
    pub(super) async fn keep_first_rollbacks(self: &Arc<Self>, fence: Fence) {
        let look = self.keep_rollbacks_of(fence, &self.group);
        if tokio::time::timeout(FIRST_LOOK, look).await.is_err() {
            tracing::warn!(plugin = %self.group, "no answer about rollbacks, going on without");
        }
    }

    /// Stores rollbacks as they happen until the term is over.
    pub(super) async fn follow_rollbacks(self: Arc<Self>, fence: Fence, over: CancellationToken) {
        let follow = async {
            loop {
                if let Ok(events) = self.subscribe().await {
                    // What happened before is found by looking.
                    self.keep_rollbacks_of(fence, &self.group).await;
                    let mut events = events.ready_chunks(EVENTS_AT_ONCE);
                    while let Some(events) = events.next().await {
                        if events.iter().any(|event| event.kind == WARNING) {
                            self.keep_rollbacks_of(fence, &self.group).await;
                            tokio::time::sleep(SPACING).await;
                        }
                    }
                }
                tokio::time::sleep(RETRY).await;
            }
        };
        over.run_until_cancelled(follow).await;
    }

    async fn subscribe(&self) -> Result<EventStream, PluginError> {
        let events = found(&self.group, self.lookup.events(&self.group)).await?;
        within(&self.group, "Event.Subscribe", CALL_TIMEOUT, events.subscribe(TOPIC)).await
    }

    async fn keep_rollbacks_of(self: &Arc<Self>, fence: Fence, handler: &PluginName) {
        // It is asked again soon, and whoever needs it says that it cannot be asked.
        let Ok(in_force) = self.in_force(handler).await else { return };
        self.keep_rollbacks(fence, handler, &in_force).await;
    }

    /// The documents that a group plugin shows.
    pub(super) async fn in_force(
        &self,
        handler: &PluginName,
    ) -> Result<Vec<GroupSpec>, PluginError> {
        let group = self.find_group(handler).await?;
        within(handler, "Group.InspectGroups", CALL_TIMEOUT, group.inspect_groups()).await
    }

    /// Stores what was rolled back according to these documents.
    pub(super) async fn keep_rollbacks(
        self: &Arc<Self>,
        fence: Fence,
        handler: &PluginName,
        in_force: &[GroupSpec],
    ) {
        let known = self.shelf.known();
        for shown in in_force {
            let key = Key::group(shown.id.as_str());
            let is_new =
                known.get(&key).is_some_and(|stored| back(stored, handler, shown).is_some());
            if !is_new {
                continue;
            }
            let (of, name) = (handler.clone(), key.clone());
            let keep = |core: Arc<Self>| async move { core.keep_rollback(fence, &of, &name).await };
            match self.whole(keep).await {
                Ok(()) | Err(ManagerError::NotLeader | ManagerError::LeaderUnknown) => {}
                Err(fault) => tracing::warn!(%key, %fault, "cannot store the rollback, trying on"),
            }
        }
    }

    async fn keep_rollback(
        &self,
        fence: Fence,
        handler: &PluginName,
        key: &Key,
    ) -> Result<(), ManagerError> {
        let _held = self.locks.hold(key).await;
        // With the name held: a commit of meanwhile may have ended what was shown before.
        let in_force = self.in_force(handler).await?;
        let known = self.shelf.known();
        let kept = known.get(key).filter(|_| !known.is_ending(key)).and_then(|stored| {
            let shown = in_force.iter().find(|shown| shown.id.as_str() == key.name)?;
            back(stored, handler, shown)
        });
        let Some(kept) = kept else { return Ok(()) };
        match self.shelf.put(fence, || self.still(fence), key, &kept).await {
            Ok(_) => tracing::warn!(%key, "the group was rolled back; what is in force is stored"),
            Err(ManagerError::Store(fault @ StoreError::NotDurable { .. })) => {
                tracing::warn!(%key, %fault, "the rollback of the group");
            }
            Err(fault) => return Err(fault),
        }
        Ok(())
    }
}

/// The stored record with what is in force, when its group was rolled back.
fn back(stored: &Record, handler: &PluginName, shown: &GroupSpec) -> Option<Record> {
    if stored.handler != *handler {
        return None;
    }
    let mut record = stored.clone();
    record.spec.properties = rolled_back(&stored.spec.properties, &shown.properties)?;
    Some(record)
}

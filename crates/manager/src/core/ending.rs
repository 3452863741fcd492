//! The ends of stored specs: destroyed, or freed. The order is always the same: leadership, lock of the
//! name, the mark that the spec is ending, the handler, the removal from the store.
//!
//! The mark is stored first because the answer of the handler may get lost, and this replica may
//! crash: without it whoever finds the spec among the stored ones would bring it back to life.

use std::collections::BTreeSet;
use std::sync::Arc;

use regrow_ids::{Fence, GroupId, PluginName};
use regrow_plugin::spi::{Group, ObjectMeta, SpecObject};

use super::Core;
use super::calls::{CALL_TIMEOUT, within};
use super::change::took_no_effect;
use super::effects::{Ask, Committed};
use crate::ManagerError;
use crate::catalog::{Catalog, Key, Record};
use crate::store::StoreError;

impl Core {
    /// Stops watching a group, keeps its instances, forgets its spec.
    pub(crate) async fn free_group(self: &Arc<Self>, id: &GroupId) -> Result<(), ManagerError> {
        let fence = self.lead_or_say().await?;
        let key = Key::group(id.as_str());
        let id = id.clone();
        self.whole(|core| async move {
            let _held = core.locks.hold(&key).await;
            let group = core.find_group(&core.group).await?;
            let was_ending = core.begin_end(fence, &key).await?;
            let freed = core.free_watched(fence, &*group, &id).await;
            core.unless_refused(fence, &key, was_ending, freed).await?;
            core.forget(fence, &key, "the group was freed").await
        })
        .await
    }

    async fn free_watched(
        &self,
        fence: Fence,
        group: &dyn Group,
        id: &GroupId,
    ) -> Result<(), ManagerError> {
        let call = group.free_group(id);
        let freed = self.lead_in(fence, &self.group, "Group.FreeGroup", CALL_TIMEOUT, call).await;
        let Err(fault) = freed else { return Ok(()) };
        if !matches!(fault, ManagerError::Plugin(_)) {
            return Err(fault);
        }
        // A stored spec that its plugin rejects is watched by nobody, and freeing it is how one gets
        // rid of it.
        let call = group.inspect_groups();
        let watched = within(&self.group, "Group.InspectGroups", CALL_TIMEOUT, call).await?;
        let stored = self.shelf.known().get(&Key::group(id.as_str())).is_some();
        if !stored || watched.iter().any(|spec| spec.id == *id) {
            return Err(fault);
        }
        Ok(())
    }

    /// Destroys what a spec describes and forgets it.
    ///
    /// The instances go first: if this stops half way the spec is still there, marked as ending, and
    /// the user sees it. The other order would leave instances that nobody knows of.
    pub(crate) async fn destroy(
        self: &Arc<Self>,
        key: Key,
        record: Record,
    ) -> Result<Committed, ManagerError> {
        let fence = self.lead_or_say().await?;
        self.whole(|core| async move {
            let _held = core.locks.hold(&key).await;
            let was_ending = core.begin_end(fence, &key).await?;
            let done = core.ask(fence, &key, &record, Ask::Destroy).await;
            let done = core.unless_refused(fence, &key, was_ending, done).await;
            let done = done.map_err(|fault| match fault {
                // Its plugin need not know it any more, and only the user knows what is left of it.
                fault if was_ending && key.is_group() && took_no_effect(&fault) => {
                    ManagerError::HalfDestroyed { group: key.name.clone(), source: Box::new(fault) }
                }
                fault => fault,
            })?;
            core.forget(fence, &key, "it was destroyed").await?;
            Ok(done)
        })
        .await
    }

    /// Marks a spec as ending before its handler is asked; returns whether it was marked already.
    async fn begin_end(&self, fence: Fence, key: &Key) -> Result<bool, ManagerError> {
        match self.mark_ending(fence, key, true).await {
            // Where the mark stands nobody looks after the group, and it lives on.
            Err(fault @ ManagerError::Store(StoreError::Unknown { .. })) => {
                self.unless_refused(fence, key, false, Err(fault)).await
            }
            marked => marked,
        }
    }

    /// Stores whether a spec is ending; returns whether it was.
    async fn mark_ending(
        &self,
        fence: Fence,
        key: &Key,
        ending: bool,
    ) -> Result<bool, ManagerError> {
        let mut was_ending = false;
        let mark = |catalog: &mut Catalog| {
            was_ending = catalog.is_ending(key);
            catalog.set_ending(key, ending);
        };
        match self.shelf.change(fence, || self.still(fence), mark).await {
            // A mark that a crash may undo does for a handler that answers.
            Ok(()) | Err(ManagerError::Store(StoreError::NotDurable { .. })) => Ok(was_ending),
            Err(fault) => Err(fault),
        }
    }

    /// Takes our mark away when the handler said no or was not asked: the spec lives on. When the
    /// term ended before it was asked, that is done only if this replica leads again.
    async fn unless_refused<T>(
        &self,
        fence: Fence,
        key: &Key,
        was_ending: bool,
        done: Result<T, ManagerError>,
    ) -> Result<T, ManagerError> {
        let is_over = |fault: &ManagerError| {
            matches!(fault, ManagerError::NotLeader | ManagerError::LeaderUnknown)
        };
        // The store is asked before the handler.
        let not_asked =
            |fault: &ManagerError| is_over(fault) || matches!(fault, ManagerError::Store(_));
        let fault = match done {
            Err(fault) if !was_ending && (not_asked(&fault) || took_no_effect(&fault)) => fault,
            done => return done,
        };
        let mut fence = fence;
        loop {
            let source = match self.mark_ending(fence, key, false).await {
                Ok(_) => {
                    // A new term may have passed over it meanwhile.
                    self.settling.nudge([key.clone()]);
                    return Err(fault);
                }
                Err(source) => source,
            };
            match self.lead() {
                // Another term of ours has begun meanwhile, perhaps more than one.
                Ok(now) if now != fence => fence = now,
                Err(_) if is_over(&fault) => return Err(fault),
                _ => {
                    return Err(ManagerError::NotRecorded {
                        done: format!("nothing was destroyed or freed ({fault})"),
                        next: "commit it again, it is not looked after until then",
                        source: Box::new(source),
                    });
                }
            }
        }
    }

    /// Removes a spec from the store after its end.
    async fn forget(&self, fence: Fence, key: &Key, done: &str) -> Result<(), ManagerError> {
        self.forget_all(fence, |candidate, _| candidate == key, done).await
    }

    /// Removes all specs that fit.
    async fn forget_all(
        &self,
        fence: Fence,
        fits: impl Fn(&Key, &Record) -> bool + Send + Sync,
        done: &str,
    ) -> Result<(), ManagerError> {
        let mut gone = Vec::new();
        let fitting = |catalog: &Catalog| -> Vec<Key> {
            let fits = catalog.iter().filter(|(key, record)| fits(key, record));
            fits.map(|(key, _)| key.clone()).collect()
        };
        let edit = |catalog: &mut Catalog| {
            gone = fitting(catalog);
            for key in &gone {
                catalog.remove(key);
            }
        };
        let changed = self.shelf.change(fence, || self.still(fence), edit).await;
        if let Err(source) = changed {
            self.shelf.know_ending(fitting);
            return Err(ManagerError::NotRecorded {
                done: done.to_owned(),
                next: "free it again to forget it",
                source: Box::new(source),
            });
        }
        gone.iter().for_each(|key| self.settling.settled(key));
        Ok(())
    }

    /// Has a controller free its objects, or those that fit, and forgets their specs.
    pub(crate) async fn free_objects(
        self: &Arc<Self>,
        handler: &PluginName,
        of: Option<&ObjectMeta>,
    ) -> Result<Vec<SpecObject>, ManagerError> {
        let fence = self.lead_or_say().await?;
        let (handler, of) = (handler.clone(), of.cloned());
        self.whole(|core| async move {
            // A commit that is under way would put back what is freed meanwhile. In the order of the
            // keys, as all who hold several.
            let (catalog, _) = core.shelf.read().await?;
            let ours = catalog.iter().filter(|(_, record)| record.handler == handler);
            let keys: BTreeSet<_> = ours.map(|(key, _)| key.clone()).collect();
            let mut held = Vec::new();
            for key in &keys {
                held.push(core.locks.hold(key).await);
            }
            let controller = core.find_controller(&handler).await?;
            let call = controller.free(of.as_ref());
            let freed =
                core.lead_in(fence, &handler, "Controller.Free", CALL_TIMEOUT, call).await?;
            let name = of.as_ref().map(|meta| meta.name.as_str());
            // One that came meanwhile is another's; its lock is not held.
            let fits = |key: &Key, record: &Record| {
                keys.contains(key) && core.was_freed(key, record, &handler, name, &freed)
            };
            core.forget_all(fence, fits, "it was freed").await?;
            Ok(freed)
        })
        .await
    }

    /// True for the specs that a controller has freed: those that it names in its answer, and with
    /// `name` that one, and without all of its.
    fn was_freed(
        &self,
        key: &Key,
        record: &Record,
        handler: &PluginName,
        name: Option<&str>,
        freed: &[SpecObject],
    ) -> bool {
        let names_it = |object: &SpecObject| {
            object.kind == key.kind && self.local_name(&object.metadata.name) == key.name
        };
        record.handler == *handler
            && (name.is_none_or(|name| self.local_name(name) == key.name)
                || freed.iter().any(names_it))
    }
}

//! Changes of one stored spec. The order is always the same: leadership, lock of the name, the
//! handler's opinion, the store, the handler. So a spec that its handler rejects is never stored,
//! and a spec that is stored is what the next leader will commit.

use std::sync::Arc;

use regrow_ids::{Fence, GroupId, InstanceId};
use regrow_plugin::Effect;
use regrow_plugin::spi::{Group, Operation};

use super::Core;
use super::calls::{CALL_TIMEOUT, DESTROY_TIMEOUT, within};
use super::effects::{Ask, Committed};
use crate::ManagerError;
use crate::catalog::{Catalog, Key, Record};
use crate::properties::{has_logical_ids, with_size};
use crate::store::StoreError;

impl Core {
    /// Makes a spec true and remembers it.
    pub(crate) async fn commit(
        self: &Arc<Self>,
        key: Key,
        record: Record,
    ) -> Result<Committed, ManagerError> {
        let fence = self.lead_or_say().await?;
        self.whole(|core| async move {
            let _held = core.locks.hold(&key).await;
            core.commit_held(fence, &key, &record).await
        })
        .await
    }

    async fn commit_held(
        &self,
        fence: Fence,
        key: &Key,
        record: &Record,
    ) -> Result<Committed, ManagerError> {
        self.ask(fence, key, record, Ask::Pretend(Operation::Enforce)).await?;
        let record = &self.in_its_worlds(key, record.clone()).await?;
        let put = self.shelf.put(fence, || self.still(fence), key, record).await;
        let earlier = put.map_err(|fault| self.if_stored(fault, [key]))?;
        match self.ask(fence, key, record, Ask::Enforce).await {
            Ok(done) => {
                self.settling.settled(key);
                Ok(done)
            }
            Err(fault) if took_no_effect(&fault) => {
                let undo = |catalog: &mut Catalog| catalog.put_back(key, record, earlier.clone());
                match self.shelf.change(fence, || self.still(fence), undo).await {
                    Ok(()) => Err(fault),
                    Err(source) => Err(self.not_undone(key, fault, source)),
                }
            }
            Err(fault) => {
                self.settling.nudge([key.clone()]);
                Err(ManagerError::Unsettled { key: key.clone(), source: Box::new(fault) })
            }
        }
    }

    /// Specs that are stored although the store complained are tried as all stored ones are; those
    /// that may be stored, once it is known.
    pub(super) fn if_stored<'a>(
        &self,
        fault: ManagerError,
        keys: impl IntoIterator<Item = &'a Key>,
    ) -> ManagerError {
        let is_stored = match &fault {
            ManagerError::Store(StoreError::NotDurable { .. }) => true,
            ManagerError::Store(StoreError::Unknown { .. }) => false,
            _ => return fault,
        };
        let keys: Vec<_> = keys.into_iter().cloned().collect();
        self.settling.nudge(keys.iter().cloned());
        if !is_stored {
            return fault;
        }
        match <[Key; 1]>::try_from(keys) {
            Ok([key]) => ManagerError::Unsettled { key, source: Box::new(fault) },
            Err(_) => fault,
        }
    }

    /// A rejected spec stays stored: it must at least be seen and tried again.
    pub(super) fn not_undone(
        &self,
        key: &Key,
        rejected: ManagerError,
        source: ManagerError,
    ) -> ManagerError {
        self.settling.nudge([key.clone()]);
        let (rejected, source) = (Box::new(rejected), Box::new(source));
        ManagerError::NotUndone { key: key.clone(), rejected, source }
    }

    /// Changes the size of a group and remembers it.
    pub(crate) async fn set_size(
        self: &Arc<Self>,
        id: &GroupId,
        size: u32,
    ) -> Result<(), ManagerError> {
        let fence = self.lead_or_say().await?;
        let key = Key::group(id.as_str());
        self.whole(|core| async move {
            let _held = core.locks.hold(&key).await;
            let record = core.resized(&key, size)?;
            core.commit_held(fence, &key, &record).await.map(drop)
        })
        .await
    }

    /// The stored record of a group with another size.
    fn resized(&self, key: &Key, size: u32) -> Result<Record, ManagerError> {
        let refuse = |reason: &str| ManagerError::NoSize {
            group: key.name.clone(),
            reason: reason.to_owned(),
        };
        let mut record = self
            .shelf
            .known()
            .get(key)
            .cloned()
            .ok_or_else(|| refuse("it is not among the stored specs; commit it first"))?;
        if has_logical_ids(&record.spec.properties) {
            return Err(refuse("it has logical ids; change the list and commit the group"));
        }
        record.spec.properties = with_size(&record.spec.properties, size)
            .ok_or_else(|| refuse("its properties are not a map; commit it anew"))?;
        Ok(record)
    }

    /// Destroys some members of a group and remembers its new size.
    ///
    /// The group shrinks at once and destroys as drains and its budget allow. So the size is
    /// remembered also when the answer got lost: the next leader would grow the group back.
    pub(crate) async fn destroy_instances(
        self: &Arc<Self>,
        id: &GroupId,
        instances: &[InstanceId],
    ) -> Result<(), ManagerError> {
        let fence = self.lead_or_say().await?;
        let key = Key::group(id.as_str());
        let (id, instances) = (id.clone(), instances.to_vec());
        self.whole(|core| async move {
            let _held = core.locks.hold(&key).await;
            let group = core.find_group(&core.group).await?;
            let method = "Group.DestroyInstances";
            let call = group.destroy_instances(&id, &instances);
            let destroyed = core.lead_in(fence, &core.group, method, DESTROY_TIMEOUT, call).await;
            let done = match &destroyed {
                Ok(()) => "the instances were destroyed".to_owned(),
                Err(fault @ ManagerError::Plugin(_)) if !took_no_effect(fault) => {
                    format!("whether the instances are destroyed is not known ({fault})")
                }
                Err(_) => return destroyed,
            };
            let recorded = core.record_size(fence, &key, &*group).await;
            recorded.map_err(|source| ManagerError::NotRecorded {
                done,
                next: "set the size of the group to what it shows to record it",
                source: Box::new(source),
            })?;
            destroyed
        })
        .await
    }

    /// Stores the size that a group shows, unless it has none or is not stored.
    async fn record_size(
        &self,
        fence: Fence,
        key: &Key,
        group: &dyn Group,
    ) -> Result<(), ManagerError> {
        let Some(stored) = self.shelf.known().get(key).cloned() else { return Ok(()) };
        if has_logical_ids(&stored.spec.properties) {
            return Ok(());
        }
        let id = GroupId::from(key.name.as_str());
        let size = within(&self.group, "Group.Size", CALL_TIMEOUT, group.size(&id)).await?;
        let record = self.resized(key, size)?;
        self.shelf.put(fence, || self.still(fence), key, &record).await.map(drop)
    }
}

/// True when the handler said no, or was never asked.
pub(super) fn took_no_effect(fault: &ManagerError) -> bool {
    matches!(fault, ManagerError::Plugin(fault) if fault.effect() != Effect::Unknown)
}

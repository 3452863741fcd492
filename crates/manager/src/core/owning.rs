//! Two managers never own the same instances: a group is taken in the worlds that its instance plugin
//! names, in the write that stores its spec.
//!
//! A stored record has the worlds that instances of its group may be in. What is owned follows from it:
//! whatever stores the record, puts an earlier one back or removes it, takes and gives up in the same
//! write ([`Claims`]). A replica whose plugins show another world than those of the leader before, as
//! plugins for local processes do, adds that one before it hands the spec over.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::{StreamExt as _, TryStreamExt as _};
use regrow_ids::{Fence, PluginName};
use regrow_plugin::spi::{Tags, World, tags};

use super::calls::{CALL_TIMEOUT, within};
use super::{Core, PARALLEL_CALLS};
use crate::ManagerError;
use crate::catalog::{Catalog, Key, Record, Worlds};
use crate::properties::instance_plugin;
use crate::store::{Claim, Claims};

impl Core {
    /// The worlds that the instances of a spec are made in; none for specs without any, and for stores
    /// that keep no owners.
    async fn worlds_of(&self, key: &Key, record: &Record) -> Result<Worlds, ManagerError> {
        if !key.is_group() || !self.shelf.keeps_owners() {
            return Ok(Worlds::new());
        }
        match instance_plugin(&record.spec.properties) {
            None => Ok(Worlds::new()),
            Some(plugin) => self.worlds_behind(&plugin).await,
        }
    }

    async fn worlds_behind(&self, plugin: &PluginName) -> Result<Worlds, ManagerError> {
        let instances = self.find_instance(plugin).await?;
        let worlds = within(plugin, "worlds", CALL_TIMEOUT, instances.worlds()).await?;
        let said = |world| (world, plugin.clone());
        if worlds.is_empty() {
            return Ok(Worlds::from([said(World::of_plugin(plugin))]));
        }
        Ok(worlds.into_iter().map(said).collect())
    }

    /// A record with the worlds that its instances are made in.
    pub(super) async fn in_its_worlds(
        &self,
        key: &Key,
        record: Record,
    ) -> Result<Record, ManagerError> {
        Ok(Record { worlds: self.worlds_of(key, &record).await?, ..record })
    }

    /// The same for many.
    pub(super) async fn all_in_their_worlds(
        &self,
        records: &BTreeMap<Key, Record>,
    ) -> Result<BTreeMap<Key, Record>, ManagerError> {
        let mut calls = Vec::with_capacity(records.len());
        for (key, record) in records {
            calls.push(async move {
                let record = self.in_its_worlds(key, record.clone()).await?;
                Ok((key.clone(), record))
            });
        }
        futures::stream::iter(calls).buffer_unordered(PARALLEL_CALLS).try_collect().await
    }

    /// Whether a spec could be stored without taking what another manager owns.
    pub(crate) async fn may_own(&self, key: &Key, record: &Record) -> Result<(), ManagerError> {
        let worlds = self.worlds_of(key, record).await?;
        let taken = worlds.into_keys().map(|world| Claim { group: key.name.clone(), world });
        let claims = Claims { taken: taken.collect(), ..Claims::default() };
        Ok(self.shelf.check_claims(&claims).await?)
    }

    /// Takes a stored group in the worlds that this replica's plugins show, before it is handed over.
    /// The caller holds its name.
    pub(super) async fn own(
        &self,
        fence: Fence,
        key: &Key,
        record: &Record,
    ) -> Result<(), ManagerError> {
        let worlds = self.worlds_of(key, record).await?;
        if worlds.keys().all(|world| record.worlds.contains_key(world)) {
            return Ok(());
        }
        let add = |catalog: &mut Catalog| catalog.add_worlds(key, &worlds);
        self.shelf.change(fence, || self.still(fence), add).await
    }

    /// Gives up the worlds of groups that have moved to another plugin, where nothing is left of them.
    /// The group controller moves no group before its members are gone; the list says so once more.
    pub(super) async fn leave_empty_worlds(self: &Arc<Self>, fence: Fence) {
        let Ok(catalog) = self.shelf.certain(|| self.still(fence)).await else { return };
        for (key, record) in catalog.iter().filter(|(key, _)| !catalog.is_ending(key)) {
            let now = instance_plugin(&record.spec.properties);
            let left = record.worlds.iter().filter(|(_, plugin)| now.as_ref() != Some(plugin));
            for (world, plugin) in left {
                let (of, world, plugin) = (key.clone(), world.clone(), plugin.clone());
                let leave = |core: Arc<Self>| async move {
                    core.leave_if_empty(fence, &of, &world, &plugin).await
                };
                if let Err(fault) = self.whole(leave).await {
                    tracing::debug!(%key, %fault, "cannot tell whether its former place is empty");
                }
            }
        }
    }

    async fn leave_if_empty(
        &self,
        fence: Fence,
        key: &Key,
        world: &World,
        plugin: &PluginName,
    ) -> Result<(), ManagerError> {
        let _held = self.locks.hold(key).await;
        let known = self.shelf.known();
        let Some(record) = known.get(key) else { return Ok(()) };
        let is_back = instance_plugin(&record.spec.properties).as_ref() == Some(plugin);
        // On another machine the plugin of this name may show another world.
        if is_back || !self.worlds_behind(plugin).await?.contains_key(world) {
            return Ok(());
        }
        let instances = self.find_instance(plugin).await?;
        let members = Tags::from([(tags::GROUP.to_owned(), key.name.clone())]);
        let listed = instances.describe_instances(&members, false);
        let listed = within(plugin, "Instance.DescribeInstances", CALL_TIMEOUT, listed).await?;
        if listed.iter().any(|instance| instance.matches(&members)) {
            return Ok(());
        }
        let leave = |catalog: &mut Catalog| catalog.remove_world(key, world);
        self.shelf.change(fence, || self.still(fence), leave).await
    }
}

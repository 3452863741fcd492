//! The `Group` interface over the loop.

mod as_controller;
mod authority;
mod events;
mod metadata;
mod options;
mod plan_text;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use regrow_ids::{GroupId, InstanceId, LogicalId};
use regrow_plugin::spi::{Description, Group, GroupDescription, GroupSpec, Result, tags};
use regrow_plugin::{Lookup, Mandate, PluginError};
use regrow_reconcile::intents::IntentLog;
use regrow_reconcile::{Authority, Handle, Loop, LoopOptions, Note, Status};
use tokio::sync::{Mutex as AsyncMutex, broadcast};

use crate::config::{GroupConfig, Membership};
use crate::controller::{GroupController, group_tags};
use crate::state::{GroupState, KeySpace, Patience};

pub use as_controller::plugin;
pub(crate) use authority::Mandated;
pub use options::Options;

/// Controls any number of groups: the service behind the `Group` interface.
pub struct Groups {
    engine: Loop<GroupController>,
    controller: Arc<GroupController>,
    log: Arc<dyn IntentLog>,
    authority: Arc<Mandated>,
    own: Option<LogicalId>,
    patience: Patience,
    /// One lock for each group that is being changed: a slow plugin holds up its own group only.
    locks: Mutex<BTreeMap<GroupId, Arc<AsyncMutex<()>>>>,
}

impl Groups {
    /// A controller without groups.
    pub fn new(
        plugins: Arc<dyn Lookup>,
        log: Arc<dyn IntentLog>,
        authority: Arc<dyn Authority>,
        options: &Options,
    ) -> Arc<Self> {
        let authority = Arc::new(Mandated::new(authority));
        let controller = Arc::new(GroupController::new(plugins, Arc::clone(&authority)));
        let loop_options = LoopOptions {
            revisit: options.poll_interval.into(),
            max_parallel: options.max_parallel(),
            ..LoopOptions::default()
        };
        let (log_of_loop, of_loop) = (Arc::clone(&log), Arc::clone(&authority) as _);
        let engine = Loop::new(Arc::clone(&controller), log_of_loop, of_loop, loop_options);
        Arc::new(Self {
            engine,
            controller,
            log,
            authority,
            own: options.own_logical_id(),
            patience: Patience::for_poll(options.poll_interval.into()),
            locks: Mutex::default(),
        })
    }

    /// What happens to all groups, from now on.
    pub fn notes(&self) -> broadcast::Receiver<Arc<Note>> {
        self.engine.notes()
    }

    /// Names of the watched groups.
    pub fn watched(&self) -> Vec<GroupId> {
        self.engine.all().into_iter().map(|(id, _)| id).collect()
    }

    /// The loop's view of a group; `None` when it is not watched.
    pub fn status(&self, id: &GroupId) -> Option<Status> {
        self.engine.get(id).map(|handle| handle.status())
    }

    /// Follows the loop's view of a group.
    pub fn watch_status(&self, id: &GroupId) -> Option<tokio::sync::watch::Receiver<Status>> {
        self.engine.get(id).map(|handle| handle.watch_status())
    }

    /// Runs a function on what is known about a group, in the task that owns it.
    ///
    /// # Errors
    /// The group is not watched.
    pub async fn inspect<R: Send + 'static>(
        &self,
        id: &GroupId,
        read: impl FnOnce(&GroupState) -> R + Send + 'static,
    ) -> Result<R> {
        let handle = self.handle(id)?;
        handle.read(read).await.ok_or_else(|| not_watched(id))
    }

    /// Stops watching all groups and leaves their members alone.
    pub async fn free_all(&self) {
        let stops = self.engine.all().into_iter().map(|(id, _)| async move {
            self.engine.remove(&id).await;
        });
        futures::future::join_all(stops).await;
    }

    fn handle(&self, id: &GroupId) -> Result<Handle<GroupController>> {
        self.engine.get(id).ok_or_else(|| not_watched(id))
    }

    fn lock_of(&self, id: &GroupId) -> Arc<AsyncMutex<()>> {
        let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
        // Locks that nobody holds or waits for need no memory.
        locks.retain(|_, lock| Arc::strong_count(lock) > 1);
        Arc::clone(locks.entry(id.clone()).or_default())
    }

    /// Asks the plugins of a group whether they accept it, in InfraKit's order and words.
    async fn validate(&self, config: &GroupConfig) -> Result<()> {
        let plugins = self.controller.plugins();
        let document = &config.document;
        let missing = |kind: &str, name: &regrow_ids::PluginName, fault: PluginError| {
            PluginError::refused(format!("Failed to find {kind} plugin '{name}':{fault}"))
        };
        let flavor = plugins.flavor(&document.flavor.plugin).await;
        let flavor = flavor.map_err(|e| missing("Flavor", &document.flavor.plugin, e))?;
        flavor.validate(&document.flavor.properties, &config.allocation()).await?;
        let instance = plugins.instance(&document.instance.plugin).await;
        let instance = instance.map_err(|e| missing("Instance", &document.instance.plugin, e))?;
        instance.validate(&document.instance.properties).await
    }

    /// The members as their plugin lists them now.
    async fn members(
        &self,
        config: &GroupConfig,
        properties: bool,
    ) -> Result<Vec<Arc<Description>>> {
        let plugin = self.controller.plugins().instance(&config.document.instance.plugin).await?;
        let listed = plugin.describe_instances(&group_tags(config), properties).await?;
        let wanted = config.id.as_str();
        let is_member = |d: &Arc<Description>| d.tags.get(tags::GROUP).is_some_and(|g| g == wanted);
        Ok(listed.into_iter().filter(is_member).collect())
    }

    async fn config(&self, id: &GroupId) -> Result<GroupConfig> {
        self.inspect(id, |state| (*state.config).clone()).await
    }

    /// Changes a watched group, or starts to watch a new one. The caller holds the group's lock.
    async fn apply(self: &Arc<Self>, config: GroupConfig) -> Result<()> {
        self.authority.hear();
        let id = config.id.clone();
        if let Some(handle) = self.engine.get(&id) {
            let changed = handle.with(move |state, now| {
                if state.dissolving {
                    return false;
                }
                state.commit(config, now);
                true
            });
            let changed = changed.await.ok_or_else(|| not_watched(&id))?;
            handle.wake();
            return if changed { Ok(()) } else { Err(being_destroyed(&id)) };
        }
        let epoch = self.log.next_epoch().await;
        let epoch = epoch.map_err(|fault| PluginError::refused(fault.to_string()))?;
        let keys = KeySpace { lineage: self.log.lineage(), epoch };
        let mut state = GroupState::new(config, keys, self.patience);
        state.own.clone_from(&self.own);
        let handle = self.engine.add(id, state);
        watch::follow(Arc::clone(self.controller.plugins()), handle);
        Ok(())
    }

    /// Commits a document, or says what that would take.
    ///
    /// A leader pretends first with what a user commits, and what it has stored it commits as it is
    /// when it takes over. So what a leader commits (its call carries a mandate) is read and no
    /// plugin is asked: a group whose template cannot be fetched just now, or which was stored before
    /// a plugin began to refuse a field, has members to heal all the same. Whoever commits without a
    /// leader, and InfraKit's manager, which sends no mandate, is answered as InfraKit answers.
    async fn commit(self: &Arc<Self>, spec: &GroupSpec, pretend: bool) -> Result<String> {
        let config =
            GroupConfig::parse(spec).map_err(|fault| PluginError::refused(fault.to_string()))?;
        if pretend || Mandate::current().is_none() {
            self.validate(&config).await?;
        }
        let lock = self.lock_of(&config.id);
        let _changing = lock.lock().await;
        self.commit_locked(config, pretend).await
    }

    /// Commits a checked document. The caller holds the group's lock.
    async fn commit_locked(self: &Arc<Self>, config: GroupConfig, pretend: bool) -> Result<String> {
        let text = match self.engine.get(&config.id) {
            None => format!("Managing {} instances", config.membership.size()),
            Some(_) => {
                let (current, empty) = self
                    .inspect(&config.id, |state| ((*state.config).clone(), state.is_empty()))
                    .await?;
                plan_text::check_change(&current, &config, empty)?;
                let members = self.members(&current, false).await?;
                plan_text::describe(&current, &config, &members)
            }
        };
        if !pretend {
            self.apply(config).await?;
        }
        Ok(text)
    }

    /// Waits until a group has destroyed what it was told to.
    async fn settled(
        &self,
        id: &GroupId,
        is_over: impl Fn(&GroupState) -> bool + Send + Sync + Clone + 'static,
    ) -> Result<()> {
        let handle = self.handle(id)?;
        let mut status = handle.watch_status();
        loop {
            let is_over = is_over.clone();
            match handle.read(move |state| is_over(state)).await {
                Some(true) => return Ok(()),
                Some(false) => {}
                None => return Err(not_watched(id)),
            }
            if status.changed().await.is_err() {
                return Err(not_watched(id));
            }
        }
    }
}

fn not_watched(id: &GroupId) -> PluginError {
    PluginError::refused(format!("Group '{id}' is not being watched"))
}

fn being_destroyed(id: &GroupId) -> PluginError {
    PluginError::refused(format!("Group '{id}' is being destroyed; commit it again afterwards"))
}

/// The `Group` object. Cheap to clone.
#[derive(Clone)]
pub(crate) struct GroupService(pub(crate) Arc<Groups>);

#[async_trait]
impl Group for GroupService {
    async fn commit_group(&self, spec: &GroupSpec, pretend: bool) -> Result<String> {
        self.0.commit(spec, pretend).await
    }

    async fn free_group(&self, id: &GroupId) -> Result<()> {
        let lock = self.0.lock_of(id);
        let _changing = lock.lock().await;
        self.0.engine.remove(id).await.map(|_| ()).ok_or_else(|| not_watched(id))
    }

    async fn describe_group(&self, id: &GroupId) -> Result<GroupDescription> {
        let config = self.0.config(id).await?;
        let instances = self.0.members(&config, true).await?;
        let converged = self.0.status(id).is_some_and(|status| status.converged);
        Ok(GroupDescription { instances, converged })
    }

    async fn destroy_group(&self, id: &GroupId) -> Result<()> {
        let lock = self.0.lock_of(id);
        let changing = lock.lock().await;
        let handle = self.0.handle(id)?;
        self.0.authority.hear();
        handle.with(|state, _| state.dissolve()).await.ok_or_else(|| not_watched(id))?;
        handle.wake();
        drop(changing);
        // In a task of its own: a caller that goes away must not leave an empty group behind.
        let (groups, id) = (Arc::clone(&self.0), id.clone());
        let ending = tokio::spawn(async move {
            groups.settled(&id, GroupState::is_dissolved).await?;
            groups.engine.remove(&id).await;
            Ok(())
        });
        ending.await.unwrap_or_else(|fault| Err(PluginError::refused(fault.to_string())))
    }

    async fn inspect_groups(&self) -> Result<Vec<GroupSpec>> {
        let mut specs = Vec::new();
        for (_, handle) in self.0.engine.all() {
            // A group that is freed in between is simply not there any more.
            specs.extend(handle.read(|state| state.config.spec()).await);
        }
        Ok(specs)
    }

    async fn destroy_instances(&self, id: &GroupId, instances: &[InstanceId]) -> Result<()> {
        let lock = self.0.lock_of(id);
        let changing = lock.lock().await;
        let config = self.0.config(id).await?;
        let members = self.0.members(&config, false).await?;
        plan_text::check_members(&config, &members, instances)?;
        let handle = self.0.handle(id)?;
        self.0.authority.hear();
        let named: BTreeSet<_> = instances.iter().cloned().collect();
        let condemned = handle.with(move |state, now| state.condemn(&named, now)).await;
        let condemned = condemned.ok_or_else(|| not_watched(id))?;
        condemned.map_err(|fault| {
            let number = instances.len();
            PluginError::refused(format!(
                "shrink group '{id}' by {number}: {fault}; nothing was destroyed"
            ))
        })?;
        handle.wake();
        drop(changing);
        let named = instances.to_vec();
        let is_over = move |state: &GroupState| {
            named.iter().all(|id| {
                !state.condemned.contains(id)
                    && state.doomed.get(id).is_none_or(|doom| !doom.may_exist())
            })
        };
        self.0.settled(id, is_over).await
    }

    async fn size(&self, id: &GroupId) -> Result<u32> {
        let config = self.0.config(id).await;
        let config = config.map_err(|_| PluginError::refused(format!("group {id} not found")))?;
        Ok(config.membership.size())
    }

    async fn set_size(&self, id: &GroupId, size: u32) -> Result<()> {
        let lock = self.0.lock_of(id);
        let _changing = lock.lock().await;
        let config = self.0.config(id).await;
        let config = config.map_err(|_| PluginError::refused(format!("group not found {id}")))?;
        if matches!(config.membership, Membership::Identities(_)) {
            return Err(PluginError::refused("cannot set size if logic ids are explicitly set"));
        }
        let resized =
            config.resized(size).map_err(|fault| PluginError::refused(fault.to_string()))?;
        self.0.validate(&resized).await?;
        self.0.commit_locked(resized, false).await.map(|_| ())
    }
}

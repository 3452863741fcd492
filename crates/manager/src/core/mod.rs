//! What all objects of a manager share: authority, the stored specs, and the ways to change them.

mod calls;
mod change;
mod effects;
mod ending;
mod locks;
mod many;
mod owning;
mod rollbacks;
mod settle;
mod shelf;
mod term;
mod vars;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use regrow_ids::{Fence, PluginName};
use regrow_plugin::spi::Spec;
use regrow_plugin::{Lookup, PluginError};
use tokio::sync::watch;

pub(crate) use calls::{CALL_TIMEOUT, within};
pub(crate) use effects::{Ask, Committed};
pub(crate) use term::drive;

use crate::ManagerError;
use crate::catalog::{GROUP_KIND, Key, Record};
use crate::leader::{LeaderSource, Leadership};
use crate::store::SpecStore;
use locks::NameLocks;
use settle::Settling;
use shelf::Shelf;
use vars::VarsState;

/// Calls of one kind that are in flight at once towards one plugin.
pub(crate) const PARALLEL_CALLS: usize = 16;

/// How long the source of leadership may take to say who leads, for the sake of a better error.
const WHO_LEADS: Duration = Duration::from_secs(2);

/// What a manager is made of.
pub(crate) struct Parts {
    pub(crate) name: String,
    pub(crate) group: PluginName,
    pub(crate) metadata: PluginName,
    pub(crate) controllers: Vec<PluginName>,
    pub(crate) first_retry: Duration,
    pub(crate) source: Arc<dyn LeaderSource>,
    pub(crate) store: Arc<dyn SpecStore>,
    pub(crate) lookup: Arc<dyn Lookup>,
}

pub(crate) struct Core {
    /// Name of the manager's socket.
    pub(crate) name: String,
    /// The plugin that runs groups.
    pub(crate) group: PluginName,
    /// The plugin that keeps metadata.
    pub(crate) metadata: PluginName,
    /// The controllers that the manager stands before.
    pub(crate) controllers: Vec<PluginName>,
    pub(crate) lookup: Arc<dyn Lookup>,
    pub(crate) source: Arc<dyn LeaderSource>,
    pub(crate) shelf: Shelf,
    pub(crate) settling: Settling,
    leadership: watch::Receiver<Leadership>,
    locks: NameLocks,
    vars: VarsState,
    first_retry: Duration,
}

impl Core {
    pub(crate) fn new(parts: Parts) -> Arc<Self> {
        let Parts { name, group, metadata, controllers, first_retry, source, store, lookup } =
            parts;
        Arc::new(Self {
            name,
            group,
            metadata,
            controllers,
            lookup,
            leadership: source.watch(),
            source,
            shelf: Shelf::new(store),
            settling: Settling::default(),
            locks: NameLocks::default(),
            vars: VarsState::default(),
            first_retry,
        })
    }

    /// The leadership at this moment.
    pub(crate) fn leadership(&self) -> Leadership {
        self.source.now()
    }

    /// The fence of this leader.
    pub(crate) fn lead(&self) -> Result<Fence, ManagerError> {
        match self.leadership() {
            Leadership::Leading { fence } => Ok(fence),
            Leadership::Following => Err(ManagerError::NotLeader),
            Leadership::Unknown(_) => Err(ManagerError::LeaderUnknown),
        }
    }

    /// The fence of this leader; on another replica the error says who leads, if that is known. Asked
    /// once, where a call comes in.
    pub(crate) async fn lead_or_say(&self) -> Result<Fence, ManagerError> {
        let known = self.lead();
        if !matches!(known, Err(ManagerError::NotLeader)) {
            return known;
        }
        match tokio::time::timeout(WHO_LEADS, self.source.leader()).await {
            Ok(Ok(Some(leader))) => Err(ManagerError::LedElsewhere(Box::new(leader))),
            _ => known,
        }
    }

    /// Goes on only under the fence with which a change began. Asked before every outside effect,
    /// with no wait between the answer and the effect.
    pub(crate) fn still(&self, fence: Fence) -> Result<(), ManagerError> {
        if self.lead()? == fence { Ok(()) } else { Err(ManagerError::NotLeader) }
    }

    /// True on the leader.
    pub(crate) fn leads(&self) -> bool {
        self.lead().is_ok()
    }

    /// Key and handler of a spec: groups go to the group plugin, all others to the plugin that their
    /// kind and name address.
    pub(crate) fn route(&self, spec: &Spec) -> Result<(Key, Record), ManagerError> {
        let bad = |reason: &str| ManagerError::BadSpec {
            kind: spec.kind.clone(),
            name: spec.metadata.name.clone(),
            reason: reason.to_owned(),
        };
        if spec.kind.is_empty() {
            return Err(bad("it has no kind; add one, such as \"group\""));
        }
        if spec.kind == GROUP_KIND {
            let (_, id) = spec.address();
            return self.group_record(&id, spec);
        }
        if spec.metadata.name.is_empty() {
            return Err(bad("it has no name; set metadata.name"));
        }
        let mut local = spec.clone();
        local.metadata.name = self.local_name(&spec.metadata.name).to_owned();
        let (handler, _) = local.address();
        Ok(self.controller_record(&handler, spec))
    }

    /// Key and record of a group with this id.
    pub(crate) fn group_record(
        &self,
        id: &str,
        spec: &Spec,
    ) -> Result<(Key, Record), ManagerError> {
        if id.is_empty() {
            return Err(ManagerError::NoGroupName);
        }
        let mut spec = spec.clone();
        spec.kind = GROUP_KIND.to_owned();
        spec.metadata.name = id.to_owned();
        Ok((Key::group(id), Record { handler: self.group.clone(), spec, ..Record::default() }))
    }

    /// Key and record of a spec for a controller.
    pub(crate) fn controller_record(&self, handler: &PluginName, spec: &Spec) -> (Key, Record) {
        let name = self.local_name(&spec.metadata.name).to_owned();
        let key = Key { kind: spec.kind.clone(), name };
        (key, Record { handler: handler.clone(), spec: spec.clone(), ..Record::default() })
    }

    /// A name without the name of this manager.
    pub(crate) fn local_name<'a>(&self, name: &'a str) -> &'a str {
        match name.split_once('/') {
            Some((plugin, rest)) if plugin == self.name => rest,
            _ => name,
        }
    }

    /// Runs a change to its end although its caller may go away in the middle: a stored spec that
    /// was not committed would wait for the next leader.
    pub(crate) async fn whole<T, F>(
        self: &Arc<Self>,
        change: impl FnOnce(Arc<Self>) -> F,
    ) -> Result<T, ManagerError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, ManagerError>> + Send + 'static,
    {
        let task = tokio::spawn(change(Arc::clone(self)));
        task.await.unwrap_or_else(|fault| {
            let text = format!("the manager failed in the middle of a change: {fault}; report it");
            Err(PluginError::refused(text).into())
        })
    }
}

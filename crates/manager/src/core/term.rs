//! What a replica does on its own: take over when it begins to lead, let go when it no longer does.
//!
//! One task follows the leadership, in order, and does nothing else: what is to be done then runs
//! beside it, under a token that ends with the next change. Locks of names keep the order between an
//! old term and a new one.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use regrow_ids::{Fence, PluginName};
use regrow_plugin::PluginError;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::calls::{CALL_TIMEOUT, within};
use super::{Core, PARALLEL_CALLS};
use crate::ManagerError;
use crate::catalog::{Catalog, Key};
use crate::leader::Leadership;

/// How often the leader looks whether the plugins still have what is stored: one that was restarted
/// has forgotten everything. A follower looks as often whether its group plugins watch nothing.
const REVISIT: Duration = Duration::from_secs(30);
/// How long the specs wait for the stored metadata, which their templates may use, before they are
/// committed without.
const METADATA_HEAD_START: Duration = Duration::from_secs(10);

/// Follows the leadership until told to stop.
pub(crate) async fn drive(core: Arc<Core>, stop: CancellationToken) {
    let mut changes = core.leadership.clone();
    let tasks = TaskTracker::new();
    loop {
        changes.mark_unchanged();
        let now = core.leadership();
        let phase = stop.child_token();
        tracing::info!(manager = core.name, leadership = ?now, "leadership");
        match now {
            Leadership::Leading { fence } => {
                tasks.spawn(take_over(Arc::clone(&core), fence, phase.clone()));
            }
            Leadership::Following | Leadership::Unknown(_) => {
                // Before anything else runs: the next term must not lose what it has learnt.
                let known = core.shelf.forget();
                core.settling.clear();
                tasks.spawn(let_go(Arc::clone(&core), known, phase.clone()));
            }
        }
        let alive = changes.has_changed().is_ok();
        let next = async {
            if changes.changed().await.is_err() && !alive {
                std::future::pending::<()>().await; // the source is dead: only the stop is left
            }
        };
        let changed = stop.run_until_cancelled(next).await;
        phase.cancel();
        if changed.is_none() {
            break;
        }
    }
    tasks.close();
    tasks.wait().await;
}

/// Leads: loads what is stored and brings it to the handlers, for as long as the term lasts.
async fn take_over(core: Arc<Core>, fence: Fence, over: CancellationToken) {
    let metadata = tokio::spawn(load_metadata(Arc::clone(&core), fence, over.clone()));
    let head_start = tokio::time::timeout(METADATA_HEAD_START, metadata);
    if over.run_until_cancelled(head_start).await.is_none() {
        return;
    }
    if !load_specs(&core, fence, &over).await {
        return;
    }
    core.keep_first_rollbacks(fence).await;
    let follow = Arc::clone(&core).follow_rollbacks(fence, over.clone());
    tokio::join!(hand_over_all(&core, fence, &over), follow);
}

/// Brings pending specs to their handlers until the term is over.
async fn hand_over_all(core: &Arc<Core>, fence: Fence, over: &CancellationToken) {
    let start = Instant::now();
    let mut running = BTreeSet::new();
    // Asked for while an attempt was under way, which may have read an older spec.
    let mut again = BTreeSet::new();
    let mut tasks = JoinSet::new();
    let mut revisit = tokio::time::interval_at(start + REVISIT, REVISIT);
    revisit.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut looking: Option<tokio::task::JoinHandle<()>> = None;
    loop {
        for key in core.settling.take_pending() {
            if running.insert(key.clone()) {
                tasks.spawn(Arc::clone(core).settle(fence, over.clone(), key));
            } else {
                again.insert(key);
            }
        }
        tokio::select! {
            () = over.cancelled() => break,
            () = core.settling.nudged() => {}
            Some(done) = tasks.join_next() => {
                if let Ok(key) = done {
                    running.remove(&key);
                    core.settling.nudge(again.take(&key));
                }
                if tasks.is_empty() {
                    tracing::debug!(took = ?start.elapsed(), "all stored specs are handed over");
                }
            }
            _ = revisit.tick() => {
                if looking.as_ref().is_none_or(tokio::task::JoinHandle::is_finished) {
                    looking = Some(tokio::spawn(look_again(Arc::clone(core), fence)));
                }
            }
        }
    }
    // Calls in flight are not cut off: their names stay locked until they are over, so that letting
    // go comes after them.
    while tasks.join_next().await.is_some() {}
}

async fn load_metadata(core: Arc<Core>, fence: Fence, over: CancellationToken) {
    let mut failures = 0;
    let mut last = String::new();
    loop {
        let fault = match core.load_vars(fence).await {
            Ok(()) | Err(ManagerError::NotLeader | ManagerError::LeaderUnknown) => return,
            Err(fault) => fault.to_string(),
        };
        if fault != last {
            tracing::warn!(metadata = %core.metadata, %fault, "cannot load metadata, trying on");
        }
        last = fault;
        failures += 1;
        if !core.pause(failures, &over).await {
            return;
        }
    }
}

/// Reads the stored specs; false when the term ended before that worked.
async fn load_specs(core: &Arc<Core>, fence: Fence, over: &CancellationToken) -> bool {
    let mut failures = 0;
    let mut last = String::new();
    loop {
        if core.still(fence).is_err() {
            return false;
        }
        let fault = match core.shelf.learn(|| core.still(fence)).await {
            Ok(catalog) => {
                tracing::info!(manager = core.name, specs = catalog.keys().count(), "taking over");
                for key in catalog.keys().filter(|key| catalog.is_ending(key)) {
                    tracing::warn!(
                        %key,
                        "its end was begun and not seen, so nobody looks after it: destroy or free it \
                         again, or commit it again to keep it"
                    );
                }
                core.settling.nudge(catalog.keys().cloned());
                return true;
            }
            Err(fault) => fault.to_string(),
        };
        if fault != last {
            tracing::error!(manager = core.name, %fault, "cannot load the stored specs, trying on");
        }
        last = fault;
        failures += 1;
        if !core.pause(failures, over).await {
            return false;
        }
    }
}

/// Looks whether plugins were restarted and have forgotten what they were told.
async fn look_again(core: Arc<Core>, fence: Fence) {
    let vars = async {
        if let Err(fault) = core.revisit_vars(fence).await {
            tracing::debug!(metadata = %core.metadata, %fault, "cannot look at the metadata");
        }
    };
    tokio::join!(find_forgotten(&core, fence), vars, core.leave_empty_worlds(fence));
}

/// Hands over again what a group plugin no longer watches, and stores what it rolled back.
async fn find_forgotten(core: &Arc<Core>, fence: Fence) {
    let Ok(catalog) = core.shelf.certain(|| core.still(fence)).await else { return };
    // Those that fail are being tried anyway.
    let failing = core.settling.failing();
    let groups = || catalog.iter().filter(|(key, _)| key.is_group());
    let handlers: BTreeSet<_> = groups().map(|(_, record)| record.handler.clone()).collect();
    for handler in handlers {
        if core.still(fence).is_err() {
            return;
        }
        let Ok(in_force) = core.in_force(&handler).await else { continue };
        core.keep_rollbacks(fence, &handler, &in_force).await;
        let watched: BTreeSet<_> = in_force.iter().map(|spec| spec.id.as_str()).collect();
        let forgotten: Vec<_> = groups()
            .filter(|(key, record)| {
                record.handler == handler
                    && !watched.contains(key.name.as_str())
                    && !failing.contains_key(*key)
                    && !catalog.is_ending(key)
            })
            .map(|(key, _)| key.clone())
            .collect();
        core.settling.nudge(forgotten);
    }
}

/// Follows: sees to it that no group plugin of this replica watches anything.
async fn let_go(core: Arc<Core>, known: Arc<Catalog>, over: CancellationToken) {
    let mut handlers: BTreeSet<_> = known
        .iter()
        .filter(|(key, _)| key.is_group())
        .map(|(_, record)| record.handler.clone())
        .collect();
    handlers.insert(core.group.clone());
    let each = handlers.iter().map(|handler| free_all_of(&core, handler, &over));
    futures::future::join_all(each).await;
}

async fn free_all_of(core: &Arc<Core>, handler: &PluginName, over: &CancellationToken) {
    // Again and again: a commit whose time ran out may still land after we have freed everything,
    // and a plugin that was not there may come with groups that it has kept.
    let mut failures = 0;
    let mut last = String::new();
    while !over.is_cancelled() {
        match free_watched(core, handler, over).await {
            Ok(()) | Err(PluginError::NotFound(_)) => {
                failures = 0;
                last.clear();
                over.run_until_cancelled(tokio::time::sleep(REVISIT)).await;
            }
            Err(fault) => {
                let fault = fault.to_string();
                if fault != last {
                    tracing::warn!(%handler, %fault, "cannot free the groups, trying on");
                }
                last = fault;
                failures += 1;
                core.pause(failures, over).await;
            }
        }
    }
}

async fn free_watched(
    core: &Arc<Core>,
    handler: &PluginName,
    over: &CancellationToken,
) -> Result<(), PluginError> {
    let watched = core.in_force(handler).await?;
    let frees = futures::stream::iter(watched).map(|spec| async move {
        let id = spec.id;
        let held = over.run_until_cancelled(core.locks.hold(&Key::group(id.as_str()))).await;
        let group = core.find_group(handler).await?;
        // Leader again: the new term wants the group watched.
        if held.is_none() || core.leads() {
            return Ok(());
        }
        within(handler, "Group.FreeGroup", CALL_TIMEOUT, group.free_group(&id)).await
    });
    let results: Vec<_> = frees.buffer_unordered(PARALLEL_CALLS).collect().await;
    results.into_iter().collect()
}

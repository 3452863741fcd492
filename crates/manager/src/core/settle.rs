//! Getting stored specs to their handlers: each on its own, some at a time, again and again until it
//! works, and quietly.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use regrow_ids::{Fence, GroupId, PluginName};
use regrow_plugin::PluginError;
use regrow_reconcile::Backoff;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;

use super::calls::CALL_TIMEOUT;
use super::{Ask, Core, PARALLEL_CALLS};
use crate::ManagerError;
use crate::catalog::Key;

/// The longest pause between two attempts.
const MOST_BACKOFF: Duration = Duration::from_secs(300);

/// What is not there (a plugin that is about to start) is asked for as often as after so many failures.
const SOON_FAILURES: u32 = 3;

/// A stored spec that its handler did not accept.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Failure {
    /// What the last attempt said.
    pub(crate) error: String,
    /// How many attempts there were.
    pub(crate) attempts: u32,
}

/// What is still to be handed over, and what failed.
#[derive(Default)]
pub(crate) struct Settling {
    pending: Mutex<BTreeSet<Key>>,
    wake: Notify,
    failing: Mutex<BTreeMap<Key, Failure>>,
    /// One set of permits for each handler: a handler that hangs holds up its own specs only.
    permits: Mutex<BTreeMap<PluginName, Arc<Semaphore>>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Settling {
    /// Asks for specs to be handed over soon. A set, not a queue: nobody ever waits for room.
    pub(super) fn nudge(&self, keys: impl IntoIterator<Item = Key>) {
        locked(&self.pending).extend(keys);
        self.wake.notify_one();
    }

    pub(super) fn take_pending(&self) -> BTreeSet<Key> {
        std::mem::take(&mut locked(&self.pending))
    }

    pub(super) async fn nudged(&self) {
        self.wake.notified().await;
    }

    /// A spec is where it should be, or is no more.
    pub(super) fn settled(&self, key: &Key) {
        if let Some(failure) = locked(&self.failing).remove(key) {
            tracing::info!(%key, attempts = failure.attempts, "stored spec accepted or removed");
        }
    }

    fn is_failing(&self, key: &Key) -> bool {
        locked(&self.failing).contains_key(key)
    }

    /// Notes a failure; says so in the log when it is new or another one than before.
    fn failed(&self, key: &Key, attempts: u32, fault: &ManagerError) {
        let error = fault.to_string();
        let mut failing = locked(&self.failing);
        if failing.get(key).is_none_or(|before| before.error != error) {
            tracing::warn!(%key, %error, attempts, "stored spec not accepted, trying on");
        }
        failing.insert(key.clone(), Failure { error, attempts });
    }

    /// All that fail now.
    pub(crate) fn failing(&self) -> BTreeMap<Key, Failure> {
        locked(&self.failing).clone()
    }

    pub(super) fn clear(&self) {
        locked(&self.failing).clear();
        locked(&self.pending).clear();
    }

    fn permits_of(&self, handler: &PluginName) -> Arc<Semaphore> {
        let mut permits = locked(&self.permits);
        let new = || Arc::new(Semaphore::new(PARALLEL_CALLS));
        Arc::clone(permits.entry(handler.clone()).or_insert_with(new))
    }
}

/// The pauses between attempts, the first one given.
fn pauses(first: Duration) -> Backoff {
    Backoff { first, most: MOST_BACKOFF.max(first) }
}

/// How an attempt ended.
enum Attempt {
    /// Accepted, or not stored any more, or ending and left alone.
    Done,
    /// This replica leads no more.
    Over,
    Failed(ManagerError),
}

impl Core {
    /// Hands one spec over, until it is accepted, gone, or the term is over.
    pub(super) async fn settle(
        self: Arc<Self>,
        fence: Fence,
        over: CancellationToken,
        key: Key,
    ) -> Key {
        let mut failures = 0;
        loop {
            let fault = match self.attempt(fence, &over, &key).await {
                Attempt::Done => {
                    self.settling.settled(&key);
                    return key;
                }
                Attempt::Over => return key,
                Attempt::Failed(fault) => fault,
            };
            failures += 1;
            self.settling.failed(&key, failures, &fault);
            let waits = if is_not_there(&fault) { failures.min(SOON_FAILURES) } else { failures };
            if !self.pause(waits, &over).await || !self.settling.is_failing(&key) {
                return key;
            }
        }
    }

    /// Waits after so many failures; false when the term ended meanwhile.
    pub(super) async fn pause(&self, failures: u32, over: &CancellationToken) -> bool {
        let pause = pauses(self.first_retry).delay(failures, rand::random());
        over.run_until_cancelled(tokio::time::sleep(pause)).await.is_some()
    }

    /// Has a group whose end was begun and not seen watched by nobody, as its user is told. It still is
    /// where its plugin was not asked and letting go was broken off, because this replica leads again.
    async fn leave_alone(
        &self,
        fence: Fence,
        key: &Key,
        handler: &PluginName,
    ) -> Result<(), ManagerError> {
        if !key.is_group() {
            return Ok(());
        }
        let in_force = match self.in_force(handler).await {
            // It watches nothing.
            Err(PluginError::NotFound(_)) => return Ok(()),
            in_force => in_force?,
        };
        if !in_force.iter().any(|spec| spec.id.as_str() == key.name) {
            return Ok(());
        }
        let group = self.find_group(handler).await?;
        let id = GroupId::from(key.name.as_str());
        let call = group.free_group(&id);
        self.lead_in(fence, handler, "Group.FreeGroup", CALL_TIMEOUT, call).await
    }

    async fn attempt(&self, fence: Fence, over: &CancellationToken, key: &Key) -> Attempt {
        let known = match self.shelf.certain(|| self.still(fence)).await {
            Ok(known) => known,
            Err(fault) => return Attempt::Failed(fault.into()),
        };
        let Some(handler) = known.get(key).map(|record| record.handler.clone()) else {
            return Attempt::Done;
        };
        let permits = self.settling.permits_of(&handler);
        // The lock first: whoever waits for a name that a user holds, for the minutes of a
        // destruction perhaps, must not keep a permit from other names.
        let waited = over
            .run_until_cancelled(async { (self.locks.hold(key).await, permits.acquire().await) });
        let Some(_lock_and_permit) = waited.await else { return Attempt::Over };
        // Read again: a user may have changed or removed it while we waited.
        let known = match self.shelf.certain(|| self.still(fence)).await {
            Ok(known) => known,
            Err(fault) => return Attempt::Failed(fault.into()),
        };
        let Some(record) = known.get(key) else { return Attempt::Done };
        let asked = async {
            if known.is_ending(key) {
                return self.leave_alone(fence, key, &record.handler).await;
            }
            self.own(fence, key, record).await?;
            self.ask(fence, key, record, Ask::Enforce).await.map(drop)
        };
        match asked.await {
            Ok(()) => Attempt::Done,
            Err(ManagerError::NotLeader | ManagerError::LeaderUnknown) => Attempt::Over,
            Err(fault) => Attempt::Failed(fault),
        }
    }
}

fn is_not_there(fault: &ManagerError) -> bool {
    let ManagerError::Plugin(fault) = fault else { return false };
    matches!(fault, PluginError::NotFound(_) | PluginError::Unreachable { .. })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::pauses;

    #[test]
    fn pauses_grow_from_two_seconds_to_five_minutes() {
        let pauses = |first: u64| {
            let pauses = pauses(Duration::from_secs(first));
            (1..11).map(|n| pauses.delay(n, 1.0).as_secs()).collect::<Vec<_>>()
        };
        assert_eq!(pauses(2), [2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert_eq!(pauses(400), [400; 10], "what was asked for is not cut");
    }
}

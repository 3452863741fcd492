//! The shell around a controller: tasks, timers, channels.

mod actor;
mod handle;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use regrow_ids::Fence;
use tokio::sync::broadcast;
use tokio::time::Instant;

pub use handle::{Handle, Status};

use crate::intents::IntentLog;
use crate::{Controller, Moment, Note};
use actor::Actor;

/// Notes kept for readers that fall behind.
const NOTES_BUFFERED: usize = 1_024;

/// Says whether this process may act, and under which fence.
pub trait Authority: Send + Sync {
    /// The fence of the current leadership; `None` while this process does not lead. Asked right
    /// before each effect, so it must not rely on a task that may not have run yet.
    fn fence(&self) -> Option<Fence>;

    /// Which other fences these can be compared with: a random number, drawn when their source was
    /// made. `None` when with none, so that no receiver is to be told of them.
    fn lineage(&self) -> Option<u64> {
        None
    }
}

/// A fixed fence: whoever runs alone always leads.
impl Authority for Fence {
    fn fence(&self) -> Option<Fence> {
        Some(*self)
    }
}

/// How a loop behaves.
#[derive(Clone, Copy, Debug)]
pub struct LoopOptions {
    /// Time between looks when nothing else asks for one.
    pub revisit: Duration,
    /// Steps of one object that run at the same time.
    pub max_parallel: usize,
    /// A look that takes longer is given up.
    pub look_timeout: Duration,
    /// Least time between two plans of one object.
    pub plan_spacing: Duration,
    /// Least time between two looks at one object.
    pub look_spacing: Duration,
    /// A step that takes longer is given up; nobody knows what it did.
    pub step_timeout: Duration,
}

impl Default for LoopOptions {
    fn default() -> Self {
        Self {
            revisit: Duration::from_secs(10),
            max_parallel: 64,
            look_timeout: Duration::from_secs(60),
            plan_spacing: Duration::from_millis(2),
            look_spacing: Duration::from_millis(5),
            step_timeout: Duration::from_mins(15),
        }
    }
}

/// Drives a controller over any number of objects. Each object has a task of its own, which is the
/// only writer of its state.
pub struct Loop<C: Controller> {
    shared: Arc<Shared<C>>,
    handles: Mutex<BTreeMap<C::Key, Handle<C>>>,
}

/// What the tasks of one loop have in common.
pub(crate) struct Shared<C: Controller> {
    pub(crate) controller: Arc<C>,
    pub(crate) log: Arc<dyn IntentLog>,
    pub(crate) authority: Arc<dyn Authority>,
    pub(crate) options: LoopOptions,
    pub(crate) notes: broadcast::Sender<Arc<Note>>,
    began: Instant,
}

impl<C: Controller> Shared<C> {
    pub(crate) fn now(&self) -> Moment {
        Moment::after(self.began.elapsed())
    }

    pub(crate) fn instant(&self, at: Moment) -> Instant {
        self.began + at.since(Moment::START)
    }
}

impl<C: Controller> Loop<C> {
    /// A loop without objects.
    pub fn new(
        controller: Arc<C>,
        log: Arc<dyn IntentLog>,
        authority: Arc<dyn Authority>,
        options: LoopOptions,
    ) -> Self {
        let shared = Shared {
            controller,
            log,
            authority,
            options,
            notes: broadcast::channel(NOTES_BUFFERED).0,
            began: Instant::now(),
        };
        Self { shared: Arc::new(shared), handles: Mutex::default() }
    }

    /// The loop's time.
    pub fn now(&self) -> Moment {
        self.shared.now()
    }

    /// Starts to control an object. Intents that an earlier run left open are handed to the
    /// controller first. An object of the same key must have been removed before.
    pub fn add(&self, key: C::Key, state: C::State) -> Handle<C> {
        let handle = Actor::spawn(Arc::clone(&self.shared), key.clone(), state);
        self.handles().insert(key, handle.clone());
        handle
    }

    /// The handle of an object.
    pub fn get(&self, key: &C::Key) -> Option<Handle<C>> {
        self.handles().get(key).cloned()
    }

    /// All objects under control.
    pub fn all(&self) -> Vec<(C::Key, Handle<C>)> {
        self.handles().iter().map(|(key, handle)| (key.clone(), handle.clone())).collect()
    }

    /// Stops controlling an object and leaves the world as it is. No step starts after this was
    /// called: those that were granted and wait are handed to [`Controller::not_started`]. Steps
    /// that run already end on their own. Returns the state once the task has ended.
    pub async fn remove(&self, key: &C::Key) -> Option<C::State> {
        let handle = self.handles().remove(key)?;
        handle.stop().await
    }

    /// Notes of all objects, from now on. A reader that falls behind misses the oldest.
    pub fn notes(&self) -> broadcast::Receiver<Arc<Note>> {
        self.shared.notes.subscribe()
    }

    fn handles(&self) -> MutexGuard<'_, BTreeMap<C::Key, Handle<C>>> {
        self.handles.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<C: Controller> Drop for Loop<C> {
    fn drop(&mut self) {
        for handle in self.handles().values() {
            handle.cancel();
        }
    }
}

#[cfg(test)]
mod tests;

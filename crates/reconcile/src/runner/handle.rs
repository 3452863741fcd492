use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{Controller, Moment};

/// What an object's task did and is doing, for people and for waiting.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// The spec is met and nothing is under way.
    pub converged: bool,
    /// Why something is not done, one line for each reason.
    pub blocked: Vec<String>,
    /// Steps that run or wait for their turn.
    pub steps_open: usize,
    /// Looks at the world that ended, since the start.
    pub looks: u64,
    /// Plans made since the start.
    pub plans: u64,
}

type Change<C> = Box<dyn FnOnce(&mut <C as Controller>::State, Moment) + Send>;
type Read<C> = Box<dyn FnOnce(&<C as Controller>::State) + Send>;

/// What a handle asks of the task that owns the state.
pub(super) enum Command<C: Controller> {
    /// May change the state; planned after.
    Change(Change<C>),
    /// Leaves the state alone; causes nothing.
    Read(Read<C>),
}

/// Reaches the task of one object. Cheap to clone.
pub struct Handle<C: Controller> {
    pub(super) inner: Arc<HandleInner<C>>,
}

pub(super) struct HandleInner<C: Controller> {
    pub(super) commands: mpsc::Sender<Command<C>>,
    pub(super) look: Notify,
    pub(super) cancel: CancellationToken,
    pub(super) status: watch::Sender<Status>,
    pub(super) task: Mutex<Option<JoinHandle<C::State>>>,
}

impl<C: Controller> Clone for Handle<C> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<C: Controller> Handle<C> {
    /// Asks for a look at the world soon. Many calls before it are one.
    pub fn wake(&self) {
        self.inner.look.notify_one();
    }

    /// Runs a function on the object's state, in the task that owns it, and plans again after it.
    /// `None` when the object is no longer under control.
    pub async fn with<R: Send + 'static>(
        &self,
        change: impl FnOnce(&mut C::State, Moment) -> R + Send + 'static,
    ) -> Option<R> {
        let (reply, answer) = oneshot::channel();
        let command = Command::Change(Box::new(move |state: &mut C::State, now| {
            // The asker may have gone away; the change is made all the same.
            let _ = reply.send(change(state, now));
        }));
        self.inner.commands.send(command).await.ok()?;
        answer.await.ok()
    }

    /// Runs a function on the object's state, in the task that owns it, and leaves everything as
    /// it is: no plan follows, so that who only watches does not keep the object busy. `None` when
    /// the object is no longer under control.
    pub async fn read<R: Send + 'static>(
        &self,
        look: impl FnOnce(&C::State) -> R + Send + 'static,
    ) -> Option<R> {
        let (reply, answer) = oneshot::channel();
        let command = Command::Read(Box::new(move |state: &C::State| {
            // The asker may have gone away.
            let _ = reply.send(look(state));
        }));
        self.inner.commands.send(command).await.ok()?;
        answer.await.ok()
    }

    /// The status now.
    pub fn status(&self) -> Status {
        self.inner.status.borrow().clone()
    }

    /// Follows the status. The channel closes when the object is no longer under control.
    pub fn watch_status(&self) -> watch::Receiver<Status> {
        self.inner.status.subscribe()
    }

    /// Resolves when the object is no longer under control.
    pub async fn stopped(&self) {
        self.inner.cancel.cancelled().await;
    }

    pub(super) fn cancel(&self) {
        self.inner.cancel.cancel();
    }

    pub(super) async fn stop(&self) -> Option<C::State> {
        self.cancel();
        let task = self.inner.task.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        task.await.ok()
    }
}

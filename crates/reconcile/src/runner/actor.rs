mod looks;
mod plans;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use regrow_ids::Fence;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::{self, AbortHandle, JoinError, JoinSet};
use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;

use super::Shared;
use super::handle::{Command, Handle, HandleInner, Status};
use crate::budget::BudgetLedger;
use crate::{Controller, Level, Moment, Note, Step};
use looks::Looks;

/// Commands that wait for their turn; more make their senders wait.
const COMMANDS_BUFFERED: usize = 64;

/// The task of one object: the only writer of its state.
pub(super) struct Actor<C: Controller> {
    shared: Arc<Shared<C>>,
    key: C::Key,
    state: C::State,
    handle: Handle<C>,
    commands: mpsc::Receiver<Command<C>>,
    /// Steps whose intents are recorded and that wait for a free place.
    queue: VecDeque<C::Step>,
    /// The fence under which the queue was granted.
    granted: Fence,
    /// The last plan wished for more steps than there was room for.
    crowded: bool,
    /// Steps that run; `None` from one that was not called, because leadership ended first.
    running: JoinSet<Option<C::Outcome>>,
    steps: HashMap<task::Id, Running<C::Step>>,
    /// When the patience with each running step ends, the earliest first; those that ended already
    /// are passed over.
    patience: VecDeque<(Moment, task::Id)>,
    looks: Looks<C>,
    /// The leadership under which open intents were last taken up.
    taken_up: Option<Fence>,
    plan_at: Option<Moment>,
    planned_at: Moment,
    budget: BudgetLedger,
    status: Status,
    /// The state changed since the last plan.
    news: bool,
    /// Watchers of the status must hear of the last plan even if it looks like the one before.
    tell: bool,
}

struct Running<S> {
    step: S,
    task: AbortHandle,
    /// Set by whoever comes first: the task, which makes the call then, or the end of the object,
    /// after which it is not made.
    taken: Arc<AtomicBool>,
}

enum Happening<C: Controller> {
    Command(Command<C>),
    StepEnded(Result<(task::Id, Option<C::Outcome>), JoinError>),
    Looked(Result<C::Answer, String>),
    Woken,
    Timer,
    Stop,
}

impl<C: Controller> Actor<C> {
    pub(super) fn spawn(shared: Arc<Shared<C>>, key: C::Key, state: C::State) -> Handle<C> {
        let (sender, commands) = mpsc::channel(COMMANDS_BUFFERED);
        let handle = Handle {
            inner: Arc::new(HandleInner {
                commands: sender,
                look: Notify::new(),
                cancel: CancellationToken::new(),
                status: watch::channel(Status::default()).0,
                task: std::sync::Mutex::default(),
            }),
        };
        let now = shared.now();
        let actor = Self {
            shared,
            key,
            state,
            handle: handle.clone(),
            commands,
            queue: VecDeque::new(),
            granted: Fence::default(),
            crowded: false,
            running: JoinSet::new(),
            steps: HashMap::new(),
            patience: VecDeque::new(),
            looks: Looks::new(now),
            taken_up: None,
            plan_at: None,
            planned_at: Moment::START,
            budget: BudgetLedger::default(),
            status: Status::default(),
            news: false,
            tell: false,
        };
        let task = tokio::spawn(actor.run());
        *handle.inner.task.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(task);
        handle
    }

    async fn run(mut self) -> C::State {
        // Before the first look: what is seen then settles what may have happened. Tried again
        // before the first plan if it does not work.
        if let Err(fault) = self.take_up(self.shared.authority.fence()).await {
            self.note(Level::Warning, fault.to_string());
        }
        loop {
            match self.next_happening().await {
                Happening::Stop => break,
                Happening::Command(Command::Change(change)) => {
                    // Before the asker has its answer: whoever reads the status after a change must
                    // not find what was true before it.
                    self.status.converged = false;
                    self.publish();
                    change(&mut self.state, self.shared.now());
                    self.plan_soon();
                    self.news = true;
                }
                Happening::Command(Command::Read(look)) => look(&self.state),
                Happening::StepEnded(ended) => {
                    self.settle(ended);
                    // Whatever else has ended by now is settled in one go: planning is costly for
                    // big groups.
                    while let Some(ended) = self.running.try_join_next_with_id() {
                        self.settle(ended);
                    }
                    self.plan_when_roomy();
                }
                Happening::Looked(answer) => self.absorb(answer),
                Happening::Woken => self.looks.wake(self.shared.now()),
                Happening::Timer => {}
            }
            self.give_up_steps();
            self.look_when_due();
            self.plan_when_due().await;
            self.fill_places();
            self.publish();
        }
        self.end().await
    }

    /// Leaves the world as it is.
    async fn end(mut self) -> C::State {
        self.looks.abort();
        while let Some(ended) = self.running.try_join_next_with_id() {
            self.settle(ended);
        }
        let now = self.shared.now();
        for Running { step, taken, .. } in std::mem::take(&mut self.steps).into_values() {
            if !taken.swap(true, Ordering::AcqRel) {
                self.shared.controller.not_started(&mut self.state, &step, now);
            }
        }
        self.drop_queue();
        self.report().await;
        // A running call is left to end on its own: cutting it off would only hide its effect.
        self.running.detach_all();
        // Watchers find out that nobody answers any more, instead of waiting for a change that
        // never comes.
        self.commands.close();
        self.status.converged = false;
        self.tell = true;
        self.publish();
        self.state
    }

    async fn next_happening(&mut self) -> Happening<C> {
        let deadline = [self.plan_at, self.looks.due(), self.patience_ends()].into_iter().flatten();
        let deadline = deadline.min().map(|at| self.shared.instant(at));
        let timer = async {
            match deadline {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.handle.inner.cancel.cancelled() => Happening::Stop,
            Some(change) = self.commands.recv() => Happening::Command(change),
            Some(ended) = self.running.join_next_with_id() => Happening::StepEnded(ended),
            answer = self.looks.ended(&self.shared) => Happening::Looked(answer),
            () = self.handle.inner.look.notified() => Happening::Woken,
            () = timer => Happening::Timer,
        }
    }

    fn settle(&mut self, ended: Result<(task::Id, Option<C::Outcome>), JoinError>) {
        let (id, outcome) = match ended {
            Ok((id, outcome)) => (id, Ok(outcome)),
            Err(fault) => (fault.id(), Err(fault)),
        };
        // A step that was given up is settled already.
        let Some(Running { step, .. }) = self.steps.remove(&id) else { return };
        let outcome = outcome.unwrap_or_else(|fault| {
            tracing::error!(key = %self.key, %fault, "a step's task died");
            Some(self.shared.controller.abandoned())
        });
        let now = self.shared.now();
        match outcome {
            Some(outcome) => {
                self.shared.controller.settle(&mut self.state, &step, outcome, now);
            }
            None => self.shared.controller.not_started(&mut self.state, &step, now),
        }
        self.news = true;
    }

    /// When the longest running step is given up.
    fn patience_ends(&mut self) -> Option<Moment> {
        while let Some((at, id)) = self.patience.front() {
            if self.steps.contains_key(id) {
                return Some(*at);
            }
            self.patience.pop_front();
        }
        None
    }

    /// Cuts off steps that take too long, so that they do not hold their places for ever.
    fn give_up_steps(&mut self) {
        let now = self.shared.now();
        while self.patience_ends().is_some_and(|at| at <= now) {
            let Some((_, id)) = self.patience.pop_front() else { return };
            let Some(Running { step, task, .. }) = self.steps.remove(&id) else { continue };
            task.abort();
            let limit = self.shared.options.step_timeout.as_secs();
            let text = format!("{}: no answer in {limit} s; given up", step.describe());
            self.note(Level::Warning, text);
            let outcome = self.shared.controller.abandoned();
            self.shared.controller.settle(&mut self.state, &step, outcome, now);
            self.news = true;
            self.plan_soon();
        }
    }

    /// Starts queued steps while there are free places.
    fn fill_places(&mut self) {
        // The object may have been removed while intents were written.
        if self.handle.inner.cancel.is_cancelled() {
            return;
        }
        if !self.queue.is_empty() && self.shared.authority.fence() != Some(self.granted) {
            self.drop_queue();
            self.plan_soon();
        }
        while self.running.len() < self.shared.options.max_parallel {
            let Some(step) = self.queue.pop_front() else { return };
            let (shared, key) = (Arc::clone(&self.shared), self.key.clone());
            let (own, fence) = (step.clone(), self.granted);
            let taken = Arc::new(AtomicBool::new(false));
            let (mine, cancel) = (Arc::clone(&taken), self.handle.inner.cancel.clone());
            let task = self.running.spawn(async move {
                // Again, right before the call: this task may have waited, or the process slept.
                let may = !cancel.is_cancelled()
                    && shared.authority.fence() == Some(fence)
                    && !mine.swap(true, Ordering::AcqRel);
                if may { Some(shared.controller.execute(&key, &own, fence).await) } else { None }
            });
            let end = self.shared.now() + self.shared.options.step_timeout;
            self.patience.push_back((end, task.id()));
            self.steps.insert(task.id(), Running { step, task, taken });
        }
    }

    /// Gives up steps whose turn will not come: leadership is over, or the object removed. None of
    /// them was called.
    fn drop_queue(&mut self) {
        let now = self.shared.now();
        for step in std::mem::take(&mut self.queue) {
            self.shared.controller.not_started(&mut self.state, &step, now);
            self.news = true;
        }
    }

    async fn report(&mut self) {
        let report = self.shared.controller.report(&mut self.state);
        self.budget.give_back(report.spared);
        for (level, text) in report.notes {
            self.note(level, text);
        }
        if report.closed.is_empty() {
            return;
        }
        let owner = self.key.to_string();
        if let Err(fault) = self.shared.log.close(&owner, &report.closed).await {
            self.note(Level::Warning, fault.to_string());
        }
    }

    fn note(&self, level: Level, text: String) {
        match level {
            Level::Info => tracing::info!(key = %self.key, "{text}"),
            Level::Warning => tracing::warn!(key = %self.key, "{text}"),
        }
        let note = Note { key: self.key.to_string(), at: self.shared.now(), level, text };
        // Nobody may be listening.
        let _ = self.shared.notes.send(Arc::new(note));
    }

    /// Shows the status. Watchers are told of what they can see, and of each plan that follows a
    /// change of the state (a command, a look, the end of a step), but not of mere counting: a
    /// watcher that makes the counters move would keep itself awake.
    fn publish(&mut self) {
        self.status.steps_open = self.queue.len() + self.running.len();
        if self.status.steps_open > 0 {
            self.status.converged = false;
        }
        let status = &self.status;
        let tell = std::mem::take(&mut self.tell);
        self.handle.inner.status.send_if_modified(|shown| {
            let differs = shown.converged != status.converged
                || shown.blocked != status.blocked
                || shown.steps_open != status.steps_open;
            shown.clone_from(status);
            tell || differs
        });
    }
}

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use regrow_ids::Fence;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::{self, JoinError, JoinHandle, JoinSet};
use tokio::time::{sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;

use super::Shared;
use super::handle::{Command, Handle, HandleInner, Status};
use crate::budget::BudgetLedger;
use crate::intents::Intent;
use crate::{Class, Controller, Level, Moment, Note, Plan, Sighting, Step};

/// Commands that wait for their turn; more make their senders wait.
const COMMANDS_BUFFERED: usize = 64;
/// Pause before steps are tried again after the intent log refused them.
const LOG_RETRY: Duration = Duration::from_secs(1);
/// A look may take at most one part in so many of the time, however often it is asked for.
const LOOK_SHARE: u32 = 4;

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
    running: JoinSet<C::Outcome>,
    steps: HashMap<task::Id, C::Step>,
    look: Option<Look<C>>,
    look_at: Moment,
    look_not_before: Moment,
    plan_at: Option<Moment>,
    planned_at: Moment,
    budget: BudgetLedger,
    status: Status,
}

struct Look<C: Controller> {
    began: Moment,
    task: JoinHandle<C::Answer>,
}

enum Happening<C: Controller> {
    Command(Command<C>),
    StepEnded(Result<(task::Id, C::Outcome), JoinError>),
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
            running: JoinSet::new(),
            steps: HashMap::new(),
            look: None,
            look_at: now,
            look_not_before: now,
            plan_at: None,
            planned_at: Moment::START,
            budget: BudgetLedger::default(),
            status: Status::default(),
        };
        let task = tokio::spawn(actor.run());
        *handle.inner.task.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(task);
        handle
    }

    async fn run(mut self) -> C::State {
        loop {
            match self.next_happening().await {
                Happening::Stop => break,
                Happening::Command(Command::Change(change)) => {
                    change(&mut self.state, self.shared.now());
                    self.plan_soon();
                }
                Happening::Command(Command::Read(look)) => look(&self.state),
                Happening::StepEnded(ended) => {
                    self.settle(ended);
                    // Whatever else has ended by now is settled in one go: planning is costly for
                    // big groups.
                    while let Some(ended) = self.running.try_join_next_with_id() {
                        self.settle(ended);
                    }
                    self.plan_soon();
                }
                Happening::Looked(answer) => self.absorb(answer),
                Happening::Woken => self.look_at = self.look_at.min(self.shared.now()),
                Happening::Timer => {}
            }
            self.look_when_due();
            self.plan_when_due().await;
            self.fill_places();
            self.publish();
        }
        // A running call is left to end on its own: cutting it off would only hide its effect.
        self.running.detach_all();
        self.state
    }

    async fn next_happening(&mut self) -> Happening<C> {
        let mut deadline = self.plan_at;
        if self.look.is_none() {
            let look = self.look_at.max(self.look_not_before);
            deadline = Some(deadline.map_or(look, |plan| plan.min(look)));
        }
        let timer = async {
            match deadline {
                Some(at) => sleep_until(self.shared.instant(at)).await,
                None => std::future::pending().await,
            }
        };
        let looked = async {
            match &mut self.look {
                Some(look) => {
                    let end = self.shared.instant(look.began + self.shared.options.look_timeout);
                    match timeout_at(end, &mut look.task).await {
                        Ok(Ok(answer)) => Ok(answer),
                        Ok(Err(fault)) => Err(format!("look at the world: {fault}")),
                        Err(_) => Err("look at the world: no answer in time".to_owned()),
                    }
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.handle.inner.cancel.cancelled() => Happening::Stop,
            Some(change) = self.commands.recv() => Happening::Command(change),
            Some(ended) = self.running.join_next_with_id() => Happening::StepEnded(ended),
            answer = looked => Happening::Looked(answer),
            () = self.handle.inner.look.notified() => Happening::Woken,
            () = timer => Happening::Timer,
        }
    }

    fn plan_soon(&mut self) {
        let at = self.planned_at + self.shared.options.plan_spacing;
        self.plan_at = Some(self.plan_at.map_or(at, |known| known.min(at)));
    }

    fn settle(&mut self, ended: Result<(task::Id, C::Outcome), JoinError>) {
        let (id, outcome) = match ended {
            Ok((id, outcome)) => (id, outcome),
            Err(fault) => {
                tracing::error!(key = %self.key, %fault, "a step's task died");
                (fault.id(), self.shared.controller.abandoned())
            }
        };
        let Some(step) = self.steps.remove(&id) else { return };
        let now = self.shared.now();
        self.shared.controller.settle(&mut self.state, &step, outcome, now);
    }

    fn look_when_due(&mut self) {
        let now = self.shared.now();
        if self.look.is_some() || now < self.look_at.max(self.look_not_before) {
            return;
        }
        let question = self.shared.controller.question(&self.state, now);
        let (controller, key) = (Arc::clone(&self.shared.controller), self.key.clone());
        let task = tokio::spawn(async move { controller.observe(&key, question).await });
        self.look = Some(Look { began: now, task });
        let jitter = 0.9 + rand::random::<f64>() / 5.0;
        self.look_at = now + self.shared.options.revisit.mul_f64(jitter);
    }

    fn absorb(&mut self, answer: Result<C::Answer, String>) {
        let Some(look) = self.look.take() else { return };
        look.task.abort();
        let ended = self.shared.now();
        let pause = (ended.since(look.began) * LOOK_SHARE).max(self.shared.options.look_spacing);
        self.look_not_before = ended + pause;
        self.status.looks += 1;
        match answer {
            Ok(items) => {
                let seen = Sighting { began: look.began, ended, items };
                self.shared.controller.absorb(&mut self.state, seen);
            }
            Err(fault) => {
                self.note(Level::Warning, fault.clone());
                self.shared.controller.blind(&mut self.state, fault, ended);
            }
        }
        self.plan_soon();
    }

    async fn plan_when_due(&mut self) {
        let now = self.shared.now();
        if self.plan_at.is_none_or(|at| now < at) {
            return;
        }
        (self.plan_at, self.planned_at) = (None, now);
        self.status.plans += 1;
        let mut plan = self.shared.controller.plan(&self.state, now);
        let Some(fence) = self.shared.authority.fence() else {
            self.drop_queue();
            self.status.blocked = vec!["this process does not lead".to_owned()];
            self.plan_at = Some(now + LOG_RETRY);
            return;
        };
        self.keep_budget(&mut plan, now);
        if let Some(at) = plan.look_at {
            self.look_at = self.look_at.min(at);
        }
        self.plan_at = plan.replan_at;
        self.status.converged = plan.converged;
        self.status.blocked = std::mem::take(&mut plan.blocked);
        if !plan.steps.is_empty() {
            self.grant(plan.steps, fence).await;
        }
        self.report();
    }

    /// Withholds destructions beyond the budget.
    fn keep_budget(&mut self, plan: &mut Plan<C::Step>, now: Moment) {
        let Some(budget) = self.shared.controller.destroy_budget(&self.state) else { return };
        let mut left = self.budget.left(budget, now);
        let wished = plan.steps.len();
        plan.steps.retain(|step| {
            let keep = step.class() != Class::Destroy || left > 0;
            left -= usize::from(keep && step.class() == Class::Destroy);
            keep
        });
        let withheld = wished - plan.steps.len();
        if withheld > 0 {
            plan.blocked.push(format!(
                "{withheld} destructions wait: the budget is {} in {} s",
                budget.most,
                budget.window.as_secs()
            ));
            if let Some(at) = self.budget.refill_at(budget) {
                plan.replan_by(at);
            }
        }
        let kept = plan.steps.iter().filter(|step| step.class() == Class::Destroy).count();
        self.budget.spend(kept, now);
    }

    /// Records the intents of steps, then queues them.
    async fn grant(&mut self, steps: Vec<C::Step>, fence: Fence) {
        let owner = self.key.to_string();
        let intents: Vec<_> = steps
            .iter()
            .map(|step| Intent {
                key: step.key().clone(),
                owner: owner.clone(),
                class: step.class().into(),
                body: step.intent(),
                fence,
            })
            .collect();
        let log = Arc::clone(&self.shared.log);
        let recorded = task::spawn_blocking(move || log.record(&intents)).await;
        let refusal = match recorded {
            Ok(Ok(())) => {
                self.shared.controller.start(&mut self.state, &steps, self.shared.now());
                self.granted = fence;
                self.queue.extend(steps);
                return;
            }
            Ok(Err(fault)) => fault.to_string(),
            Err(fault) => fault.to_string(),
        };
        self.note(Level::Warning, refusal.clone());
        self.status.blocked.push(refusal);
        self.plan_at = Some(self.shared.now() + LOG_RETRY);
    }

    /// Starts queued steps while there are free places.
    fn fill_places(&mut self) {
        if !self.queue.is_empty() && self.shared.authority.fence() != Some(self.granted) {
            self.drop_queue();
            self.plan_soon();
        }
        while self.running.len() < self.shared.options.max_parallel {
            let Some(step) = self.queue.pop_front() else { return };
            let (controller, key) = (Arc::clone(&self.shared.controller), self.key.clone());
            let own = step.clone();
            let started = self.running.spawn(async move { controller.execute(&key, &own).await });
            self.steps.insert(started.id(), step);
        }
    }

    /// Gives up steps that were granted under a leadership that is over. None of them was called.
    fn drop_queue(&mut self) {
        let now = self.shared.now();
        for step in std::mem::take(&mut self.queue) {
            self.shared.controller.not_started(&mut self.state, &step, now);
        }
    }

    fn report(&mut self) {
        let report = self.shared.controller.report(&mut self.state);
        for (level, text) in report.notes {
            self.note(level, text);
        }
        if report.closed.is_empty() {
            return;
        }
        // Closing is not synchronised to disk, so it is quick enough for this task.
        if let Err(fault) = self.shared.log.close(&report.closed) {
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

    fn publish(&mut self) {
        self.status.steps_open = self.queue.len() + self.running.len();
        if self.status.steps_open > 0 {
            self.status.converged = false;
        }
        let status = &self.status;
        self.handle.inner.status.send_if_modified(|shown| {
            let changed = shown != status;
            if changed {
                shown.clone_from(status);
            }
            changed
        });
    }
}

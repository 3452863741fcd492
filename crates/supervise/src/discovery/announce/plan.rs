//! What is to be said to the agent next of one service: decided from what is wanted and what was told,
//! without a call.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::config::{Service, Status};
use crate::discovery::error::CallError;
use crate::discovery::pace::pause;

/// Pause between two looks at what the agent has of a service that it should have.
const COMPARE: Duration = Duration::from_secs(60);
/// When a service that was taken out is taken out once more, after a registration whose fate is not
/// known: it may have been on its way still.
const ONCE_MORE: Duration = Duration::from_secs(2);

/// What the supervisor wants the agent to show of one service: the latest word, whatever came before.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    /// The service.
    pub service: Arc<Service>,
    /// How long its state is believed.
    pub ttl: Duration,
    /// Whether it shall be there.
    pub present: bool,
    /// Its state.
    pub status: Status,
    /// Why it is in it.
    pub output: String,
    /// When it was in it.
    pub at: Instant,
    /// Counts heartbeats.
    pub beat: u64,
    /// Counts changes of this value.
    pub order: u64,
}

impl Wanted {
    /// A sign of life is told only as long as the agent would believe it, however long the agent was
    /// silent; a failure is always told.
    fn believed(&self, now: Instant) -> bool {
        self.status == Status::Critical || now < self.at + self.ttl
    }

    /// The state to register with.
    pub fn status(&self, now: Instant) -> Status {
        if self.believed(now) { self.status } else { Status::Critical }
    }
}

/// What the agent has of the service, as far as is known.
#[derive(Clone, Debug, PartialEq)]
enum Has {
    Nothing,
    Perhaps,
    This(Arc<Service>, Duration),
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Register it.
    Register,
    /// Send this heartbeat.
    Update(u64),
    /// Take it out.
    Deregister,
    /// Look what the agent has.
    Compare,
    /// Nothing before that moment, or before something changes.
    Rest(Option<Instant>),
}

/// What became of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Done; of a look: it is as it should be.
    Done,
    /// A look showed that the agent has nothing, or something else.
    Differs,
    /// It failed.
    Failed(CallError),
    /// It was given up on the way, since something else is more urgent.
    Abandoned,
}

/// What the agent was told.
#[derive(Debug)]
pub(super) struct Told {
    has: Has,
    /// What was wanted last: presence or absence.
    aim: bool,
    /// The last heartbeat that was told.
    beat: u64,
    /// A registration may still be on its way.
    stray: bool,
    /// The agent said that the service is not there, since it was told to be there.
    withdrawn: bool,
    failures: u32,
    retry: Option<Instant>,
    compare: Instant,
}

impl Told {
    /// Nothing yet; `perhaps`: the worker before this one may have told something.
    pub fn new(perhaps: bool, now: Instant) -> Self {
        Self {
            has: if perhaps { Has::Perhaps } else { Has::Nothing },
            aim: true,
            beat: 0,
            stray: false,
            withdrawn: false,
            failures: 0,
            retry: None,
            compare: now,
        }
    }

    /// The next step.
    pub fn next(&mut self, wanted: &Wanted, now: Instant) -> Step {
        if std::mem::replace(&mut self.aim, wanted.present) != wanted.present {
            (self.failures, self.retry) = (0, None);
        }
        let step = self.due(wanted, now);
        match (step, self.retry) {
            (Step::Rest(_), _) => {
                (self.failures, self.retry) = (0, None);
                step
            }
            (_, Some(retry)) if now < retry => Step::Rest(Some(retry)),
            _ => step,
        }
    }

    fn due(&self, wanted: &Wanted, now: Instant) -> Step {
        if !wanted.present {
            return if self.has == Has::Nothing { Step::Rest(None) } else { Step::Deregister };
        }
        let this = matches!(&self.has, Has::This(service, ttl)
            if *service == wanted.service && *ttl == wanted.ttl);
        if !this {
            Step::Register
        } else if wanted.beat > self.beat && wanted.believed(now) {
            Step::Update(wanted.beat)
        } else if now >= self.compare {
            Step::Compare
        } else {
            Step::Rest(Some(self.compare))
        }
    }

    /// Whether everything that was wanted is so.
    pub fn settled(&self, wanted: &Wanted, step: Step) -> bool {
        match wanted.present {
            true => matches!(step, Step::Rest(_) | Step::Compare) && self.retry.is_none(),
            false => self.withdrawn || self.has == Has::Nothing,
        }
    }

    /// Takes in what became of a step.
    pub fn took(&mut self, step: Step, wanted: &Wanted, outcome: &Outcome, now: Instant) {
        let unknown = match outcome {
            Outcome::Abandoned => true,
            Outcome::Failed(error) => !error.certainly_not_executed(),
            Outcome::Done | Outcome::Differs => false,
        };
        if step == Step::Compare || *outcome == Outcome::Differs {
            self.compare = now + COMPARE.mul_f64(rand::random_range(0.75..=1.25));
            if *outcome == Outcome::Differs {
                self.has = Has::Perhaps;
            }
            return;
        }
        match outcome {
            Outcome::Done => self.done(step, wanted, now),
            Outcome::Failed(error) => self.failed(step, error, now),
            Outcome::Abandoned | Outcome::Differs => {}
        }
        if step == Step::Register && unknown {
            (self.has, self.stray, self.withdrawn) = (Has::Perhaps, true, false);
        }
    }

    fn done(&mut self, step: Step, wanted: &Wanted, now: Instant) {
        self.retry = None;
        match step {
            Step::Register => {
                self.has = Has::This(wanted.service.clone(), wanted.ttl);
                (self.stray, self.withdrawn) = (false, false);
                self.compare = now + COMPARE.mul_f64(rand::random_range(0.75..=1.25));
            }
            Step::Update(beat) => self.beat = beat,
            Step::Deregister => {
                self.withdrawn = true;
                self.has = Has::Nothing;
                if std::mem::take(&mut self.stray) {
                    (self.has, self.retry) = (Has::Perhaps, Some(now + ONCE_MORE));
                }
            }
            Step::Compare | Step::Rest(_) => {}
        }
    }

    fn failed(&mut self, step: Step, error: &CallError, now: Instant) {
        if step == Step::Deregister && error.says_unknown() {
            return self.done_unknown();
        }
        self.failures = self.failures.saturating_add(1);
        self.retry = Some(now + pause(self.failures));
        if matches!(step, Step::Update(_)) && error.says_unknown() {
            self.has = Has::Perhaps;
            // The first time there is nothing to wait for; an agent that forgets again and again is
            // not asked without pauses.
            self.retry = self.retry.filter(|_| self.failures > 1);
        }
    }

    /// What was to be taken out was not there.
    fn done_unknown(&mut self) {
        (self.has, self.withdrawn, self.retry) = (Has::Nothing, true, None);
    }
}

use std::fmt;

use async_trait::async_trait;
use regrow_ids::Fence;

use crate::intents::Intent;
use crate::{Budget, Moment, Plan, Sighting, Step};

/// What a domain supplies to the loop. The functions without `async` are plain functions of their
/// arguments: no clock, no socket, no randomness but from a seed in the state.
#[async_trait]
pub trait Controller: Send + Sync + 'static {
    /// Names one object under control.
    type Key: Ord + Clone + Send + Sync + fmt::Display + 'static;
    /// Everything known about one object: its spec, what was seen, what is under way.
    type State: Send + 'static;
    /// What to look at.
    type Question: Send + 'static;
    /// What was seen.
    type Answer: Send + 'static;
    /// One outside effect.
    type Step: Step;
    /// How a step ended.
    type Outcome: Send + 'static;

    /// Takes up the intents that an earlier run of the loop, or another leader, left open for this
    /// object. Called once before the first plan under each leadership: intents that the state
    /// knows may be among them, and must stay what they are.
    fn resume(&self, state: &mut Self::State, open: Vec<Intent>, now: Moment);

    /// Says what the next look should cover.
    fn question(&self, state: &Self::State, now: Moment) -> Self::Question;

    /// Looks at the world. A failure is part of the answer. `fence` is that of the leadership, if
    /// there is one: whoever is asked under it can refuse what an earlier leader still sends.
    async fn observe(
        &self,
        key: &Self::Key,
        question: Self::Question,
        fence: Option<Fence>,
    ) -> Self::Answer;

    /// Takes in what was seen.
    fn absorb(&self, state: &mut Self::State, seen: Sighting<Self::Answer>);

    /// Computes what to do, without doing it.
    fn plan(&self, state: &Self::State, now: Moment) -> Plan<Self::Step>;

    /// Notes that steps are about to run; the next plan must not contain them again.
    fn start(&self, state: &mut Self::State, steps: &[Self::Step], now: Moment);

    /// Does one step, under the fence under which its intent was recorded. Called right after the
    /// authority was asked whether that is still its fence.
    async fn execute(&self, key: &Self::Key, step: &Self::Step, fence: Fence) -> Self::Outcome;

    /// The outcome of a step whose task died: nobody knows what it did.
    fn abandoned(&self) -> Self::Outcome;

    /// Takes in how a step ended.
    fn settle(
        &self,
        state: &mut Self::State,
        step: &Self::Step,
        outcome: Self::Outcome,
        now: Moment,
    );

    /// Takes in that a granted step will not be done: its call was never made, because leadership
    /// was lost or the object removed before its turn came. Its intent is on disk; a controller that
    /// knows that nothing happened closes it with the next report.
    fn not_started(&self, state: &mut Self::State, step: &Self::Step, now: Moment) {
        self.settle(state, step, self.abandoned(), now);
    }

    /// Takes in that a look failed as a whole: it gave no answer in time, or its task died.
    fn blind(&self, state: &mut Self::State, why: String, now: Moment) {
        let _ = (state, why, now);
    }

    /// True when the last look was worth nothing. The loop then asks less and less often, however
    /// often plans ask for a look, until one succeeds.
    fn is_blind(&self, state: &Self::State) -> bool {
        let _ = state;
        false
    }

    /// Hands out what was learnt since the last call: intents that are over and lines for people.
    fn report(&self, state: &mut Self::State) -> Report;

    /// How much may be destroyed; `None` for no limit beyond the plan itself.
    fn destroy_budget(&self, state: &Self::State) -> Option<Budget>;
}

/// What a state has to say to the loop after it changed.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Intents that need no memory any more.
    pub closed: Vec<regrow_ids::StepKey>,
    /// Destructions that were granted and certainly did not happen; the budget gets them back.
    pub spared: usize,
    /// Lines for people.
    pub notes: Vec<(crate::Level, String)>,
}

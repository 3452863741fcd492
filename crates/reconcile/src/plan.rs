use regrow_codec::Any;
use regrow_ids::StepKey;

use crate::Moment;

/// How much harm a step can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Makes something.
    Create,
    /// Changes something in place.
    Change,
    /// Removes something; counts against the destroy budget.
    Destroy,
}

/// One outside effect. It leaves no choice to its execution: everything is decided when planned.
pub trait Step: Clone + Send + Sync + 'static {
    /// Idempotency key: doing it twice under the same key is doing it once.
    fn key(&self) -> &StepKey;

    /// How much harm it can do.
    fn class(&self) -> Class;

    /// What is needed to recognise its result after a restart.
    fn intent(&self) -> Any;

    /// What it does and why, as one line for people.
    fn describe(&self) -> String;
}

/// The difference between what is and what should be, as steps.
#[derive(Clone, Debug)]
pub struct Plan<S> {
    /// What to do now. Steps of one plan do not depend on one another and run side by side.
    pub steps: Vec<S>,
    /// What would be done but for the reasons given, one line for each.
    pub blocked: Vec<String>,
    /// When to plan again without a new cause, such as the end of a back-off.
    pub replan_at: Option<Moment>,
    /// When to look at the world again, where that is earlier than the regular revisit.
    pub look_at: Option<Moment>,
    /// True when the spec is met and nothing is under way.
    pub converged: bool,
}

impl<S> Default for Plan<S> {
    fn default() -> Self {
        Self { steps: vec![], blocked: vec![], replan_at: None, look_at: None, converged: false }
    }
}

impl<S> Plan<S> {
    /// Asks to be planned again at the given time, or earlier.
    pub fn replan_by(&mut self, at: Moment) {
        self.replan_at = Some(self.replan_at.map_or(at, |known| known.min(at)));
    }

    /// Asks for another look at the given time, or earlier.
    pub fn look_by(&mut self, at: Moment) {
        self.look_at = Some(self.look_at.map_or(at, |known| known.min(at)));
    }
}

use std::collections::VecDeque;
use std::time::Duration;

use crate::Moment;

/// How much may be destroyed within a window of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Most destructions within the window.
    pub most: usize,
    /// Length of the window.
    pub window: Duration,
}

/// What was destroyed lately.
///
/// It lives as long as the task of its object: a new process, or a new leader, begins with a full
/// budget. The intent log forgets a destruction once a list no longer shows the instance, it has no
/// wall clock, and it is on the disk of one machine, so that a window kept there would still be
/// unknown to the next leader. It belongs where the next leader sees it, beside the spec.
#[derive(Clone, Debug, Default)]
pub struct BudgetLedger {
    spent: VecDeque<Moment>,
}

impl BudgetLedger {
    /// How many more destructions the budget allows now.
    pub fn left(&mut self, budget: Budget, now: Moment) -> usize {
        while self.spent.front().is_some_and(|at| now.since(*at) >= budget.window) {
            self.spent.pop_front();
        }
        budget.most.saturating_sub(self.spent.len())
    }

    /// When the next destruction falls out of the window; `None` when nothing was spent.
    pub fn refill_at(&self, budget: Budget) -> Option<Moment> {
        self.spent.front().map(|at| *at + budget.window)
    }

    /// Notes destructions that start now.
    pub fn spend(&mut self, count: usize, now: Moment) {
        self.spent.extend(std::iter::repeat_n(now, count));
    }

    /// Takes back destructions that did not happen. The oldest go: whichever they were, those that
    /// stay count for no shorter than the destructions that did happen.
    pub fn give_back(&mut self, count: usize) {
        self.spent.drain(..count.min(self.spent.len()));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::{Budget, BudgetLedger};
    use crate::Moment;

    proptest! {
        #[test]
        fn no_window_ever_holds_more_than_the_budget(
            most in 0usize..5,
            wishes in proptest::collection::vec((0u64..20, 0usize..4, 0usize..3), 0..100),
        ) {
            let budget = Budget { most, window: Duration::from_secs(10) };
            let mut ledger = BudgetLedger::default();
            let (mut at, mut spent) = (0, Vec::new());
            for (pause, wish, fail) in wishes {
                at += pause;
                let now = Moment::after(Duration::from_secs(at));
                let count = wish.min(ledger.left(budget, now));
                ledger.spend(count, now);
                spent.extend(std::iter::repeat_n(at, count));
                // Some of the latest turn out not to have happened.
                let failed = fail.min(count);
                spent.truncate(spent.len() - failed);
                ledger.give_back(failed);
                let within = spent.iter().filter(|t| at - **t < 10).count();
                prop_assert!(within <= most);
            }
        }
    }
}

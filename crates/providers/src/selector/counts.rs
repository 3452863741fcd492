//! How many instances each choice has, for `spread`.
//!
//! To list all instances for each one that is made would be as many lists as instances. So a list is
//! kept for a while and what was made and destroyed through this selector is added to it. What others
//! do in that time is not seen: `spread` is as even as its last list.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use regrow_ids::InstanceId;
use tokio::time::Instant;

/// How long what others make and destroy may go unnoticed.
const KEPT_FOR: Duration = Duration::from_secs(5);

/// The instances of each choice that count, and those that are being made.
#[derive(Debug)]
pub(super) struct Counts(Mutex<State>);

#[derive(Debug)]
struct State {
    /// By position of the choice, with the time of the list.
    listed: Option<(Vec<HashSet<InstanceId>>, Instant)>,
    /// Instances that are being made, by position: lists do not show them yet.
    making: Vec<usize>,
    /// Lists on their way. What happens meanwhile may be in them or not.
    lists: usize,
    /// What happened while lists were on their way, in order.
    meanwhile: Vec<(usize, InstanceId, Happened)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Happened {
    Made,
    Gone,
}

/// Counts an instance of a choice while it is being made.
pub(super) struct Making<'a> {
    counts: &'a Counts,
    /// Position of the choice.
    pub(super) choice: usize,
}

impl Drop for Making<'_> {
    fn drop(&mut self) {
        self.counts.state().making[self.choice] -= 1;
    }
}

/// A list on its way.
pub(super) struct Listing<'a> {
    counts: &'a Counts,
    /// How much had happened when it began.
    since: usize,
}

impl Drop for Listing<'_> {
    fn drop(&mut self) {
        let mut state = self.counts.state();
        state.lists -= 1;
        if state.lists == 0 {
            state.meanwhile.clear();
        }
    }
}

impl Listing<'_> {
    /// Takes what the list showed, by position.
    pub(super) fn done(self, mut listed: Vec<HashSet<InstanceId>>) {
        let mut state = self.counts.state();
        for (choice, id, what) in &state.meanwhile[self.since..] {
            apply(&mut listed, *choice, id, *what);
        }
        state.listed = Some((listed, Instant::now()));
    }
}

fn apply(listed: &mut [HashSet<InstanceId>], choice: usize, id: &InstanceId, what: Happened) {
    match what {
        Happened::Made => listed[choice].insert(id.clone()),
        Happened::Gone => listed[choice].remove(id),
    };
}

impl State {
    fn emptiest(&self) -> Option<usize> {
        let (listed, _) = self.listed.as_ref()?;
        let sums = listed.iter().zip(&self.making).map(|(there, coming)| there.len() + coming);
        sums.enumerate().min_by_key(|(_, sum)| *sum).map(|(choice, _)| choice)
    }
}

impl Counts {
    /// Nothing is known yet of so many choices.
    pub(super) fn new(choices: usize) -> Self {
        let making = vec![0; choices];
        Self(Mutex::new(State { listed: None, making, lists: 0, meanwhile: Vec::new() }))
    }

    /// Takes the choice with the fewest instances, those included that are being made; the first of
    /// equals. `None` when a list is needed first.
    pub(super) fn take_emptiest(&self) -> Option<Making<'_>> {
        let mut state = self.state();
        let (_, at) = state.listed.as_ref()?;
        // Whoever comes while a newer list is on its way need not fetch one more.
        if at.elapsed() >= KEPT_FOR && state.lists == 0 {
            return None;
        }
        let choice = state.emptiest()?;
        state.making[choice] += 1;
        Some(Making { counts: self, choice })
    }

    /// The same right after a list, which counts whatever time has passed.
    pub(super) fn take_emptiest_of(
        &self,
        listing: Listing<'_>,
        listed: Vec<HashSet<InstanceId>>,
    ) -> Making<'_> {
        listing.done(listed);
        let mut state = self.state();
        let choice = state.emptiest().unwrap_or(0);
        state.making[choice] += 1;
        Making { counts: self, choice }
    }

    /// To be called before a list is asked for.
    pub(super) fn begin_list(&self) -> Listing<'_> {
        let mut state = self.state();
        state.lists += 1;
        let since = state.meanwhile.len();
        Listing { counts: self, since }
    }

    /// Notes an instance that was made and counts.
    pub(super) fn made(&self, choice: usize, id: &InstanceId) {
        self.happened(choice, id, Happened::Made);
    }

    /// Notes an instance that was destroyed.
    pub(super) fn gone(&self, choice: usize, id: &InstanceId) {
        self.happened(choice, id, Happened::Gone);
    }

    /// Notes that instances may count now that did not, or the reverse.
    pub(super) fn forget(&self) {
        self.state().listed = None;
    }

    fn happened(&self, choice: usize, id: &InstanceId, what: Happened) {
        let mut state = self.state();
        if let Some((listed, _)) = &mut state.listed {
            apply(listed, choice, id, what);
        }
        if state.lists > 0 {
            state.meanwhile.push((choice, id.clone(), what));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{Counts, KEPT_FOR};

    fn ids<const N: usize>(ids: [&str; N]) -> HashSet<regrow_ids::InstanceId> {
        ids.into_iter().map(Into::into).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn what_happens_counts_until_the_next_list() {
        let counts = Counts::new(2);
        assert!(counts.take_emptiest().is_none(), "nothing is known");
        counts.begin_list().done(vec![ids(["a", "b"]), ids(["c"])]);
        let take = || counts.take_emptiest().map(|making| making.choice);
        assert_eq!(take(), Some(1));
        let held = counts.take_emptiest().expect("one");
        assert_eq!((held.choice, take()), (1, Some(0)), "what is being made counts");
        drop(held);
        counts.made(1, &"d".into());
        counts.made(1, &"e".into());
        assert_eq!(take(), Some(0));
        counts.gone(1, &"c".into());
        counts.gone(1, &"e".into());
        assert_eq!(take(), Some(1));
        tokio::time::advance(KEPT_FOR).await;
        assert_eq!(take(), None, "others may have made some");
    }

    #[tokio::test(start_paused = true)]
    async fn what_happens_during_a_list_is_not_lost() {
        let counts = Counts::new(2);
        counts.begin_list().done(vec![ids([]), ids(["x"])]);
        tokio::time::advance(KEPT_FOR).await;
        let late = counts.begin_list();
        assert_eq!(counts.take_emptiest().map(|making| making.choice), Some(0));
        for id in ["a", "b", "c"] {
            counts.made(0, &id.into());
        }
        counts.gone(1, &"x".into());
        // It saw one of the three, and what is gone.
        late.done(vec![ids(["a"]), ids(["x", "y"])]);
        let state = counts.state();
        let (listed, _) = state.listed.as_ref().expect("listed");
        assert_eq!(*listed, [ids(["a", "b", "c"]), ids(["y"])]);
        assert!(state.meanwhile.is_empty() && state.lists == 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_that_fails_leaves_what_was_known() {
        let counts = Counts::new(1);
        drop(counts.begin_list());
        assert!(counts.take_emptiest().is_none());
        counts.begin_list().done(vec![ids([])]);
        drop(counts.begin_list());
        assert!(counts.take_emptiest().is_some());
        counts.forget();
        assert!(counts.take_emptiest().is_none());
    }
}

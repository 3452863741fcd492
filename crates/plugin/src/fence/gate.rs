//! The gate before the objects of a plugin: the highest fence that it has seen, and what runs.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use regrow_ids::Fence;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::Mandate;
use crate::PluginError;
use crate::spi::Result;

/// How long the first call under a new fence waits for changes that run under lower ones, so that it
/// finds what they made. Longer than calls that make something locally; those that take minutes are
/// found by their intents.
const PATIENCE: Duration = Duration::from_secs(5);

/// Lineages that are remembered. A plugin has one or two callers with fences.
const MAX_LINEAGES: usize = 64;

/// Refuses what comes too late. In memory: a plugin that was restarted has forgotten what it saw,
/// and takes the next mandate as the newest.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    /// The marks by lineage, the one that was used last at the end.
    marks: Mutex<Vec<Mark>>,
    ended: Notify,
}

#[derive(Debug)]
struct Mark {
    lineage: u64,
    newest: Fence,
    /// Changes that run, by their fence.
    running: BTreeMap<Fence, usize>,
    /// The newest fence whose callers have waited long enough.
    waited: Fence,
}

/// A change that was let in, until it is dropped.
pub(crate) struct Entered<'g> {
    gate: &'g Gate,
    mandate: Mandate,
}

impl Gate {
    /// Lets a look in. One under a lower fence than was seen passes too: it harms nobody.
    pub(super) async fn look(&self) {
        if let Some(mandate) = Mandate::current() {
            let end = Instant::now() + PATIENCE;
            while self.raise(mandate) {
                self.wait(mandate, end).await;
            }
        }
    }

    /// Lets a change in, or refuses it.
    pub(super) async fn change(&self, object: &str) -> Result<Option<Entered<'_>>> {
        let Some(mandate) = Mandate::current() else { return Ok(None) };
        let end = Instant::now() + PATIENCE;
        loop {
            let waits = self.raise(mandate);
            {
                let mut marks = self.lock();
                let mark = mark(&mut marks, mandate);
                if mandate.fence < mark.newest {
                    let (object, newest) = (object.to_owned(), mark.newest);
                    return Err(PluginError::Stale { object, fence: mandate.fence, newest });
                }
                if !super::in_force() {
                    let (object, fence) = (object.to_owned(), mandate.fence);
                    return Err(PluginError::Ended { object, fence });
                }
                if !waits {
                    *mark.running.entry(mandate.fence).or_default() += 1;
                    return Ok(Some(Entered { gate: self, mandate }));
                }
            }
            self.wait(mandate, end).await;
        }
    }

    /// Notes that a fence was seen; true while changes under lower ones run that may still end soon.
    fn raise(&self, mandate: Mandate) -> bool {
        let mut marks = self.lock();
        let mark = mark(&mut marks, mandate);
        mark.newest = mark.newest.max(mandate.fence);
        mark.waited < mandate.fence && mark.running.keys().any(|fence| *fence < mandate.fence)
    }

    /// Waits until a change ends, or the patience does.
    async fn wait(&self, mandate: Mandate, end: Instant) {
        let ended = self.ended.notified();
        tokio::pin!(ended);
        ended.as_mut().enable();
        // It may have ended before we listened.
        if self.raise(mandate) && timeout_at(end, ended).await.is_err() {
            let mut marks = self.lock();
            let mark = mark(&mut marks, mandate);
            mark.waited = mark.waited.max(mandate.fence);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Mark>> {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The mark of a lineage, made when there is none.
fn mark(marks: &mut Vec<Mark>, mandate: Mandate) -> &mut Mark {
    let at = marks.iter().position(|mark| mark.lineage == mandate.lineage);
    let found = at.map(|at| marks.remove(at)).unwrap_or_else(|| Mark {
        lineage: mandate.lineage,
        newest: Fence::default(),
        running: BTreeMap::new(),
        waited: Fence::default(),
    });
    if marks.len() >= MAX_LINEAGES {
        marks.remove(0);
    }
    let last = marks.len();
    marks.push(found);
    &mut marks[last]
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        let mut marks = self.gate.lock();
        let running = &mut mark(&mut marks, self.mandate).running;
        if let Some(count) = running.get_mut(&self.mandate.fence) {
            *count -= 1;
            if *count == 0 {
                running.remove(&self.mandate.fence);
                self.gate.ended.notify_waiters();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use regrow_ids::Fence;

    use super::super::InForce;
    use super::{Gate, MAX_LINEAGES, Mandate, PATIENCE};
    use crate::{Effect, PluginError};

    fn under(fence: u64, lineage: u64) -> Option<Mandate> {
        Some(Mandate { fence: Fence::new(fence), lineage })
    }

    async fn change(gate: &Gate, mandate: Option<Mandate>) -> Result<(), PluginError> {
        Mandate::scope(mandate, gate.change("object")).await.map(drop)
    }

    #[tokio::test]
    async fn what_changes_something_under_a_lower_fence_is_refused() {
        let gate = Gate::default();
        change(&gate, under(5, 1)).await.expect("first");
        change(&gate, under(5, 1)).await.expect("the same");
        let fault = change(&gate, under(4, 1)).await.expect_err("lower");
        assert_eq!(fault.effect(), Effect::None);
        assert!(
            fault.to_string().contains("fence 4") && fault.to_string().contains("5"),
            "{fault}"
        );
        change(&gate, None).await.expect("no mandate");
        change(&gate, under(1, 2)).await.expect("another lineage");
        Mandate::scope(under(9, 1), gate.look()).await;
        change(&gate, under(8, 1)).await.expect_err("somebody has looked since");
        Mandate::scope(under(3, 1), gate.look()).await;
        change(&gate, under(9, 1)).await.expect("a late look lowers nothing");
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_call_of_a_new_leader_waits_for_changes_of_the_old_one() {
        let gate = Arc::new(Gate::default());
        let old = Mandate::scope(under(5, 1), gate.change("object")).await.expect("first");
        let looking = tokio::spawn(Mandate::scope(under(6, 1), {
            let gate = Arc::clone(&gate);
            async move { gate.look().await }
        }));
        tokio::time::sleep(PATIENCE / 2).await;
        assert!(!looking.is_finished());
        change(&gate, under(5, 1)).await.expect_err("the new one is here");
        drop(old);
        tokio::time::sleep(PATIENCE / 100).await;
        assert!(looking.is_finished());
        // One that hangs is not waited for without end.
        let _hangs = Mandate::scope(under(6, 1), gate.change("object")).await.expect("newest");
        change(&gate, under(7, 1)).await.expect("after a while");
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_whose_leadership_ends_while_it_waits_is_not_let_in() {
        let gate = Arc::new(Gate::default());
        let old = Mandate::scope(under(5, 1), gate.change("object")).await.expect("first");
        let leads = Arc::new(AtomicBool::new(true));
        let waiting = tokio::spawn({
            let (gate, leads) = (Arc::clone(&gate), Arc::clone(&leads));
            async move {
                let mandate = Mandate { fence: Fence::new(6), lineage: 1 };
                let in_force: InForce = Arc::new(move || leads.load(Ordering::Relaxed));
                mandate.scope_while(in_force, gate.change("object")).await.map(drop)
            }
        });
        tokio::time::sleep(PATIENCE / 2).await;
        leads.store(false, Ordering::Relaxed);
        drop(old);
        let fault = waiting.await.expect("ended").expect_err("it leads no more");
        assert_eq!(fault.effect(), Effect::None);
        assert!(fault.to_string().contains("ended meanwhile"), "{fault}");
    }

    #[tokio::test]
    async fn memory_is_bounded() {
        let gate = Gate::default();
        for lineage in 0..1_000 {
            change(&gate, under(5, lineage)).await.expect("new");
            change(&gate, under(4, 0)).await.expect_err("used all the time, so not forgotten");
        }
        assert_eq!(gate.lock().len(), MAX_LINEAGES);
    }
}

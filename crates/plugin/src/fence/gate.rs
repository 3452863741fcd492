//! The gate before the objects of a plugin: the highest fence that it has seen, and what runs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use regrow_ids::Fence;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::Mandate;
use super::kept::{self, Fences, KeptFencesError};
use crate::PluginError;
use crate::spi::Result;

/// How long the first call under a new fence waits for changes that run under lower ones, so that it
/// finds what they made. Longer than calls that make something locally; those that take minutes are
/// found by their intents.
const PATIENCE: Duration = Duration::from_secs(5);

/// Lineages that are remembered. A plugin has one or two callers with fences.
const MAX_LINEAGES: usize = 64;

/// Refuses what comes too late. A gate with a file has on disk what it saw before anything rests on it,
/// and refuses the same after a restart; one without takes the first mandate then as the newest.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    /// The marks by lineage, the one that was used last at the end.
    marks: Mutex<Vec<Mark>>,
    ended: Notify,
    /// Where the marks are kept, if they are.
    file: OnceLock<PathBuf>,
    /// Held while the file is written, also when the caller has gone meanwhile.
    writing: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Debug)]
struct Mark {
    lineage: u64,
    newest: Fence,
    /// The newest that is on disk.
    kept: Fence,
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
    /// Keeps the marks in a file from now on, and knows what stands there. The second file of a gate
    /// is not used.
    pub(crate) fn keep_in(&self, path: PathBuf) -> std::result::Result<(), KeptFencesError> {
        let fences = kept::read(&path)?;
        let mut marks = self.lock();
        for (lineage, fence) in fences {
            let mark = mark(&mut marks, Mandate { fence, lineage });
            (mark.newest, mark.kept) = (mark.newest.max(fence), fence);
        }
        self.file.get_or_init(|| path);
        Ok(())
    }

    /// Lets a look in. One under a lower fence than was seen passes too: it harms nobody.
    pub(super) async fn look(&self) -> Result<()> {
        let Some(mandate) = Mandate::current() else { return Ok(()) };
        let end = Instant::now() + PATIENCE;
        self.raise(mandate);
        self.keep(mandate).await?;
        while self.raise(mandate) {
            self.wait(mandate, end).await;
        }
        Ok(())
    }

    /// Lets a change in, or refuses it.
    pub(super) async fn change(&self, object: &str) -> Result<Option<Entered<'_>>> {
        let Some(mandate) = Mandate::current() else { return Ok(None) };
        let end = Instant::now() + PATIENCE;
        self.raise(mandate);
        self.keep(mandate).await?;
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

    /// Sees to it that a fence that was seen is on disk. Costs a write when the fence has grown, and
    /// nothing otherwise.
    async fn keep(&self, mandate: Mandate) -> Result<()> {
        let Some(path) = self.file.get().filter(|_| !self.is_kept(mandate)) else { return Ok(()) };
        let alone = Arc::clone(&self.writing).lock_owned().await;
        if self.is_kept(mandate) {
            return Ok(());
        }
        let fences: Fences = self.lock().iter().map(|mark| (mark.lineage, mark.newest)).collect();
        let (to, written) = (path.clone(), fences.clone());
        let writing = tokio::task::spawn_blocking(move || {
            let _alone = alone;
            kept::write(&to, &written)
        });
        let written = writing.await.unwrap_or_else(|fault| Err(std::io::Error::other(fault)));
        written.map_err(|fault| {
            let (fence, path) = (mandate.fence, path.display());
            PluginError::NotMade(format!(
                "keep fence {fence} in {path}: {fault}; nothing was done, because an earlier leader \
                 could not be told apart after a restart: make room, or let the plugin write there"
            ))
        })?;
        let mut marks = self.lock();
        for (lineage, fence) in fences {
            if let Some(mark) = marks.iter_mut().find(|mark| mark.lineage == lineage) {
                mark.kept = mark.kept.max(fence);
            }
        }
        Ok(())
    }

    fn is_kept(&self, mandate: Mandate) -> bool {
        mark(&mut self.lock(), mandate).kept >= mandate.fence
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
        kept: Fence::default(),
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
        Mandate::scope(under(9, 1), gate.look()).await.expect("a look");
        change(&gate, under(8, 1)).await.expect_err("somebody has looked since");
        Mandate::scope(under(3, 1), gate.look()).await.expect("a look");
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
    async fn a_plugin_that_was_restarted_refuses_what_it_refused_before() {
        let dir = tempfile::tempdir().expect("dir");
        let started = || {
            let gate = Gate::default();
            gate.keep_in(dir.path().join("fences")).expect("read");
            gate
        };
        let gate = started();
        change(&gate, under(5, 1)).await.expect("first");
        change(&gate, under(3, 2)).await.expect("another lineage");
        Mandate::scope(under(7, 1), gate.look()).await.expect("a look");
        for _ in 0..2 {
            let gate = started();
            change(&gate, under(6, 1)).await.expect_err("another leader has looked since");
            change(&gate, under(2, 2)).await.expect_err("lower");
            change(&gate, under(7, 1)).await.expect("newest");
            change(&gate, None).await.expect("no mandate");
        }
    }

    #[tokio::test]
    async fn the_file_is_written_when_a_fence_grows_and_only_then() {
        let dir = tempfile::tempdir().expect("dir");
        let path = dir.path().join("fences");
        let gate = Gate::default();
        gate.keep_in(path.clone()).expect("read");
        change(&gate, None).await.expect("no mandate");
        assert!(!path.exists());
        change(&gate, under(5, 1)).await.expect("first");
        std::fs::remove_file(&path).expect("written");
        for fence in [5, 4, 5] {
            let _ = change(&gate, under(fence, 1)).await;
            Mandate::scope(under(fence, 1), gate.look()).await.expect("a look");
        }
        assert!(!path.exists(), "nothing new was seen");
        Mandate::scope(under(6, 1), gate.look()).await.expect("a look");
        assert!(path.exists());
    }

    #[tokio::test]
    async fn what_cannot_be_kept_lets_nothing_in() {
        let dir = tempfile::tempdir().expect("dir");
        let folder = dir.path().join("gone");
        let gate = Gate::default();
        gate.keep_in(folder.join("fences")).expect("not there yet");
        let fault = change(&gate, under(5, 1)).await.expect_err("no folder");
        assert_eq!(fault.effect(), Effect::None);
        assert!(fault.to_string().contains("keep fence 5 in"), "{fault}");
        Mandate::scope(under(5, 1), gate.look()).await.expect_err("nor a look, which is believed");
        change(&gate, under(4, 1)).await.expect_err("still");
        change(&gate, None).await.expect("people have no fence");
        std::fs::create_dir(&folder).expect("made");
        change(&gate, under(5, 1)).await.expect("kept now");
        change(&gate, under(4, 1)).await.expect_err("lower");
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

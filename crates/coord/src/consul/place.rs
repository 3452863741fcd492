//! Where watchers are, and what they may go on from.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use regrow_consensus::Consistency;
use regrow_ids::Revision;

use crate::consul::WAIT;
use crate::consul::plan::differences;
use crate::consul::requests::{Requests, State};
use crate::error::WatchError;
use crate::key::{Key, Span};
use crate::watch::{Batch, Change};

/// How many spans are remembered, the latest ones.
const REMEMBERED: usize = 64;

/// Keys and when each was changed last.
pub type Known = Arc<BTreeMap<Key, Revision>>;

impl State {
    /// What a watcher remembers of it.
    pub fn known(&self) -> Known {
        Arc::new(self.entries.iter().map(|entry| (entry.key.clone(), entry.modified)).collect())
    }
}

/// What was shown last of some spans. A watch from behind it needs no past: the difference to what is
/// there now is all that changed. Consul's own index does not tell that nothing did: that of a prefix
/// without keys grows with all others.
#[derive(Clone, Default)]
pub struct Shown(Arc<Mutex<VecDeque<(Span, Revision, Known)>>>);

impl Shown {
    fn lock(&self) -> MutexGuard<'_, VecDeque<(Span, Revision, Known)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A span was shown as it is.
    pub fn note(&self, span: &Span, state: &State) {
        self.put(span, state.revision, state.known());
    }

    fn put(&self, span: &Span, revision: Revision, known: Known) {
        let mut shown = self.lock();
        // One that is newer was shown to another, who may go on from there.
        if shown.iter().any(|(other, at, _)| other == span && *at > revision) {
            return;
        }
        shown.retain(|(other, _, _)| other != span);
        shown.push_front((span.clone(), revision, known));
        shown.truncate(REMEMBERED);
    }

    /// What was shown of a span, or of one that covers it, just before a revision.
    pub fn find(&self, span: &Span, from: Revision) -> Option<(Revision, Known)> {
        let shown = self.lock();
        let fits =
            |(other, at, _): &&(Span, Revision, Known)| at.next() == from && other.covers(span);
        let (other, at, known) = shown.iter().find(fits)?;
        if other == span {
            return Some((*at, known.clone()));
        }
        let within: BTreeMap<_, _> = known
            .iter()
            .filter(|(key, _)| span.contains(key))
            .map(|(key, modified)| (key.clone(), *modified))
            .collect();
        // The index of keys that are there does not count the changes of others.
        let at = within.values().copied().max().unwrap_or(*at);
        Some((at, Arc::new(within)))
    }
}

/// Where a watcher is.
pub struct Place {
    pub requests: Arc<Requests>,
    pub deadline: Duration,
    pub span: Span,
    /// Changes before this revision are not wanted.
    pub from: Revision,
    /// What was seen last, and up to where.
    pub at: Revision,
    pub known: Known,
    pub shown: Shown,
}

impl Place {
    /// The next batch of changes.
    pub async fn next(&mut self) -> Result<Batch, WatchError> {
        let lost = |reason: String| WatchError::Lost { reason };
        loop {
            let (mode, wait) = (Consistency::Linearizable, Some((self.at, WAIT)));
            let read = self.requests.read(&self.span, mode, wait, self.deadline).await;
            let state = read.map_err(|error| lost(error.to_string()))?;
            if state.revision < self.at {
                return Err(lost(format!("Consul's index fell back to {}", state.revision)));
            }
            let moved = state.revision > self.at;
            let mut changes = differences(&self.known, &state.entries);
            (self.at, self.known) = (state.revision, state.known());
            self.shown.put(&self.span, self.at, self.known.clone());
            if state.revision < self.from {
                continue;
            }
            changes.retain(|change| match change {
                Change::Put(entry) => entry.modified >= self.from,
                Change::Delete(_) => true,
            });
            if moved || !changes.is_empty() {
                return Ok(Batch { revision: self.at, changes });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Prefix;

    fn prefix(text: &str) -> Span {
        Span::Prefix(Prefix::new(text).expect("a prefix"))
    }

    fn key(text: &str) -> Key {
        Key::new(text).expect("a key")
    }

    fn known(keys: &[(&str, u64)]) -> Known {
        let at = |revision| Revision::new(revision);
        Arc::new(keys.iter().map(|(name, revision)| (key(name), at(*revision))).collect())
    }

    #[test]
    fn a_watch_goes_on_from_what_was_shown_and_from_nothing_else() {
        let (shown, at) = (Shown::default(), Revision::new);
        let all = known(&[("a/1", 3), ("a/2", 7), ("b", 5)]);
        shown.put(&Span::all(), at(9), all.clone());
        assert_eq!(shown.find(&Span::all(), at(10)), Some((at(9), all.clone())));
        let part = known(&[("a/1", 3), ("a/2", 7)]);
        assert_eq!(shown.find(&prefix("a/"), at(10)), Some((at(7), part)));
        let one = Some((at(5), known(&[("b", 5)])));
        assert_eq!(shown.find(&Span::One(key("b")), at(10)), one);
        assert_eq!(shown.find(&Span::One(key("c")), at(10)), Some((at(9), known(&[]))));
        for from in [0, 8, 9, 11] {
            assert_eq!(shown.find(&Span::all(), at(from)), None, "from {from}");
        }
        // An older answer that comes late takes nothing away.
        shown.put(&Span::all(), at(8), known(&[]));
        assert_eq!(shown.find(&Span::all(), at(10)), Some((at(9), all)));
        let narrow = Shown::default();
        narrow.put(&prefix("a/"), at(9), known(&[]));
        assert_eq!(narrow.find(&Span::all(), at(10)), None, "it was not all that was shown");
    }

    #[test]
    fn the_latest_spans_are_remembered() {
        let (shown, at) = (Shown::default(), Revision::new);
        for number in 0..=REMEMBERED {
            shown.put(&prefix(&format!("{number:03}/")), at(1), known(&[]));
        }
        assert_eq!(shown.find(&prefix("000/"), at(2)), None);
        assert!(shown.find(&prefix("001/"), at(2)).is_some());
        assert_eq!(shown.lock().len(), REMEMBERED);
    }
}

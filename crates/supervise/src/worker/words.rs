//! The last words of checks. The end of a process and the end of its lines come on different ways; where
//! a check failed, both belong together, so that the catalog and the log can say why. The end waits
//! for the lines for a moment, because a child in the background may hold them open for ever.
//!
//! Nothing of this is kept for the next worker: it hears the end again, and tells it without the words.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use regrow_init::{Ended, ProcessId};

use crate::log::Drained;
use crate::machine::Moment;

/// How long an end waits for the lines. They lie in a pipe, so it takes them no time, unless the log waits for
/// its reader.
const PATIENCE: Duration = Duration::from_millis(100);

/// A check that failed, and what it said last, where that is known.
pub type Failed = (ProcessId, Ended, Option<String>);

/// Ends without words and words without an end.
#[derive(Debug, Default)]
pub struct LastWords {
    said: HashMap<ProcessId, String>,
    /// In the order in which they are overdue.
    waiting: VecDeque<(Moment, ProcessId, Ended)>,
}

impl LastWords {
    /// A check failed now. `None`: more about it comes later.
    pub fn failed(&mut self, process: ProcessId, how: Ended, now: Moment) -> Option<Failed> {
        if let Some(said) = self.said.remove(&process) {
            return Some((process, how, Some(said)));
        }
        self.waiting.push_back((now.after(PATIENCE), process, how));
        None
    }

    /// All lines of a check are there. `Some`: its end waited for that.
    pub fn drained(&mut self, Drained { process, said }: Drained) -> Option<Failed> {
        let Some(at) = self.waiting.iter().position(|(_, waiting, _)| *waiting == process) else {
            self.said.insert(process, said);
            return None;
        };
        let (_, process, how) = self.waiting.remove(at)?;
        Some((process, how, Some(said)))
    }

    /// Nobody asks for its words any more.
    pub fn forget(&mut self, process: ProcessId) {
        self.said.remove(&process);
    }

    /// When the next end has waited long enough.
    pub fn next(&self) -> Option<Moment> {
        self.waiting.front().map(|(until, ..)| *until)
    }

    /// An end that has waited long enough.
    pub fn overdue(&mut self, now: Moment) -> Option<Failed> {
        let (_, process, how) = self.waiting.pop_front_if(|(until, ..)| *until <= now)?;
        Some((process, how, None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOW: Ended = Ended::Code(1);

    fn drained(process: ProcessId, said: &str) -> Drained {
        Drained { process, said: said.to_owned() }
    }

    #[test]
    fn an_end_and_its_words_meet_in_either_order() {
        let (mut words, now) = (LastWords::default(), Moment::default());
        let [first, second] = [1, 2].map(ProcessId);
        let whole = |process, said: &str| Some((process, HOW, Some(said.to_owned())));
        assert_eq!(words.drained(drained(first, "why")), None);
        assert_eq!(words.failed(first, HOW, now), whole(first, "why"));
        assert_eq!(words.failed(second, HOW, now), None);
        assert_eq!(words.drained(drained(second, "")), whole(second, ""));
        assert_eq!(words.next(), None);
    }

    #[test]
    fn an_end_waits_for_a_moment_only_and_words_that_nobody_asks_for_are_forgotten() {
        let (mut words, now) = (LastWords::default(), Moment::default());
        let [first, second] = [1, 2].map(ProcessId);
        assert_eq!(words.failed(first, HOW, now), None);
        assert_eq!(words.failed(second, HOW, now.after(PATIENCE / 2)), None);
        assert_eq!(words.overdue(now), None);
        assert_eq!(words.next(), Some(now.after(PATIENCE)));
        assert_eq!(words.overdue(now.after(PATIENCE)), Some((first, HOW, None)));
        assert_eq!(words.overdue(now.after(PATIENCE)), None);
        assert_eq!(words.drained(drained(first, "late")), None);
        words.forget(first);
        assert_eq!(words.failed(first, HOW, now), None);
    }
}

//! How long a question is held open, and when the next one is asked.

use std::time::Duration;

/// Shortest time between two questions: an agent that answers at once all the time is not flooded,
/// and instances that come together are seen together.
const SHORTEST: Duration = Duration::from_millis(100);
/// Shortest and longest time for which a question is held open. An agent that fell silent without
/// ending the connection is noticed after about this time.
const HOLD: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(60));
/// Answers in a row that came early and brought nothing new, after which an agent is asked at the
/// pace of the watch. Some are legal.
const EARLY_MAX: u32 = 5;

/// Where a watch stands with its agent.
#[derive(Debug)]
pub(super) struct Hold {
    /// Pace of questions that are not held.
    interval: Duration,
    /// The index of the last answer; 0: the next question is answered at once.
    index: u64,
    /// Early answers that brought nothing new, in a row.
    early: u32,
}

impl Hold {
    pub fn new(interval: Duration) -> Self {
        Self { interval, index: 0, early: 0 }
    }

    /// How long the next question is to be held, and behind which index.
    pub fn question(&self) -> Option<(u64, Duration)> {
        let wait = self.interval.clamp(HOLD.0, HOLD.1);
        (self.index > 0).then_some((self.index, wait))
    }

    /// Takes in the index of an answer that took so long; returns the pause before the next question.
    pub fn answered(&mut self, index: Option<u64>, took: Duration) -> Duration {
        let asked = self.question();
        let Some(index) = index else {
            // It cannot hold a question.
            self.index = 0;
            return self.interval.saturating_sub(took);
        };
        let early = asked.is_some_and(|(behind, wait)| index <= behind && took < wait / 2);
        self.early = if early { self.early + 1 } else { 0 };
        // An index that went back is of an agent that began anew: everything is asked again.
        self.index = if index < self.index { 0 } else { index };
        match self.early {
            EARLY_MAX.. => self.interval.saturating_sub(took),
            _ => SHORTEST.saturating_sub(took),
        }
    }

    /// There was no answer: the next question is answered at once, whatever the agent lost meanwhile.
    pub fn failed(&mut self) {
        self.index = 0;
    }
}

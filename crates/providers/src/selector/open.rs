//! Which choice was asked under which key, while a list need not show yet what came of it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use super::fan::CHANGE_LIMIT;

/// Keys that are remembered. Far more than calls that can run at a time; the oldest go first, and
/// those whose instance was made before those that nobody knows of.
const MAX_KEYS: usize = 4_096;

/// The last call under a key.
#[derive(Debug)]
struct Call {
    choice: usize,
    at: Instant,
    number: u64,
    made: bool,
}

/// Keys with the choices that were asked. Kept in memory only: after a restart the lists are all there
/// is to go by.
#[derive(Debug, Default)]
pub(super) struct OpenOutcomes(Mutex<(u64, HashMap<String, Call>)>);

impl OpenOutcomes {
    /// The choice that alone may be asked under the key.
    pub(super) fn choice_of(&self, key: &str) -> Option<usize> {
        self.calls().1.get(key).map(|call| call.choice)
    }

    /// Notes that a choice is asked; true when the outcome of an earlier call is still open.
    pub(super) fn begin(&self, key: &str, choice: usize) -> bool {
        let mut calls = self.calls();
        let (number, calls) = &mut *calls;
        if calls.get(key).is_some_and(|call| call.choice == choice) {
            return true;
        }
        *number += 1;
        let call = Call { choice, at: Instant::now(), number: *number, made: false };
        calls.insert(key.to_owned(), call);
        if calls.len() > MAX_KEYS {
            let oldest = calls.iter().min_by_key(|(_, call)| (!call.made, call.number));
            let oldest = oldest.map(|(key, _)| key.clone());
            oldest.and_then(|oldest| calls.remove(&oldest));
        }
        false
    }

    /// Notes that the instance is there, whether lists show it or not.
    pub(super) fn made(&self, key: &str) {
        if let Some(call) = self.calls().1.get_mut(key) {
            call.made = true;
        }
    }

    /// Notes that nobody knows what came of the call that just ended.
    pub(super) fn unknown(&self, key: &str) {
        if let Some(call) = self.calls().1.get_mut(key) {
            call.at = Instant::now();
        }
    }

    /// True when so much time has passed that the call cannot come to anything any more.
    pub(super) fn is_over(&self, key: &str) -> bool {
        self.calls().1.get(key).is_none_or(|call| call.at.elapsed() >= CHANGE_LIMIT)
    }

    /// Forgets a key whose outcome is known.
    pub(super) fn close(&self, key: &str) {
        self.calls().1.remove(key);
    }

    fn calls(&self) -> MutexGuard<'_, (u64, HashMap<String, Call>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_KEYS, OpenOutcomes};

    #[tokio::test]
    async fn what_is_known_is_forgotten_first() {
        let open = OpenOutcomes::default();
        assert!(!open.begin("unknown", 1));
        assert!(open.begin("unknown", 1));
        open.begin("made", 2);
        open.made("made");
        for number in 0..MAX_KEYS - 1 {
            open.begin(&number.to_string(), 0);
        }
        assert_eq!((open.choice_of("unknown"), open.choice_of("made")), (Some(1), None));
        open.close("unknown");
        assert_eq!(open.choice_of("unknown"), None);
    }
}

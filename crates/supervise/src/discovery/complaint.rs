//! Saying that something fails, once: when it begins, when it fails in another way, and when it works
//! again, with how often it failed in between.

use std::fmt::Display;

/// What is known of one thing that may fail.
#[derive(Debug, Default)]
pub(super) struct Complaint {
    /// Failures since it worked.
    failures: u64,
    /// Kind of the last one.
    kind: Option<u16>,
}

impl Complaint {
    /// It failed, in that way: what to say of it, if anything.
    pub(super) fn failed(&mut self, text: &str, kind: u16, error: &dyn Display) -> Option<String> {
        self.failures += 1;
        if self.kind.replace(kind) == Some(kind) {
            return None;
        }
        Some(match self.failures {
            1 => format!("{text}: {error}"),
            more => format!("{text}: {error} (failed {more} times so far)"),
        })
    }

    /// It works: how often it failed before, if it did.
    pub(super) fn worked(&mut self) -> Option<u64> {
        let failures = std::mem::take(self).failures;
        (failures > 0).then_some(failures)
    }
}

//! Acknowledged writes: each is in the final read, once, and nothing is there that nobody wrote.

use std::collections::BTreeMap;
use std::fmt::Debug;

/// What became of the writes of a run. Each write is named by something unique, such as the element that it adds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Writes<W> {
    /// The writes that were acknowledged.
    pub acknowledged: Vec<W>,
    /// The writes with unknown outcome: they may be there.
    pub unknown: Vec<W>,
}

/// What is wrong with a final read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AckViolation<W: Debug> {
    /// Acknowledged writes are gone; at most [`SHOWN`] are named.
    #[error("{count} acknowledged writes are gone, the first are {first:?}")]
    Lost {
        /// How many.
        count: usize,
        /// The lowest of them.
        first: Vec<W>,
    },
    /// Something is there that was never written, or failed for certain.
    #[error("{0:?} was read, but its write never happened")]
    Phantom(W),
    /// Something is there more than once.
    #[error("{0:?} was written once and read twice")]
    Doubled(W),
}

/// How many lost writes a violation names.
pub const SHOWN: usize = 10;

/// Compares the final read with what became of the writes.
///
/// # Errors
/// The first violation; losses first.
pub fn check<W: Clone + Ord + Debug>(
    writes: &Writes<W>,
    found: &[W],
) -> Result<(), AckViolation<W>> {
    let mut counts: BTreeMap<&W, usize> = BTreeMap::new();
    for write in found {
        *counts.entry(write).or_default() += 1;
    }
    let mut lost: Vec<&W> =
        writes.acknowledged.iter().filter(|write| !counts.contains_key(write)).collect();
    if !lost.is_empty() {
        lost.sort_unstable();
        let first = lost.iter().take(SHOWN).map(|write| (*write).clone()).collect();
        return Err(AckViolation::Lost { count: lost.len(), first });
    }
    let mut possible: Vec<&W> = writes.acknowledged.iter().chain(&writes.unknown).collect();
    possible.sort_unstable();
    for (write, count) in counts {
        if possible.binary_search(&write).is_err() {
            return Err(AckViolation::Phantom(write.clone()));
        }
        if count > 1 {
            return Err(AckViolation::Doubled(write.clone()));
        }
    }
    Ok(())
}

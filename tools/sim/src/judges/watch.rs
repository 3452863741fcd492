//! Watches: each watcher gets every change of its range once, in order, none from before its start; or it is told
//! `Compacted`.

use std::fmt::Debug;

/// The changes that one revision made, as the committed log has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed<C> {
    /// The revision.
    pub revision: u64,
    /// Its changes in their order.
    pub changes: Vec<C>,
}

/// What came out of one watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery<C> {
    /// A change.
    Change {
        /// The revision that made it.
        revision: u64,
        /// The change.
        change: C,
    },
    /// The watcher was too slow: everything below this revision is gone. The stream ends.
    Compacted {
        /// The oldest revision that can still be watched.
        oldest: u64,
    },
}

/// One watch from its start to its end. A watcher that comes back has a new stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream<C> {
    /// The first revision that is owed.
    pub from: u64,
    /// What came, in the order in which it came.
    pub deliveries: Vec<Delivery<C>>,
    /// The last revision that must have come: where the run waited for the watcher until it was up to date. None for a
    /// watch that was cut off; then what came may end anywhere.
    pub complete_to: Option<u64>,
}

/// What is wrong with a stream. Positions count deliveries from 0.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WatchViolation<C: Debug> {
    /// The log itself is not in order.
    #[error("revision {0} of the committed log does not come after the one before it")]
    LogOutOfOrder(u64),
    /// A change from before the start of the watch.
    #[error("delivery {position} is from revision {revision}, before the start at {from}")]
    FromThePast {
        /// Which delivery.
        position: usize,
        /// Its revision.
        revision: u64,
        /// Where the watch started.
        from: u64,
    },
    /// Something else came than what was next: a change was lost, doubled, out of order or never committed.
    #[error("delivery {position} is {got:?} of revision {revision}, but {owed:?} was next")]
    Unexpected {
        /// Which delivery.
        position: usize,
        /// Its revision.
        revision: u64,
        /// What came.
        got: C,
        /// The change that was next, with its revision.
        owed: Option<(u64, C)>,
    },
    /// The stream stopped although more was owed.
    #[error("the stream ends before {change:?} of revision {revision}")]
    Missing {
        /// The first revision that did not come.
        revision: u64,
        /// Its change.
        change: C,
    },
    /// `Compacted` although nothing that was owed is gone.
    #[error("delivery {position} says compacted to {oldest}, but nothing before {oldest} was owed")]
    NeedlessCompaction {
        /// Which delivery.
        position: usize,
        /// The revision that it names.
        oldest: u64,
    },
    /// A delivery after `Compacted`.
    #[error("delivery {0} comes after the watch was told that it is compacted")]
    AfterCompaction(usize),
}

/// Compares a stream with the committed log; `wants` says which changes are in the range of the watcher.
///
/// # Errors
/// The first violation.
pub fn check<C: Clone + Debug + PartialEq>(
    log: &[Committed<C>],
    wants: impl Fn(&C) -> bool,
    stream: &Stream<C>,
) -> Result<(), WatchViolation<C>> {
    if let Some(pair) = log.windows(2).find(|pair| pair[0].revision >= pair[1].revision) {
        return Err(WatchViolation::LogOutOfOrder(pair[1].revision));
    }
    let all =
        log.iter().flat_map(|entry| entry.changes.iter().map(|change| (entry.revision, change)));
    let mut owed =
        all.filter(|(revision, change)| *revision >= stream.from && wants(change)).peekable();
    // A revision whose changes came in part is still owed, so a compaction may take the rest.
    let mut next = stream.from;
    for (position, delivery) in stream.deliveries.iter().enumerate() {
        match delivery {
            Delivery::Change { revision, .. } if *revision < stream.from => {
                return Err(WatchViolation::FromThePast {
                    position,
                    revision: *revision,
                    from: stream.from,
                });
            }
            Delivery::Change { revision, change } => match owed.next() {
                Some((at, wanted)) if at == *revision && wanted == change => next = *revision,
                other => {
                    return Err(WatchViolation::Unexpected {
                        position,
                        revision: *revision,
                        got: change.clone(),
                        owed: other.map(|(revision, change)| (revision, change.clone())),
                    });
                }
            },
            Delivery::Compacted { oldest } => {
                if *oldest <= next {
                    return Err(WatchViolation::NeedlessCompaction { position, oldest: *oldest });
                }
                let after = position + 1;
                let over = after == stream.deliveries.len();
                return if over { Ok(()) } else { Err(WatchViolation::AfterCompaction(after)) };
            }
        }
    }
    match owed.next() {
        Some((revision, change)) if stream.complete_to.is_some_and(|last| revision <= last) => {
            Err(WatchViolation::Missing { revision, change: change.clone() })
        }
        _ => Ok(()),
    }
}

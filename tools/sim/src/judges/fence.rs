//! Fences: only the newest leader acts.
//!
//! Two kinds of acts. An *effect* happens at a resource of ours that compares the fence with the highest it has seen: there
//! fences never fall. An *intent* is granted by a transaction in the store that compares it with the fence of the
//! leadership: it must be the newest one that was granted.

use std::collections::{BTreeMap, BTreeSet};

/// One entry of the log of a run, in the order in which the store or the resource did it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// The store granted leadership.
    Grant {
        /// The lock or election.
        lock: String,
        /// The fence of this grant.
        fence: u64,
    },
    /// The store recorded an intent under a fence.
    Intent {
        /// The lock or election.
        lock: String,
        /// The fence that the intent was compared under.
        fence: u64,
    },
    /// A resource let an effect happen.
    Effect {
        /// The resource.
        resource: String,
        /// The lock or election whose leader may change it.
        lock: String,
        /// The fence that came with the request.
        fence: u64,
    },
}

/// What is wrong with a log. Positions count acts from 0.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FenceViolation {
    /// A grant whose fence is not above all before.
    #[error(
        "act {position} grants {lock} under fence {fence}, but fence {last} was granted before"
    )]
    GrantNotAbove {
        /// Which act.
        position: usize,
        /// The lock.
        lock: String,
        /// The fence.
        fence: u64,
        /// The highest fence before.
        last: u64,
    },
    /// An act under a fence that was never granted: its campaign was lost.
    #[error("act {position} uses fence {fence} of {lock}, which was not granted")]
    NotGranted {
        /// Which act.
        position: usize,
        /// The lock.
        lock: String,
        /// The fence.
        fence: u64,
    },
    /// An intent under a fence that had lost to a newer one.
    #[error(
        "act {position} is an intent under fence {fence} of {lock}, after fence {newest} was granted"
    )]
    Superseded {
        /// Which act.
        position: usize,
        /// The lock.
        lock: String,
        /// The fence.
        fence: u64,
        /// The fence that it lost to.
        newest: u64,
    },
    /// An effect under a lower fence than one that the resource had seen.
    #[error(
        "act {position} changes {resource} under fence {fence}, after it was changed under fence {highest}"
    )]
    Fell {
        /// Which act.
        position: usize,
        /// The resource.
        resource: String,
        /// The fence.
        fence: u64,
        /// The highest fence that the resource had seen.
        highest: u64,
    },
}

/// Looks through a log of acts.
///
/// # Errors
/// The first violation.
pub fn check(acts: &[Act]) -> Result<(), FenceViolation> {
    let mut granted: BTreeMap<&str, BTreeSet<u64>> = BTreeMap::new();
    let mut seen: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for (position, act) in acts.iter().enumerate() {
        let (Act::Grant { lock, fence }
        | Act::Intent { lock, fence }
        | Act::Effect { lock, fence, .. }) = act;
        let fences = granted.entry(lock).or_default();
        let newest = fences.last().copied();
        if !matches!(act, Act::Grant { .. }) && !fences.contains(fence) {
            return Err(FenceViolation::NotGranted { position, lock: lock.clone(), fence: *fence });
        }
        match (act, newest) {
            (Act::Grant { .. }, Some(last)) if *fence <= last => {
                return Err(FenceViolation::GrantNotAbove {
                    position,
                    lock: lock.clone(),
                    fence: *fence,
                    last,
                });
            }
            (Act::Grant { .. }, _) => {
                fences.insert(*fence);
            }
            (Act::Intent { .. }, Some(newest)) if *fence < newest => {
                return Err(FenceViolation::Superseded {
                    position,
                    lock: lock.clone(),
                    fence: *fence,
                    newest,
                });
            }
            (Act::Intent { .. }, _) => {}
            (Act::Effect { resource, .. }, _) => {
                let highest = seen.entry((resource, lock)).or_insert(*fence);
                if *fence < *highest {
                    let (resource, highest) = (resource.clone(), *highest);
                    return Err(FenceViolation::Fell {
                        position,
                        resource,
                        fence: *fence,
                        highest,
                    });
                }
                *highest = *fence;
            }
        }
    }
    Ok(())
}

//! Which choice has which instance, as far as it was seen.
//!
//! A call for one instance would otherwise list all instances of all choices first. What is
//! remembered is a hint: the choice that is asked may say that it has no such instance, and then all
//! are listed again.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use regrow_ids::InstanceId;

/// Instances that are remembered; beyond that all are forgotten and learned anew. Far more than a
/// group may have.
const MAX_INSTANCES: usize = 100_000;

/// Positions of choices by instance. `None` where two choices had the same id: then only a list of
/// everything tells.
#[derive(Debug, Default)]
pub(super) struct Owners(Mutex<HashMap<InstanceId, Option<usize>>>);

impl Owners {
    /// The choice that has an instance, if it is known and the only one.
    pub(super) fn of(&self, id: &InstanceId) -> Option<usize> {
        self.known().get(id).copied().flatten()
    }

    /// Notes that a choice has an instance. Another choice may have one of that id as well, for a
    /// list can be of some instances only.
    pub(super) fn saw(&self, id: &InstanceId, choice: usize) {
        let mut known = self.known();
        match known.get_mut(id) {
            Some(before) if *before != Some(choice) => *before = None,
            Some(_) => {}
            None => {
                if known.len() >= MAX_INSTANCES {
                    known.clear();
                }
                known.insert(id.clone(), Some(choice));
            }
        }
    }

    /// Notes that all choices were asked for everything and only this one has the instance.
    pub(super) fn found(&self, id: &InstanceId, choice: usize) {
        if self.of(id) != Some(choice) {
            self.forget(id);
            self.saw(id, choice);
        }
    }

    /// Notes that nothing is known of an instance.
    pub(super) fn forget(&self, id: &InstanceId) {
        self.known().remove(id);
    }

    fn known(&self) -> MutexGuard<'_, HashMap<InstanceId, Option<usize>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_INSTANCES, Owners};

    #[test]
    fn what_two_choices_have_belongs_to_none_until_all_were_asked() {
        let owners = Owners::default();
        let id = "i".into();
        owners.saw(&id, 1);
        owners.saw(&id, 1);
        assert_eq!(owners.of(&id), Some(1));
        owners.saw(&id, 0);
        owners.saw(&id, 0);
        assert_eq!(owners.of(&id), None);
        owners.found(&id, 0);
        assert_eq!(owners.of(&id), Some(0));
        owners.forget(&id);
        assert_eq!(owners.of(&id), None);
    }

    #[test]
    fn memory_is_bounded() {
        let owners = Owners::default();
        for number in 0..=MAX_INSTANCES {
            owners.saw(&number.to_string().into(), 0);
        }
        assert_eq!(owners.known().len(), 1);
    }
}

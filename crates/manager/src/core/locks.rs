use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OwnedMutexGuard;

use crate::catalog::Key;

/// Above so many names, those that nobody holds are dropped.
const PRUNE_ABOVE_NAMES: usize = 256;

/// One lock for each stored name: what happens to one name happens in order, and no name waits for
/// another. Locks are fair: first come, first served.
#[derive(Default)]
pub(crate) struct NameLocks(Mutex<HashMap<Key, Arc<tokio::sync::Mutex<()>>>>);

/// While this lives, nobody else changes that name.
pub(crate) type Held = OwnedMutexGuard<()>;

impl NameLocks {
    pub(crate) async fn hold(&self, key: &Key) -> Held {
        self.lock_of(key).lock_owned().await
    }

    fn lock_of(&self, key: &Key) -> Arc<tokio::sync::Mutex<()>> {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if names.len() > PRUNE_ABOVE_NAMES && !names.contains_key(key) {
            names.retain(|_, lock| Arc::strong_count(lock) > 1);
        }
        Arc::clone(names.entry(key.clone()).or_default())
    }
}

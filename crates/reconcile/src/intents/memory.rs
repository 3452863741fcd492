use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use regrow_ids::StepKey;

use super::{Intent, IntentError, IntentLog};

/// Intents that live as long as the process: for simulations, and for a group controller that is
/// asked to be as stateless as the original.
#[derive(Debug, Default)]
pub struct MemoryIntents {
    lineage: u64,
    epochs: AtomicU64,
    open: Mutex<BTreeMap<StepKey, Intent>>,
}

impl MemoryIntents {
    /// An empty log. The lineage should be random, or fixed in a simulation.
    pub fn new(lineage: u64) -> Self {
        Self { lineage, ..Self::default() }
    }
}

impl IntentLog for MemoryIntents {
    fn lineage(&self) -> u64 {
        self.lineage
    }

    fn next_epoch(&self) -> u64 {
        self.epochs.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn record(&self, intents: &[Intent]) -> Result<(), IntentError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.extend(intents.iter().map(|intent| (intent.key.clone(), intent.clone())));
        Ok(())
    }

    fn close(&self, keys: &[StepKey]) -> Result<(), IntentError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        for key in keys {
            open.remove(key);
        }
        Ok(())
    }

    fn open(&self, owner: &str) -> Vec<Intent> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.values().filter(|intent| intent.owner == owner).cloned().collect()
    }
}

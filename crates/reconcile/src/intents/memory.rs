use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
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

/// The same as the functions of [`IntentLog`], at once.
impl MemoryIntents {
    /// See [`IntentLog::lineage`].
    pub const fn lineage(&self) -> u64 {
        self.lineage
    }

    /// See [`IntentLog::next_epoch`].
    pub fn next_epoch(&self) -> u64 {
        self.epochs.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// See [`IntentLog::record`].
    pub fn record(&self, intents: &[Intent]) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.extend(intents.iter().map(|intent| (intent.key.clone(), intent.clone())));
    }

    /// See [`IntentLog::close`].
    pub fn close(&self, keys: &[StepKey]) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        for key in keys {
            open.remove(key);
        }
    }

    /// See [`IntentLog::open`].
    pub fn open(&self, owner: &str) -> Vec<Intent> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.values().filter(|intent| intent.owner == owner).cloned().collect()
    }
}

#[async_trait]
impl IntentLog for MemoryIntents {
    fn lineage(&self) -> u64 {
        self.lineage
    }

    async fn next_epoch(&self) -> Result<u64, IntentError> {
        Ok(Self::next_epoch(self))
    }

    async fn record(&self, intents: &[Intent]) -> Result<(), IntentError> {
        Self::record(self, intents);
        Ok(())
    }

    async fn close(&self, _owner: &str, keys: &[StepKey]) -> Result<(), IntentError> {
        Self::close(self, keys);
        Ok(())
    }

    async fn open(&self, owner: &str) -> Result<Vec<Intent>, IntentError> {
        Ok(Self::open(self, owner))
    }
}

//! Where the group controller of this process keeps what it has promised to do.

use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use regrow_ids::StepKey;
use regrow_reconcile::intents::{FileIntents, Intent, IntentError, IntentLog};

/// The log of the manager of this process, when its leadership comes with one.
pub type LeadersIntents = RwLock<Option<Arc<dyn IntentLog>>>;

/// Intents in a file, unless a manager in the process has a log that its replicas share. Which of
/// the two starts first does not matter: a group is watched only once the manager leads.
pub struct OwnIntents {
    file: FileIntents,
    leaders: Arc<LeadersIntents>,
}

impl OwnIntents {
    /// A file, and the place where a manager puts its log.
    pub fn new(file: FileIntents, leaders: Arc<LeadersIntents>) -> Self {
        Self { file, leaders }
    }

    fn now(&self) -> Arc<dyn IntentLog> {
        let leaders = self.leaders.read().unwrap_or_else(PoisonError::into_inner);
        leaders.clone().unwrap_or_else(|| Arc::new(self.file.clone()))
    }
}

#[async_trait]
impl IntentLog for OwnIntents {
    fn lineage(&self) -> u64 {
        self.now().lineage()
    }

    async fn next_epoch(&self) -> Result<u64, IntentError> {
        self.now().next_epoch().await
    }

    async fn record(&self, intents: &[Intent]) -> Result<(), IntentError> {
        self.now().record(intents).await
    }

    async fn close(&self, owner: &str, keys: &[StepKey]) -> Result<(), IntentError> {
        self.now().close(owner, keys).await
    }

    async fn open(&self, owner: &str) -> Result<Vec<Intent>, IntentError> {
        self.now().open(owner).await
    }
}

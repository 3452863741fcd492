use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use regrow_codec::Any;
use regrow_ids::Fence;

use super::{Document, SpecStore, StoreError, Stored, Version};

/// A store for one process: `regrow up`, and tests. Clones share the documents. It refuses a lower
/// fence than it has seen.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    documents: BTreeMap<Document, (Any, u64)>,
    newest: Fence,
    saves: u64,
}

impl MemoryStore {
    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        // A poisoned lock only says that another thread panicked: documents are replaced whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many saves succeeded.
    pub fn saves(&self) -> u64 {
        self.inner().saves
    }
}

fn version(number: u64) -> Version {
    Version::new(number.to_string())
}

#[async_trait]
impl SpecStore for MemoryStore {
    fn place(&self, document: &Document) -> String {
        match document {
            Document::Specs => "memory:specs".to_owned(),
            Document::Metadata(name) => format!("memory:{name}"),
        }
    }

    async fn load(&self, document: &Document) -> Result<Stored, StoreError> {
        Ok(self.inner().documents.get(document).map_or_else(Stored::default, |(any, number)| {
            Stored { contents: Some(any.clone()), version: version(*number) }
        }))
    }

    async fn save(
        &self,
        document: &Document,
        contents: &Any,
        expected: &Version,
        fence: Fence,
    ) -> Result<Version, StoreError> {
        let mut inner = self.inner();
        if fence < inner.newest {
            let newest = inner.newest;
            return Err(StoreError::Stale { place: self.place(document), fence, newest });
        }
        let now = inner.documents.get(document).map_or(0, |(_, number)| *number);
        if (if now == 0 { Version::ABSENT } else { version(now) }) != *expected {
            return Err(StoreError::Conflict { place: self.place(document) });
        }
        inner.newest = fence;
        inner.saves += 1;
        inner.documents.insert(document.clone(), (contents.clone(), now + 1));
        Ok(version(now + 1))
    }
}

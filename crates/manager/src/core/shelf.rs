use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use regrow_codec::Any;
use regrow_ids::Fence;

use crate::ManagerError;
use crate::catalog::{Catalog, Earlier, Key, Record};
use crate::store::{Claims, Document, SpecStore, StoreError, Version};

/// How often a save is tried anew because somebody else saved in between.
const MAX_CONFLICTS: u32 = 5;

/// The stored specs: the store, and what this leader knows to be in it.
pub(crate) struct Shelf {
    store: Arc<dyn SpecStore>,
    /// Held while the document is loaded, changed and saved; never while a plugin is called.
    writing: tokio::sync::Mutex<()>,
    known: RwLock<Arc<Catalog>>,
    /// The outcome of a save is not known, so what is known may not be what is stored.
    unsure: AtomicBool,
}

impl Shelf {
    pub(crate) fn new(store: Arc<dyn SpecStore>) -> Self {
        let (writing, known) = (tokio::sync::Mutex::default(), RwLock::default());
        Self { store, writing, known, unsure: AtomicBool::new(false) }
    }

    /// The specs as of the last load or save of this leader; empty on others.
    pub(crate) fn known(&self) -> Arc<Catalog> {
        Arc::clone(&self.known.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Forgets what is known, returns it. What is stored stays.
    pub(crate) fn forget(&self) -> Arc<Catalog> {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut known)
    }

    /// Knows these specs, unless the term is over: asked with the lock held, so that what is
    /// forgotten at its end stays forgotten.
    fn know(&self, may: impl Fn() -> Result<(), ManagerError>, catalog: Catalog) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if may().is_ok() {
            *known = Arc::new(catalog);
            self.unsure.store(false, Ordering::Relaxed);
        }
    }

    /// The specs that are stored for sure: read anew when the outcome of a save is not known.
    pub(crate) async fn certain(
        &self,
        may: impl Fn() -> Result<(), ManagerError>,
    ) -> Result<Arc<Catalog>, StoreError> {
        if self.unsure.load(Ordering::Relaxed) { self.learn(may).await } else { Ok(self.known()) }
    }

    /// Reads the store; what is known does not change.
    pub(crate) async fn read(&self) -> Result<(Catalog, Version), StoreError> {
        let stored = self.store.load(&Document::Specs).await?;
        let catalog = Catalog::read(stored.contents.as_ref()).map_err(|mut fault| {
            // The text was printed anew since it was read: only the pointer says where.
            fault.position = None;
            let place = self.store.place(&Document::Specs);
            StoreError::Damaged { place, reason: fault.to_string() }
        })?;
        Ok((catalog, stored.version))
    }

    /// Reads the store and knows what it holds from now on.
    pub(crate) async fn learn(
        &self,
        may: impl Fn() -> Result<(), ManagerError>,
    ) -> Result<Arc<Catalog>, StoreError> {
        let _alone = self.writing.lock().await;
        let (catalog, _) = self.read().await?;
        self.know(may, catalog);
        Ok(self.known())
    }

    /// Changes the stored specs in one write. `may` is asked right before the write. The edit may
    /// run several times, on what is stored then.
    pub(crate) async fn change(
        &self,
        fence: Fence,
        may: impl Fn() -> Result<(), ManagerError> + Send + Sync,
        mut edit: impl FnMut(&mut Catalog) + Send,
    ) -> Result<(), ManagerError> {
        let _alone = self.writing.lock().await;
        let mut conflicts = 0;
        loop {
            let (before, version) = self.read().await?;
            let mut after = before.clone();
            edit(&mut after);
            may()?;
            if before != after {
                let (of, document) = (Document::Specs, after.to_document());
                let claims = Claims::between(&before.claims(), &after.claims());
                match self.store.save_owning(&of, &document, &version, fence, &claims).await {
                    Err(StoreError::Conflict { .. }) if conflicts < MAX_CONFLICTS => {
                        conflicts += 1;
                        continue;
                    }
                    Err(fault @ StoreError::NotDurable { .. }) => {
                        // It stands there, for the next leader too.
                        self.know(&may, after);
                        return Err(fault.into());
                    }
                    Err(fault @ StoreError::Unknown { .. }) => {
                        self.unsure.store(true, Ordering::Relaxed);
                        return Err(fault.into());
                    }
                    saved => saved?,
                };
            }
            self.know(&may, after);
            return Ok(());
        }
    }

    /// Knows from now on that these specs are ending, although it could not be stored.
    pub(crate) fn know_ending(&self, which: impl Fn(&Catalog) -> Vec<Key>) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let mut catalog = Catalog::clone(&known);
        for key in which(&known) {
            catalog.set_ending(&key, true);
        }
        *known = Arc::new(catalog);
    }

    /// Whether the store keeps which manager owns which group.
    pub(crate) fn keeps_owners(&self) -> bool {
        self.store.keeps_owners()
    }

    /// Whether these groups could be taken now.
    pub(crate) async fn check_claims(&self, claims: &Claims) -> Result<(), StoreError> {
        self.store.check_claims(claims).await
    }

    /// Stores a record, returns what it replaced.
    pub(crate) async fn put(
        &self,
        fence: Fence,
        may: impl Fn() -> Result<(), ManagerError> + Send + Sync,
        key: &Key,
        record: &Record,
    ) -> Result<Earlier, ManagerError> {
        let mut earlier = Earlier::default();
        self.change(fence, may, |catalog| earlier = catalog.replace(key, record.clone())).await?;
        Ok(earlier)
    }

    /// The stored values of a metadata plugin, and the state of the document.
    pub(crate) async fn metadata(&self, name: &str) -> Result<(Option<Any>, Version), StoreError> {
        let stored = self.store.load(&Document::Metadata(name.to_owned())).await?;
        Ok((stored.contents.filter(|contents| !contents.is_null()), stored.version))
    }

    /// Stores the values of a metadata plugin, if nobody else has since `expected`. `may` is asked
    /// right before the write.
    pub(crate) async fn put_metadata(
        &self,
        fence: Fence,
        may: impl Fn() -> Result<(), ManagerError> + Send + Sync,
        name: &str,
        contents: &Any,
        expected: &Version,
    ) -> Result<Version, ManagerError> {
        let _alone = self.writing.lock().await;
        let document = Document::Metadata(name.to_owned());
        may()?;
        Ok(self.store.save(&document, contents, expected, fence).await?)
    }
}

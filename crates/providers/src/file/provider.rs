use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use regrow_codec::Any;
use regrow_ids::InstanceId;
use regrow_plugin::PluginError;
use regrow_plugin::spi::{
    Description, DestroyReason, EventStream, Instance, InstanceSpec, Result, Tags, World, tags,
};
use serde_json::json;
use tokio::task::{AbortHandle, spawn_blocking};

use super::cache::Cache;
use super::format::Stored;
use super::{FileError, NAME_PREFIX, Options};
use crate::detached::detached;
use crate::disk::{self, DiskError, Sync};
use crate::hints::{Happened, Hints};
use crate::keys::KeyLocks;
use crate::{readable, world};

/// Longest time until those who watch hear of a change that the kernel did not report.
const LOOK_STEP: Duration = Duration::from_secs(1);

/// The file provider.
pub struct Files {
    core: Arc<Core>,
    /// The task that looks for changes while somebody watches.
    looker: Mutex<Option<AbortHandle>>,
}

struct Core {
    dir: PathBuf,
    cache: Mutex<Cache>,
    hints: Hints,
    locks: KeyLocks,
    /// Names that a call removed: their end is no loss.
    removed: Mutex<HashSet<String>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A poisoned lock only says that another thread panicked; what it guards is looked up anew.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Files {
    /// Makes the directory if need be.
    ///
    /// # Errors
    /// The directory cannot be made.
    pub fn open(options: &Options) -> std::result::Result<Self, FileError> {
        let dir = options.dir.clone().unwrap_or_else(std::env::temp_dir);
        disk::make_dir(&dir)?;
        let core = Arc::new(Core {
            cache: Mutex::new(Cache::new(dir.clone(), options.notify)),
            dir,
            hints: Hints::default(),
            locks: KeyLocks::default(),
            removed: Mutex::default(),
        });
        Ok(Self { core, looker: Mutex::default() })
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        if let Some(looker) = lock(&self.looker).take() {
            looker.abort();
        }
    }
}

impl Core {
    /// Makes the cache say what the directory says, and tells those who watch. Blocking.
    fn refreshed(&self) -> (MutexGuard<'_, Cache>, std::result::Result<(), FileError>) {
        let mut cache = lock(&self.cache);
        let mut news = Vec::new();
        let result = cache.refresh(&mut news);
        for (happened, id) in news {
            let was_asked = happened == Happened::Lost && lock(&self.removed).remove(id.as_str());
            let happened = if was_asked { Happened::Destroyed } else { happened };
            self.hints.tell(
                happened,
                &id,
                format!("file {}", self.dir.join(id.as_str()).display()),
            );
        }
        (cache, result)
    }

    /// The path of an instance; refuses ids that would lead elsewhere or to what is no instance.
    fn path_of(
        &self,
        doing: &'static str,
        id: &InstanceId,
    ) -> std::result::Result<PathBuf, FileError> {
        let name = id.as_str();
        let plain = !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\0']);
        if plain {
            // A file elsewhere in the directory that cannot be read is no reason to refuse.
            let (cache, _) = self.refreshed();
            if name.starts_with(NAME_PREFIX) || cache.contains(name) {
                return Ok(self.dir.join(name));
            }
        }
        let dir = self.dir.display().to_string();
        Err(FileError::Unknown { doing, id: id.clone(), dir })
    }

    async fn provision(
        self: Arc<Self>,
        spec: InstanceSpec,
    ) -> std::result::Result<InstanceId, FileError> {
        check(&spec.properties)?;
        let key = spec.tags.get(tags::STEP_KEY).cloned();
        let _turn = match &key {
            Some(key) => Some(self.locks.lock(key).await),
            None => None,
        };
        spawn_blocking(move || {
            if let Some(key) = key {
                let (cache, result) = self.refreshed();
                result?; // the instance of this key may be the one that cannot be read
                if let Some(name) = cache.by_key(&key) {
                    return Ok(InstanceId::from(name));
                }
            }
            let number = rand::random::<u64>() >> 1; // InfraKit's are positive signed numbers
            let id = InstanceId::from(format!("{NAME_PREFIX}{number}"));
            let text = Stored::new(id.clone(), &spec).text();
            disk::write(&self.dir.join(id.as_str()), text.as_bytes(), Sync::Whole)?;
            Ok(id)
        })
        .await?
    }

    async fn label(
        self: Arc<Self>,
        id: InstanceId,
        labels: Tags,
    ) -> std::result::Result<(), FileError> {
        let _turn = self.locks.lock(id.as_str()).await;
        spawn_blocking(move || {
            let path = self.path_of("label", &id)?;
            let bytes = fs::read(&path).map_err(|e| DiskError::new("read file", &path, e))?;
            let mut stored = Stored::parse(&bytes).map_err(|fault| FileError::Unreadable {
                path: path.display().to_string(),
                reason: fault.to_string(),
            })?;
            stored.tags.extend(labels);
            Ok(disk::replace(&path, stored.text().as_bytes(), Sync::Whole)?)
        })
        .await?
    }

    fn destroy(&self, id: &InstanceId) -> std::result::Result<(), FileError> {
        let path = self.path_of("destroy", id)?;
        lock(&self.removed).insert(id.to_string());
        fs::remove_file(&path).map_err(|e| {
            lock(&self.removed).remove(id.as_str());
            DiskError::new("remove file", &path, e)
        })?;
        // Looked at once more, so that the name does not stay noted for ever.
        drop(self.refreshed());
        lock(&self.removed).remove(id.as_str());
        Ok(())
    }
}

/// Looks whenever the kernel says that something happened, and now and then.
async fn look(core: Weak<Core>) {
    loop {
        let Some(now) = core.upgrade() else { return };
        let handle = spawn_blocking(move || {
            // A list that would fail is not our concern here: it fails for whoever asks.
            now.refreshed().0.handle()
        });
        let Ok((number, handle)) = handle.await else { return };
        let Some(Ok(ready)) = handle.map(|handle| readable::register(Arc::new(handle))) else {
            tokio::time::sleep(LOOK_STEP).await;
            continue;
        };
        loop {
            let event = tokio::time::timeout(LOOK_STEP, ready.readable()).await;
            let Some(now) = core.upgrade() else { return };
            let looked = spawn_blocking(move || now.refreshed().0.handle().0 == number);
            if !matches!(looked.await, Ok(true)) {
                break; // the watch was started anew: wait on the new one
            }
            match event {
                Ok(Ok(mut event)) => event.clear_ready(),
                Ok(Err(_)) => return,
                Err(_) => {}
            }
        }
    }
}

fn check(properties: &Any) -> std::result::Result<(), FileError> {
    if properties.is_null() || properties.as_text().trim_start().starts_with('{') {
        return Ok(());
    }
    Err(FileError::Properties { found: properties.to_string() })
}

fn refused(fault: &FileError) -> PluginError {
    PluginError::refused(fault.to_string())
}

#[async_trait]
impl Instance for Files {
    async fn validate(&self, properties: &Any) -> Result<()> {
        check(properties).map_err(|fault| refused(&fault))
    }

    async fn provision(&self, spec: &InstanceSpec) -> Result<InstanceId> {
        detached(Arc::clone(&self.core).provision(spec.clone())).await
    }

    fn remembers_keys(&self) -> bool {
        true
    }

    async fn worlds(&self) -> Result<Vec<World>> {
        Ok(vec![world::of_folder("file", &self.core.dir)])
    }

    async fn label(&self, instance: &InstanceId, labels: &Tags) -> Result<()> {
        detached(Arc::clone(&self.core).label(instance.clone(), labels.clone())).await
    }

    async fn destroy(&self, instance: &InstanceId, _: DestroyReason) -> Result<()> {
        let (core, id) = (Arc::clone(&self.core), instance.clone());
        detached(async move { spawn_blocking(move || core.destroy(&id)).await? }).await
    }

    async fn describe_instances(
        &self,
        tags: &Tags,
        properties: bool,
    ) -> Result<Vec<Arc<Description>>> {
        let (core, tags) = (Arc::clone(&self.core), tags.clone());
        detached(async move {
            spawn_blocking(move || {
                let (cache, result) = core.refreshed();
                result?;
                let found = cache.rows().filter(|row| row.matches(&tags));
                Ok::<_, FileError>(found.map(|row| row.description(properties)).collect())
            })
            .await?
        })
        .await
    }

    /// Needs a runtime around it; without one there is nothing to watch with.
    fn watch(&self) -> Option<EventStream> {
        let runtime = tokio::runtime::Handle::try_current().ok()?;
        let stream = self.core.hints.stream();
        lock(&self.looker)
            .get_or_insert_with(|| runtime.spawn(look(Arc::downgrade(&self.core))).abort_handle());
        Some(stream)
    }

    fn example_properties(&self) -> Any {
        Any::from(json!({"exampleString": "a_string", "exampleBool": true, "exampleInt": 1}))
    }
}

impl Files {
    /// The directory of the files.
    pub fn dir(&self) -> &Path {
        &self.core.dir
    }
}

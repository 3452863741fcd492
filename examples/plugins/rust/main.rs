//! An instance plugin whose instances live in memory: one trait and one line of `main`.
//!
//! Run it with `cargo run -p regrow-plugin --example instance-plugin -- NAME`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use regrow_codec::Any;
use regrow_ids::InstanceId;
use regrow_plugin::spi::{Description, DestroyReason, Instance, InstanceSpec, Result, Tags, tags};
use regrow_plugin::{Plugin, PluginError};

#[derive(Default)]
struct Memory(Mutex<BTreeMap<InstanceId, Arc<Description>>>);

impl Memory {
    fn all(&self) -> MutexGuard<'_, BTreeMap<InstanceId, Arc<Description>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unknown(id: &InstanceId) -> PluginError {
    PluginError::refused(format!("no instance {id}"))
}

#[async_trait::async_trait]
impl Instance for Memory {
    async fn validate(&self, _properties: &Any) -> Result<()> {
        Ok(())
    }

    async fn provision(&self, spec: &InstanceSpec) -> Result<InstanceId> {
        let mut all = self.all();
        let key = spec.tags.get(tags::STEP_KEY);
        if let Some(one) =
            all.values().find(|one| key.is_some() && one.tags.get(tags::STEP_KEY) == key)
        {
            return Ok(one.id.clone()); // the same call again: it was made already
        }
        let id = InstanceId::from(format!("memory-{:016x}", rand::random::<u64>()));
        let InstanceSpec { properties, tags, logical_id, .. } = spec.clone();
        all.insert(
            id.clone(),
            Arc::new(Description { id: id.clone(), logical_id, tags, properties }),
        );
        Ok(id)
    }

    async fn label(&self, id: &InstanceId, labels: &Tags) -> Result<()> {
        let mut all = self.all();
        let one = all.get_mut(id).ok_or_else(|| unknown(id))?;
        Arc::make_mut(one).tags.extend(labels.clone());
        Ok(())
    }

    async fn destroy(&self, id: &InstanceId, _reason: DestroyReason) -> Result<()> {
        self.all().remove(id).map(drop).ok_or_else(|| unknown(id))
    }

    async fn describe_instances(&self, tags: &Tags, full: bool) -> Result<Vec<Arc<Description>>> {
        let bare = |one: &Description| Description { properties: Any::default(), ..one.clone() };
        let show =
            |one: &Arc<Description>| if full { Arc::clone(one) } else { Arc::new(bare(one)) };
        Ok(self.all().values().filter(|one| one.matches(tags)).map(show).collect())
    }
}

fn main() -> std::process::ExitCode {
    let name = std::env::args().nth(1).unwrap_or_else(|| "memory".to_owned());
    regrow_plugin::main(Plugin::instance(name, Memory::default()))
}

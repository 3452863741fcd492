//! Machines that write down who asked for what, and a flavor that does nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use regrow_codec::Any;
use regrow_ids::{Fence, InstanceId};
use regrow_plugin::spi::{
    Allocation, Description, DestroyReason, Flavor, Health, Index, Instance, InstanceSpec, Result,
    Tags,
};
use regrow_plugin::{FixedObjects, Mandate, Plugin, PluginError, Registry};

#[derive(Default)]
struct Seen {
    live: BTreeMap<InstanceId, Arc<Description>>,
    most_live: usize,
    made: usize,
    destroyed: usize,
    /// The fence of each effect, in the order in which they took place.
    effects: Vec<Option<Fence>>,
}

pub struct World {
    seen: Mutex<Seen>,
    chance: Mutex<StdRng>,
    delay: Mutex<Duration>,
}

impl World {
    pub fn new(seed: u64) -> Self {
        let chance = Mutex::new(StdRng::seed_from_u64(seed ^ 0xa5a5));
        Self { seen: Mutex::default(), chance, delay: Mutex::default() }
    }

    /// Offers the machines and the flavor.
    pub fn offer(self: &Arc<Self>, plugins: &Registry) {
        let machines = FixedObjects::single(Arc::clone(self) as Arc<dyn Instance>);
        plugins.add(Plugin::new("machines").with_instances(machines));
        plugins.add(Plugin::flavor("plain", Plain(Arc::clone(self))));
    }

    /// Calls wait so long on their way from now on, as in a process that is stopped between its
    /// decision and the call.
    pub fn delay_calls(&self, delay: Duration) {
        *self.delay.lock().expect("lock") = delay;
    }

    pub fn live(&self) -> usize {
        self.seen.lock().expect("lock").live.len()
    }

    pub fn made(&self) -> usize {
        self.seen.lock().expect("lock").made
    }

    /// An instance dies; false when there is none.
    pub fn lose_one(&self) -> bool {
        self.seen.lock().expect("lock").live.pop_first().is_some()
    }

    /// What must hold of all that happened.
    pub fn check(&self, seed: u64) {
        let seen = self.seen.lock().expect("lock");
        assert!(seen.effects.iter().all(Option::is_some), "seed {seed}: {:?}", seen.effects);
        assert!(seen.effects.is_sorted(), "seed {seed}: a stale effect in {:?}", seen.effects);
        assert!(seen.most_live <= super::SIZE, "seed {seed}: {} at once", seen.most_live);
        assert_eq!(seen.destroyed, 0, "seed {seed}: nothing was to be destroyed");
    }

    async fn effect(&self, change: impl FnOnce(&mut Seen)) {
        // The time that the effect itself takes.
        let takes = self.chance.lock().expect("lock").random_range(0..1_500);
        tokio::time::sleep(Duration::from_millis(takes)).await;
        let mut seen = self.seen.lock().expect("lock");
        seen.effects.push(Mandate::current().map(|mandate| mandate.fence));
        change(&mut seen);
        seen.most_live = seen.most_live.max(seen.live.len());
    }
}

#[async_trait]
impl Instance for World {
    async fn validate(&self, _: &Any) -> Result<()> {
        Ok(())
    }

    async fn provision(&self, spec: &InstanceSpec) -> Result<InstanceId> {
        let mut made = InstanceId::default();
        self.effect(|seen| {
            seen.made += 1;
            made = InstanceId::from(format!("m-{}", seen.made));
            let description =
                Description { id: made.clone(), tags: spec.tags.clone(), ..Description::default() };
            seen.live.insert(made.clone(), Arc::new(description));
        })
        .await;
        Ok(made)
    }

    async fn label(&self, _: &InstanceId, _: &Tags) -> Result<()> {
        Err(PluginError::refused("labels are not kept here"))
    }

    async fn destroy(&self, instance: &InstanceId, _: DestroyReason) -> Result<()> {
        self.effect(|seen| {
            seen.destroyed += usize::from(seen.live.remove(instance).is_some());
        })
        .await;
        Ok(())
    }

    async fn describe_instances(&self, tags: &Tags, _: bool) -> Result<Vec<Arc<Description>>> {
        let seen = self.seen.lock().expect("lock");
        Ok(seen.live.values().filter(|d| d.matches(tags)).cloned().collect())
    }
}

/// Asked right before a machine is, so this is where calls are held up.
struct Plain(Arc<World>);

#[async_trait]
impl Flavor for Plain {
    async fn validate(&self, _: &Any, _: &Allocation) -> Result<()> {
        Ok(())
    }

    async fn prepare(
        &self,
        _: &Any,
        spec: InstanceSpec,
        _: &Allocation,
        _: &Index,
    ) -> Result<InstanceSpec> {
        let delay = *self.0.delay.lock().expect("lock");
        tokio::time::sleep(delay).await;
        Ok(spec)
    }

    async fn healthy(&self, _: &Any, _: &Description) -> Result<Health> {
        Ok(Health::Unknown)
    }

    async fn drain(&self, _: &Any, _: &Description) -> Result<()> {
        Ok(())
    }
}

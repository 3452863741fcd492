use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use regrow_codec::Any;
use regrow_ids::{GoDuration, InstanceId};
use regrow_plugin::PluginError;
use regrow_plugin::spi::{
    self, Description, DestroyReason, EventStream, Instance, InstanceSpec, Result, Tags, tags,
};
use tokio::sync::watch;
use tokio::time::Instant;

use super::faults::{CreateFate, DestroyFate, ListFate};
use super::properties::{Properties, read_properties};
use super::store::Store;
use super::world::{Stats, World};
use super::{Options, SIMULATOR_TAG, SimulatorError};
use crate::disk::DiskError;
use crate::hints::{Happened, Hints};

/// One of the simulator's instance objects, such as `compute`; also the handle to its faults.
pub struct SimulatedInstances(Arc<Shared>);

struct Shared {
    plugin: String,
    kind: String,
    opened: Instant,
    hints: Hints,
    state: Mutex<State>,
}

struct State {
    options: Options,
    world: World,
    store: Store,
    rng: StdRng,
    last_id: u64,
    /// Calls with a key that are under way: a second one with the same key waits for the first.
    pending: HashMap<String, watch::Receiver<Option<Result<InstanceId>>>>,
}

impl SimulatedInstances {
    /// An object that is not part of a plugin, for tests.
    pub fn in_memory(plugin: &str, options: Options) -> Self {
        Self::with(plugin, "compute", options, Store::default())
    }

    pub(super) fn open(
        plugin: &str,
        kind: &str,
        options: Options,
    ) -> std::result::Result<Self, SimulatorError> {
        let dir = options.store_dir().map(|dir| dir.join("instance").join(kind));
        let (store, stored) = Store::open::<Description>(dir)?;
        let object = Self::with(plugin, kind, options, store);
        let now = Instant::now();
        let mut state = object.0.state();
        for description in stored {
            let number = description.id.as_str().parse().unwrap_or(0);
            state.last_id = state.last_id.max(number);
            state.world.put(now, description);
        }
        state.world.forget_past();
        drop(state);
        Ok(object)
    }

    fn with(plugin: &str, kind: &str, options: Options, store: Store) -> Self {
        let rng = StdRng::seed_from_u64(options.faults.seed);
        Self(Arc::new(Shared {
            plugin: plugin.to_owned(),
            kind: kind.to_owned(),
            opened: Instant::now(),
            hints: Hints::default(),
            state: Mutex::new(State {
                options,
                world: World::default(),
                store,
                rng,
                last_id: 0,
                pending: HashMap::new(),
            }),
        }))
    }

    /// Changes delays, faults, events or idempotency from the next call on. A changed seed starts
    /// the chances anew.
    pub fn configure(&self, change: impl FnOnce(&mut Options)) {
        let mut state = self.0.state();
        let seed = state.options.faults.seed;
        change(&mut state.options);
        if state.options.faults.seed != seed {
            state.rng = StdRng::seed_from_u64(state.options.faults.seed);
        }
    }

    /// What was asked and done so far.
    pub fn stats(&self) -> Stats {
        self.0.state().world.stats
    }

    /// What exists now, whatever lists say.
    pub fn truth(&self) -> Vec<Arc<Description>> {
        self.0.state().world.list(Instant::now(), Duration::ZERO, &Tags::new(), true)
    }

    /// Makes an instance vanish behind everybody's back; false when there is none.
    pub fn kill(&self, id: &InstanceId) -> bool {
        let killed = self.0.remove(id).unwrap_or(false);
        if killed {
            self.0.tell(Happened::Lost, id, "killed");
        }
        killed
    }

    /// Puts an instance into the world that no call made, or changes one.
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn plant(&self, description: Description) -> std::result::Result<(), DiskError> {
        let id = description.id.clone();
        self.0.put(&mut self.0.state(), description)?;
        self.0.tell(Happened::Created, &id, "planted");
        Ok(())
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // A poisoned lock only says that another thread panicked between two whole changes.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn started(&self) {
        let delay = self.state().options.start_delay.as_duration();
        if !delay.is_zero() {
            tokio::time::sleep_until(self.opened + delay).await;
        }
    }

    fn tell(&self, happened: Happened, id: &InstanceId, why: &str) {
        if self.state().options.events {
            self.hints.tell(happened, id, why);
        }
    }

    fn put(
        &self,
        state: &mut State,
        description: Description,
    ) -> std::result::Result<(), DiskError> {
        state.store.write(description.id.as_str(), &description)?;
        state.world.put(Instant::now(), description);
        Ok(())
    }

    fn remove(&self, id: &InstanceId) -> std::result::Result<bool, DiskError> {
        let mut state = self.state();
        state.store.remove(id.as_str())?;
        Ok(state.world.remove(Instant::now(), id))
    }

    /// What a Provision does once its delay is over.
    fn finish(&self, spec: InstanceSpec, cap: usize, fate: CreateFate) -> Result<InstanceId> {
        let key = spec.tags.get(tags::STEP_KEY).cloned();
        let made = match fate {
            CreateFate::Refused => Err(self.injected("provision")),
            _ => self.create(spec, cap, fate),
        };
        if let Some(key) = key {
            self.state().pending.remove(&key);
        }
        match made {
            Ok(_) if fate == CreateFate::RefusedAfterMaking => Err(self.injected("provision")),
            made => made,
        }
    }

    /// Makes one instance, or two, and answers with the last.
    fn create(&self, spec: InstanceSpec, cap: usize, fate: CreateFate) -> Result<InstanceId> {
        let id = {
            let mut state = self.state();
            if cap > 0 && state.world.len() >= cap {
                return Err(PluginError::refused(format!(
                    "at capacity {cap} ({}/{}); raise simulator_cap or destroy an instance",
                    self.plugin, self.kind
                )));
            }
            if fate == CreateFate::MakesTwo {
                self.make(&mut state, spec.clone())?;
            }
            self.make(&mut state, spec)?
        };
        self.tell(Happened::Created, &id, "provisioned");
        Ok(id)
    }

    fn make(&self, state: &mut State, spec: InstanceSpec) -> Result<InstanceId> {
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let nanos = since_epoch.map_or(0, |age| u64::try_from(age.as_nanos()).unwrap_or(0));
        state.last_id = nanos.max(state.last_id + 1);
        let id = InstanceId::from(state.last_id.to_string());
        let InstanceSpec { properties, mut tags, logical_id, .. } = spec;
        tags.insert(SIMULATOR_TAG.to_owned(), self.plugin.clone());
        let description = Description { id: id.clone(), logical_id, tags, properties };
        self.put(state, description).map_err(|fault| refused(&fault))?;
        state.world.stats.created += 1;
        Ok(id)
    }

    fn destroy(&self, id: &InstanceId) -> Result<()> {
        if !self.remove(id).map_err(|fault| refused(&fault))? {
            return Err(self.unknown("destroy", id));
        }
        self.state().world.stats.destroyed += 1;
        self.tell(Happened::Destroyed, id, "destroyed");
        Ok(())
    }

    fn label(&self, id: &InstanceId, labels: &Tags) -> Result<()> {
        {
            let mut state = self.state();
            state.world.stats.label_calls += 1;
            let State { options, rng, .. } = &mut *state;
            if options.faults.label_fails.strikes(rng) {
                return Err(self.injected("label"));
            }
            let Some(old) = state.world.description(id) else {
                return Err(self.unknown("label", id));
            };
            let mut changed = Description::clone(&old);
            changed.tags.extend(labels.clone());
            self.put(&mut state, changed).map_err(|fault| refused(&fault))?;
        }
        self.tell(Happened::Changed, id, "labelled");
        Ok(())
    }

    fn unknown(&self, doing: &str, id: &InstanceId) -> PluginError {
        PluginError::refused(format!("{doing}: not found {id} in {}/{}", self.plugin, self.kind))
    }

    fn injected(&self, doing: &str) -> PluginError {
        PluginError::refused(format!(
            "{doing}: failure injected into {}/{}",
            self.plugin, self.kind
        ))
    }

    fn timed_out(&self, method: &str, after: Duration) -> PluginError {
        PluginError::TimedOut { plugin: self.plugin.clone(), method: method.to_owned(), after }
    }
}

fn refused(fault: &DiskError) -> PluginError {
    PluginError::refused(fault.to_string())
}

/// Does something after a delay, even when the caller no longer waits for it then.
async fn after<T: Send + 'static>(
    delay: Duration,
    action: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    if delay.is_zero() {
        return action();
    }
    let task = tokio::spawn(async move {
        tokio::time::sleep(delay).await;
        action()
    });
    task.await.unwrap_or_else(|fault| Err(PluginError::refused(format!("simulate: {fault}"))))
}

/// What Provision decides at its start.
enum Start {
    Existing(InstanceId),
    Pending(watch::Receiver<Option<Result<InstanceId>>>),
    New {
        fate: CreateFate,
        delay: Duration,
        hang: Duration,
        done: watch::Sender<Option<Result<InstanceId>>>,
    },
}

impl Shared {
    fn start(&self, key: Option<&str>) -> Start {
        let mut state = self.state();
        state.world.stats.provision_calls += 1;
        let State { options, rng, world, pending, .. } = &mut *state;
        let key = key.filter(|_| options.idempotent);
        if let Some(key) = key {
            if let Some(id) = world.by_key(key) {
                let id = id.clone();
                world.stats.repeated += 1;
                return Start::Existing(id);
            }
            if let Some(done) = pending.get(key) {
                world.stats.repeated += 1;
                return Start::Pending(done.clone());
            }
        }
        let fate = options.faults.draw_create(rng);
        let mut delay = options.provision_delay.as_duration();
        if fate == CreateFate::TimesOut {
            delay += options.faults.create_appears_after.as_duration();
        }
        let hang = options.faults.create_times_out_after.as_duration();
        let (done, result) = watch::channel(None);
        if let Some(key) = key {
            pending.insert(key.to_owned(), result);
        }
        Start::New { fate, delay, hang, done }
    }
}

#[async_trait]
impl Instance for SimulatedInstances {
    async fn validate(&self, properties: &Any) -> Result<()> {
        self.0.started().await;
        read_properties(properties).map(drop)
    }

    async fn provision(&self, spec: &InstanceSpec) -> Result<InstanceId> {
        self.0.started().await;
        let properties = read_properties(&spec.properties)?;
        let key = spec.tags.get(tags::STEP_KEY);
        let (fate, delay, hang, done) = match self.0.start(key.map(String::as_str)) {
            Start::Existing(id) => return Ok(id),
            Start::Pending(mut done) => {
                let result = done.wait_for(Option::is_some).await;
                return match result.as_deref() {
                    Ok(Some(result)) => result.clone(),
                    _ => Err(self.0.injected("provision")),
                };
            }
            Start::New { fate, delay, hang, done } => (fate, delay, hang, done),
        };
        let delay = delay + properties.simulator_delay.as_duration();
        let shared = Arc::clone(&self.0);
        let (owned, cap) = (spec.clone(), properties.simulator_cap);
        let making = after(delay, move || {
            let result = shared.finish(owned, cap, fate);
            done.send_replace(Some(result.clone()));
            result
        });
        if fate != CreateFate::TimesOut {
            return making.await;
        }
        let making = tokio::spawn(making);
        tokio::time::sleep(hang).await;
        if delay.is_zero() {
            // Made before the answer, so that a test need not guess when.
            let _ = making.await;
        }
        Err(self.0.timed_out("Instance.Provision", hang))
    }

    fn remembers_keys(&self) -> bool {
        self.0.state().options.idempotent
    }

    async fn worlds(&self) -> Result<Vec<spi::World>> {
        Ok(vec![self.0.state().store.world(&format!("{}/{}", self.0.plugin, self.0.kind))])
    }

    async fn label(&self, instance: &InstanceId, labels: &Tags) -> Result<()> {
        self.0.started().await;
        self.0.label(instance, labels)
    }

    async fn destroy(&self, instance: &InstanceId, _: DestroyReason) -> Result<()> {
        self.0.started().await;
        let (fate, delay) = {
            let mut state = self.0.state();
            state.world.stats.destroy_calls += 1;
            if !state.world.contains(instance) {
                return Err(self.0.unknown("destroy", instance));
            }
            let State { options, rng, .. } = &mut *state;
            (options.faults.draw_destroy(rng), options.destroy_delay.as_duration())
        };
        if fate == DestroyFate::Refused {
            return Err(self.0.injected("destroy"));
        }
        let (shared, id) = (Arc::clone(&self.0), instance.clone());
        let destroyed = after(delay, move || shared.destroy(&id)).await;
        if fate == DestroyFate::TimesOut {
            return Err(self.0.timed_out("Instance.Destroy", delay));
        }
        destroyed
    }

    async fn describe_instances(
        &self,
        tags: &Tags,
        properties: bool,
    ) -> Result<Vec<Arc<Description>>> {
        self.0.started().await;
        let delay = self.0.state().options.describe_delay.as_duration();
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        let mut state = self.0.state();
        state.world.stats.list_calls += 1;
        let State { options, rng, world, .. } = &mut *state;
        let fate = options.faults.draw_list(rng);
        match fate {
            ListFate::Fails => return Err(self.0.injected("list")),
            ListFate::Empty => return Ok(Vec::new()),
            ListFate::Good | ListFate::Partial => {}
        }
        let lag = options.faults.list_lag.as_duration();
        let mut found = world.list(Instant::now(), lag, tags, properties);
        if fate == ListFate::Partial {
            let percent = usize::from(options.faults.list_partial_percent.min(100));
            found.truncate(found.len() * percent / 100);
        }
        if !options.faults.flapping.is_empty() && world.stats.list_calls % 2 == 1 {
            found.retain(|description| !options.faults.flapping.contains(&description.id));
        }
        Ok(found)
    }

    fn watch(&self) -> Option<EventStream> {
        let events = self.0.state().options.events;
        events.then(|| self.0.hints.stream())
    }

    fn example_properties(&self) -> Any {
        Any::from_serialize(&Properties {
            simulator_cap: 100,
            simulator_delay: GoDuration::from_secs(1),
        })
    }
}

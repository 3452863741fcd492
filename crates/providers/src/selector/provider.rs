use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use regrow_codec::Any;
use regrow_ids::{InstanceId, PluginName};
use regrow_plugin::spi::{
    Description, DestroyReason, EventStream, Instance, InstanceSpec, Result, Tags, World, tags,
};
use regrow_plugin::{Effect, Lookup, Mandate, PluginError};
use serde_json::json;
use tokio::task::JoinSet;
use tokio_stream::StreamExt as _;

use super::changes::Change;
use super::choice::PropertyMap;
use super::counts::{Counts, Making};
use super::fan::{self, CHANGE_LIMIT, LIST_LIMIT};
use super::open::OpenOutcomes;
use super::owners::Owners;
use super::{Choice, Choices, SelectorError};
use crate::hints::Hints;
use crate::keys::KeyLocks;

/// How a selector takes one of its choices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// The one with the fewest instances.
    Spread,
    /// The first that succeeds.
    Tiered,
    /// By chance.
    Weighted,
}

impl Strategy {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Spread, Self::Tiered, Self::Weighted];

    /// Name of the plugin's object.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Spread => "spread",
            Self::Tiered => "tiered",
            Self::Weighted => "weighted",
        }
    }
}

/// An instance plugin over several others.
pub struct Selector {
    core: Arc<Core>,
    /// Tasks that pass on what the choices report, while somebody watches.
    relays: Mutex<JoinSet<()>>,
}

pub(super) struct Core {
    strategy: Strategy,
    pub(super) choices: Choices,
    pub(super) lookup: Arc<dyn Lookup>,
    hints: Hints,
    keys: KeyLocks,
    open: OpenOutcomes,
    chance: Mutex<StdRng>,
    pub(super) owners: Owners,
    pub(super) counts: Counts,
}

pub(super) type Outcome<T> = std::result::Result<T, SelectorError>;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A poisoned lock only says that another thread panicked; every value in here stands alone.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Selector {
    /// A selector whose plugins are looked up anew for each call.
    pub fn new(strategy: Strategy, choices: Choices, lookup: Arc<dyn Lookup>) -> Self {
        Self::with_seed(strategy, choices, lookup, rand::random())
    }

    /// The same, with chances that repeat.
    pub fn with_seed(
        strategy: Strategy,
        choices: Choices,
        lookup: Arc<dyn Lookup>,
        seed: u64,
    ) -> Self {
        let core = Core {
            strategy,
            owners: Owners::default(),
            counts: Counts::new(choices.as_slice().len()),
            choices,
            lookup,
            hints: Hints::default(),
            keys: KeyLocks::default(),
            open: OpenOutcomes::default(),
            chance: Mutex::new(StdRng::seed_from_u64(seed)),
        };
        Self { core: Arc::new(core), relays: Mutex::default() }
    }

    /// Runs something to its end even when the caller gives up waiting: half of it may have made
    /// an instance.
    async fn detached<T: Send + 'static>(
        work: impl Future<Output = Outcome<T>> + Send + 'static,
    ) -> Result<T> {
        // The task calls other plugins, under the mandate of this call.
        match tokio::spawn(Mandate::scope(Mandate::current(), work)).await {
            Ok(outcome) => outcome.map_err(SelectorError::into_plugin_error),
            Err(fault) => Err(PluginError::refused(format!("selector: internal task: {fault}"))),
        }
    }
}

impl Core {
    async fn provision(self: Arc<Self>, spec: InstanceSpec) -> Outcome<InstanceId> {
        let properties = PropertyMap::read(&spec.properties, &self.choices)?;
        let key = spec.tags.get(tags::STEP_KEY).cloned();
        let _turn = match &key {
            Some(key) => Some(self.keys.lock(key).await),
            None => None,
        };
        if let Some(key) = key {
            // An earlier attempt may have taken another choice than this one would.
            let tags = Tags::from([(tags::STEP_KEY.to_owned(), key.clone())]);
            if let Some(made) = self.list(&tags, false).await?.first() {
                self.open.close(&key);
                return Ok(made.id.clone());
            }
            // A list that lags does not show it yet.
            if let Some(at) = self.open.choice_of(&key) {
                return self.make(&self.choices.as_slice()[at], &properties, &spec).await;
            }
        }
        if let Some(pinned) = self.choices.pinned(spec.logical_id.as_ref()) {
            return self.make(pinned, &properties, &spec).await;
        }
        match self.strategy {
            Strategy::Tiered => self.make_in_first_tier(&properties, &spec).await,
            Strategy::Weighted => {
                let choice = self.by_chance(spec.tags.get(tags::STEP_KEY))?;
                self.make(choice, &properties, &spec).await
            }
            Strategy::Spread => {
                let making = self.emptiest().await?;
                let choice = &self.choices.as_slice()[making.choice];
                self.make(choice, &properties, &spec).await
            }
        }
    }

    async fn make(
        &self,
        choice: &Choice,
        properties: &PropertyMap,
        spec: &InstanceSpec,
    ) -> Outcome<InstanceId> {
        let spec = InstanceSpec { properties: properties.of(&choice.name)?, ..spec.clone() };
        let key = spec.tags.get(tags::STEP_KEY);
        // Noted first: the call may end with us.
        let was_open = key.is_some_and(|key| self.open.begin(key, self.position(choice)));
        let mut remembers = false;
        let call = async {
            let plugin = fan::find(&self.lookup, &choice.name).await?;
            remembers = plugin.remembers_keys();
            let made = plugin.provision(&spec);
            fan::bounded(&choice.name, "Instance.Provision", CHANGE_LIMIT, made).await
        };
        let made = call.await;
        if let Ok(id) = &made {
            self.note_made(choice, id, &spec.tags);
        }
        let Some(key) = key else {
            return made.map_err(|source| fault("provision instance", choice, source));
        };
        let source = match made {
            Ok(id) => {
                self.open.made(key);
                return Ok(id);
            }
            Err(source) => source,
        };
        // What a choice says to this call holds for the one before only if it knows that one.
        let is_known = match source.effect() {
            Effect::Unknown => {
                self.open.unknown(key);
                false
            }
            Effect::Refused => !was_open || remembers || self.open.is_over(key),
            Effect::None => !was_open || self.open.is_over(key),
        };
        if is_known {
            self.open.close(key);
            return Err(fault("provision instance", choice, source));
        }
        Err(fault("provision instance", choice, still_open(&choice.name, source)))
    }

    fn note_made(&self, choice: &Choice, id: &InstanceId, tags: &Tags) {
        let at = self.position(choice);
        self.owners.saw(id, at);
        if choice.affinity.labels.iter().all(|(name, value)| tags.get(name) == Some(value)) {
            self.counts.made(at, id);
        }
    }

    fn position(&self, choice: &Choice) -> usize {
        let choices = self.choices.as_slice();
        choices.iter().position(|one| one.name == choice.name).unwrap_or(0)
    }

    async fn make_in_first_tier(
        &self,
        properties: &PropertyMap,
        spec: &InstanceSpec,
    ) -> Outcome<InstanceId> {
        let (mut reasons, mut effect) = (Vec::new(), Effect::None);
        for choice in self.choices.as_slice() {
            match self.make(choice, properties, spec).await {
                Err(SelectorError::Choice { source, .. }) if source.effect() != Effect::Unknown => {
                    tracing::info!(choice = %choice.name, error = %source, "trying the next tier");
                    reasons.push(format!("{}: {source}", choice.name));
                    if source.effect() == Effect::Refused {
                        effect = Effect::Refused;
                    }
                }
                // Made, wrongly described, or nobody knows: then the next tier might make a second.
                outcome => return outcome,
            }
        }
        Err(SelectorError::NoTier { reasons, effect })
    }

    fn by_chance(&self, key: Option<&String>) -> Outcome<&Choice> {
        let choices = self.choices.as_slice();
        let weight = |choice: &Choice| u64::from(choice.affinity.weight);
        let total: u64 = choices.iter().map(weight).sum();
        if total == 0 {
            let text = "all weights are 0; give one choice a Weight above 0";
            return Err(SelectorError::Choices(text.to_owned()));
        }
        let mut point = match key {
            // The same key takes the same choice again, which then knows what it made for it.
            Some(key) => StdRng::seed_from_u64(hash(key)).random_range(0..total),
            None => lock(&self.chance).random_range(0..total),
        };
        for choice in choices {
            match point.checked_sub(weight(choice)) {
                Some(rest) => point = rest,
                None => return Ok(choice),
            }
        }
        Err(SelectorError::Choices("the weights do not add up".to_owned()))
    }

    /// The choice with the fewest instances, those included that are being made; the first of equals.
    async fn emptiest(&self) -> Outcome<Making<'_>> {
        if let Some(making) = self.counts.take_emptiest() {
            return Ok(making);
        }
        let listing = self.counts.begin_list();
        let labels = |at: usize| self.choices.as_slice()[at].affinity.labels.clone();
        let mut listed = Vec::new();
        for answer in fan::list_all(&self.lookup, &self.choices, false, labels).await {
            listed.push(answer?.iter().map(|one| one.id.clone()).collect());
        }
        Ok(self.counts.take_emptiest_of(listing, listed))
    }

    /// All instances, sorted by id; an error when one choice cannot tell.
    async fn list(&self, tags: &Tags, properties: bool) -> Outcome<Vec<Arc<Description>>> {
        let answers =
            fan::list_all(&self.lookup, &self.choices, properties, |_| tags.clone()).await;
        let mut found: BTreeMap<InstanceId, (usize, Arc<Description>)> = BTreeMap::new();
        for (at, answer) in answers.into_iter().enumerate() {
            for one in answer? {
                match found.get(&one.id) {
                    // Two choices may be the same plugin under two names.
                    Some((_, known)) if *known == one => {}
                    Some((first, _)) => return Err(self.ambiguous(&one.id, *first, at)),
                    None => {
                        found.insert(one.id.clone(), (at, one));
                    }
                }
            }
        }
        for (id, (at, _)) in &found {
            // A list of some may leave out what another choice has under the same id.
            if tags.is_empty() {
                self.owners.found(id, *at);
            } else {
                self.owners.saw(id, *at);
            }
        }
        Ok(found.into_values().map(|(_, one)| one).collect())
    }

    pub(super) fn ambiguous(&self, id: &InstanceId, first: usize, second: usize) -> SelectorError {
        self.owners.saw(id, first);
        self.owners.saw(id, second);
        let name = |at: usize| self.choices.as_slice()[at].name.clone();
        SelectorError::Ambiguous { id: id.clone(), first: name(first), second: name(second) }
    }

    async fn validate(&self, properties: &Any) -> Outcome<()> {
        let map = PropertyMap::read(properties, &self.choices)?;
        for choice in self.choices.as_slice() {
            let own = map.of(&choice.name)?;
            let call = async {
                let plugin = fan::find(&self.lookup, &choice.name).await?;
                let checked = plugin.validate(&own);
                fan::bounded(&choice.name, "Instance.Validate", LIST_LIMIT, checked).await
            };
            call.await.map_err(|source| fault("check properties", choice, source))?;
        }
        Ok(())
    }
}

/// FNV-1a; need not resist anybody.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

pub(super) fn fault(doing: &'static str, choice: &Choice, source: PluginError) -> SelectorError {
    SelectorError::Choice { doing, choice: choice.name.clone(), source: Box::new(source) }
}

/// What the caller is told while nobody knows what came of an earlier call.
fn still_open(choice: &PluginName, source: PluginError) -> PluginError {
    if source.effect() == Effect::Unknown {
        return source;
    }
    PluginError::Broken {
        plugin: choice.to_string(),
        method: "Instance.Provision".to_owned(),
        reason: format!("what came of an earlier call is not known; now it says: {source}"),
    }
}

/// Time between attempts to watch a choice that cannot be watched now.
const RELAY_STEP: Duration = Duration::from_secs(5);

/// Passes on what one choice reports.
async fn relay(core: Weak<Core>, at: usize) {
    loop {
        let Some(now) = core.upgrade() else { return };
        let found = fan::find(&now.lookup, &now.choices.as_slice()[at].name).await;
        let hints = now.hints.clone();
        drop(now);
        if let Some(mut stream) = found.ok().and_then(|plugin| plugin.watch()) {
            while let Some(event) = stream.next().await {
                hints.pass_on(event);
            }
        }
        tokio::time::sleep(RELAY_STEP).await;
    }
}

#[async_trait]
impl Instance for Selector {
    async fn validate(&self, properties: &Any) -> Result<()> {
        self.core.validate(properties).await.map_err(SelectorError::into_plugin_error)
    }

    // Keys are not promised to be remembered: that needs every choice to do so, and after a restart a
    // list that lags hides which choice was asked.
    async fn provision(&self, spec: &InstanceSpec) -> Result<InstanceId> {
        Self::detached(Arc::clone(&self.core).provision(spec.clone())).await
    }

    async fn label(&self, instance: &InstanceId, labels: &Tags) -> Result<()> {
        let change = Change::Label(labels.clone());
        Self::detached(Arc::clone(&self.core).change(instance.clone(), change)).await
    }

    async fn destroy(&self, instance: &InstanceId, reason: DestroyReason) -> Result<()> {
        let change = Change::Destroy(reason);
        Self::detached(Arc::clone(&self.core).change(instance.clone(), change)).await
    }

    async fn describe_instances(
        &self,
        tags: &Tags,
        properties: bool,
    ) -> Result<Vec<Arc<Description>>> {
        self.core.list(tags, properties).await.map_err(SelectorError::into_plugin_error)
    }

    async fn worlds(&self) -> Result<Vec<World>> {
        let worlds = fan::worlds_of_all(&self.core.lookup, &self.core.choices).await;
        worlds.map_err(SelectorError::into_plugin_error)
    }

    /// Needs a runtime around it; without one there is nothing to watch with.
    fn watch(&self) -> Option<EventStream> {
        let runtime = tokio::runtime::Handle::try_current().ok()?;
        let stream = self.core.hints.stream();
        let mut relays = lock(&self.relays);
        if relays.is_empty() {
            for at in 0..self.core.choices.as_slice().len() {
                relays.spawn_on(relay(Arc::downgrade(&self.core), at), &runtime);
            }
        }
        Some(stream)
    }

    fn example_properties(&self) -> Any {
        let name = self.core.choices.as_slice().first().map_or("choice", |c| c.name.as_str());
        Any::from(json!({name: {"for": "this plugin"}, "default": {"for": "all others"}}))
    }
}

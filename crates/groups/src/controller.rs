use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::{self, StreamExt};
use regrow_ids::{Fence, GroupId, InstanceId};
use regrow_plugin::spi::{
    Description, DestroyReason, Flavor, Health, Index, Instance, InstanceSpec, Tags, tags,
};
use regrow_plugin::{Effect, Lookup, Mandate, PluginError};
use regrow_reconcile::intents::Intent;
use regrow_reconcile::{Budget, Controller, Moment, Plan, Quality, Report, Sighting};
use tokio::time::timeout;

use crate::config::GroupConfig;
use crate::plan::plan;
use crate::service::Mandated;
use crate::state::{
    Answer, DirectQuestion, GroupState, Outcome, Question, SLOT_TAG, Slot, Subject,
};
use crate::step::{Action, Drain, GroupStep};

/// Health questions and look-ups of one look that run at the same time.
const QUESTIONS_IN_PARALLEL: usize = 64;
/// More look-ups than this are answered by one more list instead of a question each.
const MAX_LOOKUPS: usize = 32;
/// A flavor that has not answered by then does not know.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(5);

/// The effects of group control: calls to flavor and instance plugins.
pub struct GroupController {
    plugins: Arc<dyn Lookup>,
    authority: Arc<Mandated>,
}

impl GroupController {
    /// Calls the plugins that the lookup finds.
    pub(crate) fn new(plugins: Arc<dyn Lookup>, authority: Arc<Mandated>) -> Self {
        Self { plugins, authority }
    }

    /// The plugins.
    pub fn plugins(&self) -> &Arc<dyn Lookup> {
        &self.plugins
    }

    async fn instance(&self, config: &GroupConfig) -> Result<Arc<dyn Instance>, PluginError> {
        self.plugins.instance(&config.document.instance.plugin).await
    }

    async fn flavor(&self, config: &GroupConfig) -> Result<Arc<dyn Flavor>, PluginError> {
        self.plugins.flavor(&config.document.flavor.plugin).await
    }

    async fn look(&self, question: Question) -> Result<Answer, PluginError> {
        let config = &question.config;
        let instances = self.instance(config).await?;
        let listed = instances.describe_instances(&group_tags(config), question.properties).await?;
        let lookups = look_up(&instances, config, question.lookups, question.properties).await;
        let health = self.ask_health(config, &question.health_of, &listed).await;
        Ok(Answer {
            quality: Quality::Complete,
            instances: listed,
            remembers_keys: instances.remembers_keys(),
            lookups,
            health,
        })
    }

    async fn ask_health(
        &self,
        config: &GroupConfig,
        wanted: &[Arc<Description>],
        listed: &[Arc<Description>],
    ) -> Vec<(InstanceId, Health)> {
        if wanted.is_empty() {
            return vec![];
        }
        let newest: BTreeMap<_, _> = listed.iter().map(|d| (&d.id, d)).collect();
        let asked: Vec<_> =
            wanted.iter().filter_map(|known| newest.get(&known.id).copied().cloned()).collect();
        let Ok(flavor) = self.flavor(config).await else {
            // Not knowing is an answer: without it the same members would be asked for at once.
            return asked.iter().map(|d| (d.id.clone(), Health::Unknown)).collect();
        };
        let properties = config.document.flavor.properties.clone();
        stream::iter(asked)
            .map(|description| {
                let (flavor, properties) = (Arc::clone(&flavor), properties.clone());
                async move {
                    let asked = flavor.healthy(&properties, &description);
                    let health = timeout(HEALTH_TIMEOUT, asked).await;
                    let health = health.ok().and_then(Result::ok);
                    (description.id.clone(), health.unwrap_or(Health::Unknown))
                }
            })
            .buffer_unordered(QUESTIONS_IN_PARALLEL)
            .collect()
            .await
    }

    async fn act(&self, step: &GroupStep) -> Result<Outcome, PluginError> {
        match &step.action {
            Action::Create { slot, sequence, config } => {
                self.create(step, slot, *sequence, config).await
            }
            Action::Adopt { description, config } => self.adopt(description, config).await,
            Action::Destroy { description, config, reason, drain, .. } => {
                self.destroy(description, config, *reason, *drain).await
            }
            Action::Spare { description, config } => {
                self.drain(description, config).await.map(|()| Outcome::Done)
            }
        }
    }

    async fn create(
        &self,
        step: &GroupStep,
        slot: &Slot,
        sequence: u32,
        config: &GroupConfig,
    ) -> Result<Outcome, PluginError> {
        // Nothing outside has happened until `provision`: a failure before it has no effect. Who
        // refuses does not like the configuration, which an update counts.
        let harmless = |fault: PluginError| Outcome::Failed {
            effect: match fault.effect() {
                Effect::Refused => Effect::Refused,
                Effect::None | Effect::Unknown => Effect::None,
            },
            why: format!("prepare the member: {fault}"),
        };
        let spec = match self.prepare(slot, sequence, config).await {
            Ok(spec) => spec,
            Err(fault) => return Ok(harmless(fault)),
        };
        let instances = match self.instance(config).await {
            Ok(instances) => instances,
            Err(fault) => return Ok(harmless(fault)),
        };
        let spec = stamp(spec, step, slot, config);
        instances.provision(&spec).await.map(Outcome::Created)
    }

    /// The spec of a member as its flavor completes it.
    async fn prepare(
        &self,
        slot: &Slot,
        sequence: u32,
        config: &GroupConfig,
    ) -> Result<InstanceSpec, PluginError> {
        let logical_id = match slot {
            Slot::Identity(id) => Some(id.clone()),
            Slot::Number(_) | Slot::Stray => None,
        };
        let spec = InstanceSpec {
            properties: config.document.instance.properties.clone(),
            tags: member_tags(config, slot),
            init: String::new(),
            logical_id,
            attachments: None,
        };
        let index = Index { group: config.id.clone(), sequence };
        let flavor = self.flavor(config).await?;
        let properties = &config.document.flavor.properties;
        flavor.prepare(properties, spec, &config.allocation(), &index).await
    }

    async fn destroy(
        &self,
        description: &Description,
        config: &GroupConfig,
        reason: DestroyReason,
        drain: Drain,
    ) -> Result<Outcome, PluginError> {
        if drain != Drain::Skip
            && let Err(fault) = self.drain(description, config).await
        {
            if drain == Drain::Must {
                // Whatever the drain did, the instance was not asked to go.
                let why = format!("drain it: {fault}");
                return Ok(Outcome::Failed { effect: Effect::None, why });
            }
            tracing::warn!(instance = %description.id, %fault, "drain before destroying");
        }
        self.instance(config).await?.destroy(&description.id, reason).await?;
        Ok(Outcome::Done)
    }

    async fn drain(&self, member: &Description, config: &GroupConfig) -> Result<(), PluginError> {
        let flavor = self.flavor(config).await?;
        flavor.drain(&config.document.flavor.properties, member).await
    }

    async fn adopt(
        &self,
        description: &Description,
        config: &GroupConfig,
    ) -> Result<Outcome, PluginError> {
        let labels = Tags::from([
            (tags::GROUP.to_owned(), config.id.as_str().to_owned()),
            (tags::CONFIG_HASH.to_owned(), config.hash.as_str().to_owned()),
        ]);
        self.instance(config).await?.label(&description.id, &labels).await?;
        Ok(Outcome::Done)
    }
}

/// Asks directly for instances that a list lacks. Some plugins ignore tags, so every answer is
/// filtered.
async fn look_up(
    instances: &Arc<dyn Instance>,
    config: &GroupConfig,
    lookups: Vec<DirectQuestion>,
    properties: bool,
) -> Vec<(Subject, Option<Vec<Arc<Description>>>)> {
    if lookups.len() > MAX_LOOKUPS {
        let listed = instances.describe_instances(&group_tags(config), properties).await.ok();
        let index = listed.as_deref().map(ListIndex::of);
        let answer = |lookup: DirectQuestion| {
            let found = index.as_ref().map(|index| index.find(&lookup));
            (lookup.subject, found)
        };
        return lookups.into_iter().map(answer).collect();
    }
    stream::iter(lookups)
        .map(|lookup| {
            let instances = Arc::clone(instances);
            async move {
                let found = instances.describe_instances(&lookup.tags, properties).await.ok();
                let found = found.map(|mut found| {
                    found.retain(|d| d.matches(&lookup.tags));
                    found
                });
                (lookup.subject, found)
            }
        })
        .buffer_unordered(QUESTIONS_IN_PARALLEL)
        .collect()
        .await
}

/// A list by id and by key, for many questions at once.
struct ListIndex<'a> {
    by_id: HashMap<&'a InstanceId, &'a Arc<Description>>,
    by_key: HashMap<&'a str, Vec<&'a Arc<Description>>>,
}

impl<'a> ListIndex<'a> {
    fn of(listed: &'a [Arc<Description>]) -> Self {
        let mut by_key: HashMap<_, Vec<_>> = HashMap::new();
        for description in listed {
            if let Some(key) = description.tags.get(tags::STEP_KEY) {
                by_key.entry(key.as_str()).or_default().push(description);
            }
        }
        Self { by_id: listed.iter().map(|d| (&d.id, d)).collect(), by_key }
    }

    fn find(&self, lookup: &DirectQuestion) -> Vec<Arc<Description>> {
        match &lookup.subject {
            Subject::Member(id) => self.by_id.get(id).copied().cloned().into_iter().collect(),
            Subject::Claim(key) => {
                self.by_key.get(key.as_str()).into_iter().flatten().copied().cloned().collect()
            }
        }
    }
}

/// The tag by which a group's members are listed.
pub(crate) fn group_tags(config: &GroupConfig) -> Tags {
    Tags::from([(tags::GROUP.to_owned(), config.id.as_str().to_owned())])
}

/// The tags that InfraKit puts on a member.
fn member_tags(config: &GroupConfig, slot: &Slot) -> Tags {
    let mut tags = group_tags(config);
    tags.insert(tags::CONFIG_HASH.to_owned(), config.hash.as_str().to_owned());
    if let Slot::Identity(id) = slot {
        tags.insert(tags::LOGICAL_ID.to_owned(), id.as_str().to_owned());
    }
    tags
}

/// Adds our own tags, and restores those that a flavor must not take away: without them a member
/// would not be found again.
fn stamp(
    mut spec: InstanceSpec,
    step: &GroupStep,
    slot: &Slot,
    config: &GroupConfig,
) -> InstanceSpec {
    spec.tags.extend(member_tags(config, slot));
    spec.tags.insert(tags::STEP_KEY.to_owned(), step.key.as_str().to_owned());
    if let Some(mandate) = Mandate::current() {
        spec.tags.insert(tags::FENCE.to_owned(), mandate.fence.to_string());
    }
    if let Slot::Number(number) = slot {
        spec.tags.insert(SLOT_TAG.to_owned(), number.to_string());
    }
    spec
}

#[async_trait]
impl Controller for GroupController {
    type Key = GroupId;
    type State = GroupState;
    type Question = Question;
    type Answer = Answer;
    type Step = GroupStep;
    type Outcome = Outcome;

    fn resume(&self, state: &mut GroupState, open: Vec<Intent>, now: Moment) {
        state.resume(open, now);
    }

    fn question(&self, state: &GroupState, now: Moment) -> Question {
        state.question(now)
    }

    async fn observe(&self, _: &GroupId, question: Question, fence: Option<Fence>) -> Answer {
        let plugin = question.config.document.instance.plugin.clone();
        let mandate = fence.and_then(|fence| self.authority.mandate(fence));
        Mandate::scope(mandate, self.look(question))
            .await
            .unwrap_or_else(|fault| Answer::failed(format!("list instances of {plugin}: {fault}")))
    }

    fn absorb(&self, state: &mut GroupState, seen: Sighting<Answer>) {
        state.absorb(seen);
    }

    fn plan(&self, state: &GroupState, now: Moment) -> Plan<GroupStep> {
        plan(state, now)
    }

    fn start(&self, state: &mut GroupState, steps: &[GroupStep], now: Moment) {
        state.start(steps, now);
    }

    async fn execute(&self, _key: &GroupId, step: &GroupStep, fence: Fence) -> Outcome {
        let done = Mandate::scope(self.authority.mandate(fence), self.act(step)).await;
        done.unwrap_or_else(|fault| Outcome::Failed {
            effect: fault.effect(),
            why: fault.to_string(),
        })
    }

    fn abandoned(&self) -> Outcome {
        Outcome::Failed { effect: Effect::Unknown, why: "the call was given up".to_owned() }
    }

    fn settle(&self, state: &mut GroupState, step: &GroupStep, outcome: Outcome, now: Moment) {
        state.settle(step, outcome, now);
    }

    fn not_started(&self, state: &mut GroupState, step: &GroupStep, now: Moment) {
        state.not_started(step, now);
    }

    fn blind(&self, state: &mut GroupState, why: String, _now: Moment) {
        state.quality = Quality::Failed(why);
    }

    fn is_blind(&self, state: &GroupState) -> bool {
        matches!(state.quality, Quality::Failed(_))
    }

    fn report(&self, state: &mut GroupState) -> Report {
        state.take_report()
    }

    fn destroy_budget(&self, state: &GroupState) -> Option<Budget> {
        state.config.destroy_budget(u32::try_from(state.members.len()).unwrap_or(u32::MAX))
    }
}

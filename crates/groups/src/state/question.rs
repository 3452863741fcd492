use std::sync::Arc;

use regrow_ids::{InstanceId, StepKey};
use regrow_plugin::spi::{Description, Health, Tags, tags};
use regrow_reconcile::{Moment, Quality};

use super::{GroupState, Progress};
use crate::config::SharedConfig;

/// What a look should cover.
#[derive(Clone, Debug)]
pub struct Question {
    /// The group, with the plugins to ask.
    pub config: SharedConfig,
    /// Whether the plugin's own view of each instance is needed.
    pub properties: bool,
    /// Instances that a list should have shown.
    pub lookups: Vec<DirectQuestion>,
    /// Members that the flavor is asked about.
    pub health_of: Vec<Arc<Description>>,
}

/// A direct question for one instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectQuestion {
    /// Whom it is about.
    pub subject: Subject,
    /// Tags that only this instance should carry.
    pub tags: Tags,
}

/// Whom a direct question is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// A member that was seen before.
    Member(InstanceId),
    /// An instance that was asked for.
    Claim(StepKey),
}

/// What a look brought.
#[derive(Clone, Debug)]
pub struct Answer {
    /// What the list is worth.
    pub quality: Quality,
    /// The list.
    pub instances: Vec<Arc<Description>>,
    /// Whether the provider never makes a second instance for the same key.
    pub remembers_keys: bool,
    /// Answers to direct questions: what carries the tags; `None` when the question failed.
    pub lookups: Vec<(Subject, Option<Vec<Arc<Description>>>)>,
    /// Answers of the flavor.
    pub health: Vec<(InstanceId, Health)>,
}

impl Answer {
    /// A look that showed everything there is: nothing yet.
    pub fn complete() -> Self {
        Self {
            quality: Quality::Complete,
            instances: vec![],
            remembers_keys: false,
            lookups: vec![],
            health: vec![],
        }
    }

    /// A look that failed.
    pub fn failed(why: String) -> Self {
        Self { quality: Quality::Failed(why), ..Self::complete() }
    }
}

impl GroupState {
    /// What the next look should cover.
    pub fn question(&self, now: Moment) -> Question {
        let health_of = self.health_wanted(now);
        Question {
            config: Arc::clone(&self.config),
            properties: !health_of.is_empty() || self.update.is_some() || self.dissolving,
            lookups: self.lookups(),
            health_of,
        }
    }

    fn lookups(&self) -> Vec<DirectQuestion> {
        let absent = self.members.iter().filter_map(|(id, member)| {
            member.absent.filter(|absence| !absence.looked_up)?;
            let own_key = member.description.tags.get(tags::STEP_KEY);
            let wanted = match own_key {
                Some(key) => Tags::from([(tags::STEP_KEY.to_owned(), key.clone())]),
                None => member.description.tags.clone(),
            };
            Some(DirectQuestion { subject: Subject::Member(id.clone()), tags: wanted })
        });
        let unseen = self.claims.iter().filter_map(|(key, claim)| {
            let waits = claim.progress != Progress::Asked && claim.looks > 0 && !claim.looked_up;
            let wanted = Tags::from([(tags::STEP_KEY.to_owned(), key.as_str().to_owned())]);
            waits.then(|| DirectQuestion { subject: Subject::Claim(key.clone()), tags: wanted })
        });
        absent.chain(unseen).collect()
    }
}

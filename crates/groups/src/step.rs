//! The steps of a group's plan.

use std::borrow::Cow;
use std::sync::Arc;

use regrow_codec::Any;
use regrow_ids::{InstanceId, StepKey};
use regrow_plugin::spi::{Description, DestroyReason};
use regrow_reconcile::{Class, Step};
use serde::{Deserialize, Serialize};

use crate::config::SharedConfig;
use crate::state::Slot;

/// One call to a plugin, decided in full.
#[derive(Clone, Debug)]
pub struct GroupStep {
    /// Idempotency key; stamped on what the step makes.
    pub key: StepKey,
    /// What to do.
    pub action: Action,
    /// Why, for people.
    pub why: Cow<'static, str>,
}

/// What a step does.
#[derive(Clone, Debug)]
pub enum Action {
    /// Makes a member.
    Create {
        /// The slot that it fills.
        slot: Slot,
        /// Place in the group, from 0.
        sequence: u32,
        /// What it is made from.
        config: SharedConfig,
    },
    /// Adopts an instance as it is.
    Adopt {
        /// The instance.
        description: Arc<Description>,
        /// The group that adopts it.
        config: SharedConfig,
    },
    /// Drains and destroys a member.
    Destroy {
        /// The member.
        description: Arc<Description>,
        /// The slot that it fills.
        slot: Slot,
        /// The group.
        config: SharedConfig,
        /// Why, for the provider.
        reason: DestroyReason,
        /// How to drain it.
        drain: Drain,
        /// It goes because it is unhealthy: its slot waits longer each time.
        broken: bool,
    },
    /// Drains a member and leaves it: the instance that this controller runs on.
    Spare {
        /// The member.
        description: Arc<Description>,
        /// The group.
        config: SharedConfig,
    },
}

/// How a member is drained before it is destroyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drain {
    /// Not at all.
    Skip,
    /// A failure is noted and the member destroyed all the same.
    Try,
    /// A failure keeps the member.
    Must,
}

/// What must be remembered to recognise the result of a create step after a restart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateIntent {
    /// Number of the slot, for a group by size.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<u32>,
    /// Identity, for a group of identities.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// Hash of the configuration.
    pub hash: String,
}

/// What must be remembered to go on with a destroy step after a restart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DestroyIntent {
    /// The instance.
    pub id: InstanceId,
    /// Why it goes.
    pub reason: DestroyReason,
}

impl Step for GroupStep {
    fn key(&self) -> &StepKey {
        &self.key
    }

    fn class(&self) -> Class {
        match self.action {
            Action::Create { .. } => Class::Create,
            Action::Adopt { .. } | Action::Spare { .. } => Class::Change,
            Action::Destroy { .. } => Class::Destroy,
        }
    }

    fn intent(&self) -> Any {
        match &self.action {
            Action::Create { slot, config, .. } => {
                let (number, identity) = match slot {
                    Slot::Number(number) => (Some(*number), None),
                    Slot::Identity(id) => (None, Some(id.as_str().to_owned())),
                    Slot::Stray => (None, None),
                };
                let hash = config.hash.as_str().to_owned();
                Any::from_serialize(&CreateIntent { number, identity, hash })
            }
            Action::Destroy { description, reason, .. } => {
                let id = description.id.clone();
                Any::from_serialize(&DestroyIntent { id, reason: *reason })
            }
            Action::Adopt { description, .. } | Action::Spare { description, .. } => {
                Any::from_serialize(&description.id)
            }
        }
    }

    fn describe(&self) -> String {
        match &self.action {
            Action::Create { slot, .. } => {
                format!("create the member of slot {slot}: {}", self.why)
            }
            Action::Adopt { description, .. } => {
                format!("adopt instance {}: {}", description.id, self.why)
            }
            Action::Destroy { description, slot, .. } => {
                format!("destroy instance {} of slot {slot}: {}", description.id, self.why)
            }
            Action::Spare { description, .. } => {
                format!("drain instance {}: {}", description.id, self.why)
            }
        }
    }
}

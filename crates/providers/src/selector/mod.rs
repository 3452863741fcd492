//! An instance plugin over several others: each instance is made by one of them.
//!
//! * `tiered` tries its choices in order until one succeeds: spot machines first, then others.
//! * `spread` takes the choice that has the fewest instances.
//! * `weighted` takes one by chance, according to weights.
//!
//! A choice names an instance plugin, the logical ids that only it may make, and what the strategy
//! needs to know of it. Properties of an instance are a map from the names of the choices to what
//! their plugins understand; `default` stands for choices that are not named.
//!
//! A list is whole or fails. Destroy and Label go to the one choice that has the instance: where it
//! was last seen, and only when that choice refuses all are listed to find it. Every
//! call ends within a bounded time. A Provision whose outcome is unknown is not tried elsewhere: that
//! might make two. The choice that was asked is remembered with the key, in memory, and alone asked
//! again until a list shows the instance, the choice knows of the key and refuses, or so much time
//! has passed that the call cannot come to anything.

mod changes;
mod choice;
mod counts;
mod fan;
mod open;
mod owners;
mod provider;

use std::sync::Arc;

use regrow_codec::Any;
use regrow_ids::{InstanceId, PluginName};
use regrow_plugin::spi::Instance;
use regrow_plugin::{Effect, FixedObjects, Lookup, Plugin, PluginError};

pub use choice::{Affinity, Choice, Choices};
pub use provider::{Selector, Strategy};

/// What can go wrong between the choices.
#[derive(Debug, thiserror::Error)]
pub enum SelectorError {
    /// Options that cannot work.
    #[error("read choices of the selector: {0}")]
    Choices(String),
    /// Properties that are no map, or name something that is no choice.
    #[error("read properties of the selector: {0}")]
    Properties(String),
    /// A choice without settings.
    #[error(
        "There is no Properties for choice {choice}; add them under its name or under \"default\""
    )]
    NoProperties {
        /// The choice.
        choice: PluginName,
    },
    /// A choice failed.
    #[error("{doing} through choice {choice}: {source}")]
    Choice {
        /// What was asked.
        doing: &'static str,
        /// The choice.
        choice: PluginName,
        /// Its error.
        #[source]
        source: Box<PluginError>,
    },
    /// No tier made an instance.
    #[error("cannot provision instance: {}", reasons.join("; "))]
    NoTier {
        /// What each of them said.
        reasons: Vec<String>,
        /// What is known about the effect of all these calls together.
        effect: Effect,
    },
    /// No choice has the instance.
    #[error("{doing} instance {id}: not found in any choice")]
    Unknown {
        /// What was asked.
        doing: &'static str,
        /// The instance.
        id: InstanceId,
    },
    /// Two choices use the same id for different instances.
    #[error("instance {id} is in the choices {first} and {second}; give them different plugins")]
    Ambiguous {
        /// The id.
        id: InstanceId,
        /// One of them.
        first: PluginName,
        /// The other.
        second: PluginName,
    },
}

impl SelectorError {
    /// What callers of the plugin get. An error that leaves the outcome open stays one, and a choice
    /// that was never asked has refused nothing.
    fn into_plugin_error(self) -> PluginError {
        let effect = match &self {
            Self::Choice { source, .. } => source.effect(),
            Self::NoTier { effect, .. } => *effect,
            _ => Effect::Refused,
        };
        match (effect, self) {
            (Effect::Unknown, Self::Choice { source, .. }) => *source,
            (Effect::None, fault) => PluginError::NotMade(fault.to_string()),
            (_, fault) => PluginError::refused(fault.to_string()),
        }
    }
}

/// A plugin with the objects `spread`, `tiered` and `weighted` over the same choices.
///
/// # Errors
/// The choices cannot work.
pub fn plugin(
    name: impl Into<String>,
    lookup: &Arc<dyn Lookup>,
    choices: &Any,
) -> Result<Plugin, SelectorError> {
    let choices = Choices::read(choices)?;
    let mut objects = FixedObjects::default();
    for strategy in Strategy::ALL {
        let selector = Selector::new(strategy, choices.clone(), Arc::clone(lookup));
        objects = objects.with(strategy.name(), Arc::new(selector) as Arc<dyn Instance>);
    }
    Ok(Plugin::new(name).with_instances(objects))
}

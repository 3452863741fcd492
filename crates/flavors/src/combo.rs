//! The flavor that joins several flavors.
//!
//! Settings are a list of `{Plugin, Properties}`, or `{"Flavors": [...]}` as the first versions of
//! InfraKit had it. Each flavor prepares its own copy of the instance as it came; then what each of
//! them added is put together in the order of the list (see [`merge`]). A member is as healthy as
//! the first flavor that does not call it healthy, and draining goes through all flavors even when
//! one fails.
//!
//! Where it is better than the original: a script that the instance already had is not repeated
//! once for each flavor, a flavor that leaves a tag alone does not undo the change of an earlier
//! one, and [`validate`](Flavor::validate) asks every flavor instead of looking at the shape only.

mod merge;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_trait::async_trait;
use regrow_codec::Any;
use regrow_codec::decode::{self, DecodeError};
use regrow_ids::PluginName;
use regrow_plugin::spi::{Allocation, Description, Flavor, Health, Index, InstanceSpec, Result};
use regrow_plugin::{Lookup, Plugin, PluginError};
use serde::Deserialize;
use serde::de::DeserializeOwned;

pub use merge::merge;

/// Usual name of the plugin.
pub const KIND: &str = "combo";

/// Most flavors in one list. Each costs a call for every member and every health check.
pub const MAX_FLAVORS: usize = 64;

/// A plugin with this flavor, which finds the others through `lookup`.
pub fn plugin(name: &str, lookup: Arc<dyn Lookup>) -> Plugin {
    Plugin::flavor(name, Combo::new(lookup))
}

/// One flavor of the list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Part {
    /// The plugin to ask.
    pub plugin: PluginName,
    /// What it is told.
    pub properties: Any,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Wrapped {
    flavors: Vec<Part>,
}

#[derive(Debug, thiserror::Error)]
enum ComboError {
    #[error("read settings of flavor combo: {0}; expected a list of {{Plugin, Properties}}")]
    Settings(#[from] DecodeError),
    #[error(
        "read settings of flavor combo: it lists {0} flavors, at most {MAX_FLAVORS} are allowed"
    )]
    TooMany(usize),
    #[error("read settings of flavor combo: flavor {number} has no Plugin; name the plugin to ask")]
    NoPlugin { number: usize },
    #[error(
        "find flavor {number} of combo, {plugin}: {source}; start that plugin or correct Plugin"
    )]
    Find { number: usize, plugin: PluginName, source: Box<PluginError> },
    #[error("{doing} flavor {number} of combo, {plugin}: {source}")]
    Call { doing: &'static str, number: usize, plugin: PluginName, source: Box<PluginError> },
}

impl From<ComboError> for PluginError {
    fn from(fault: ComboError) -> Self {
        Self::refused(fault.to_string())
    }
}

/// The flavor.
#[derive(Clone)]
pub struct Combo {
    lookup: Arc<dyn Lookup>,
}

impl Combo {
    /// A flavor that finds the others through `lookup`, anew for every call.
    pub fn new(lookup: Arc<dyn Lookup>) -> Self {
        Self { lookup }
    }

    async fn find(
        &self,
        number: usize,
        part: &Part,
    ) -> std::result::Result<Arc<dyn Flavor>, ComboError> {
        let plugin = part.plugin.clone();
        self.lookup.flavor(&plugin).await.map_err(|source| ComboError::Find {
            number,
            plugin,
            source: source.into(),
        })
    }
}

/// How to take fields that nobody knows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unknown {
    Refuse,
    Ignore,
}

fn read(properties: &Any, unknown: Unknown) -> std::result::Result<Vec<Part>, ComboError> {
    let parts = if properties.as_text().trim_start().starts_with('{') {
        decode_as::<Wrapped>(properties, unknown)?.flavors
    } else {
        decode_as::<Vec<Part>>(properties, unknown)?
    };
    if parts.len() > MAX_FLAVORS {
        return Err(ComboError::TooMany(parts.len()));
    }
    match parts.iter().position(|part| part.plugin.is_empty()) {
        Some(at) => Err(ComboError::NoPlugin { number: at + 1 }),
        None => Ok(parts),
    }
}

fn decode_as<T: DeserializeOwned>(
    properties: &Any,
    unknown: Unknown,
) -> std::result::Result<T, DecodeError> {
    let json = properties.as_text().as_bytes();
    match unknown {
        Unknown::Refuse => decode::from_slice_strict(json),
        Unknown::Ignore => decode::from_slice(json),
    }
}

/// The parts with their numbers as people count.
fn numbered(parts: &[Part]) -> impl Iterator<Item = (usize, &Part)> {
    (1..).zip(parts)
}

#[async_trait]
impl Flavor for Combo {
    /// Stricter than the other calls: an unknown field is refused here, where a person can still
    /// correct it, and ignored there.
    async fn validate(&self, properties: &Any, allocation: &Allocation) -> Result<()> {
        for (number, part) in numbered(&read(properties, Unknown::Refuse)?) {
            let flavor = self.find(number, part).await?;
            flavor
                .validate(&part.properties, allocation)
                .await
                .map_err(|source| part.failed("check", number, source))?;
        }
        Ok(())
    }

    async fn prepare(
        &self,
        properties: &Any,
        spec: InstanceSpec,
        allocation: &Allocation,
        index: &Index,
    ) -> Result<InstanceSpec> {
        let parts = read(properties, Unknown::Ignore)?;
        let mut prepared = Vec::with_capacity(parts.len());
        for (number, part) in numbered(&parts) {
            let flavor = self.find(number, part).await?;
            let result = flavor
                .prepare(&part.properties, spec.clone(), allocation, index)
                .await
                .map_err(|source| part.failed("prepare instance by", number, source))?;
            prepared.push(result);
        }
        Ok(merge(&spec, prepared))
    }

    async fn healthy(&self, properties: &Any, instance: &Description) -> Result<Health> {
        for (number, part) in numbered(&read(properties, Unknown::Ignore)?) {
            let health = self.find(number, part).await?.healthy(&part.properties, instance).await?;
            if health != Health::Healthy {
                return Ok(health);
            }
        }
        Ok(Health::Healthy)
    }

    async fn drain(&self, properties: &Any, instance: &Description) -> Result<()> {
        let mut faults: Vec<PluginError> = Vec::new();
        for (number, part) in numbered(&read(properties, Unknown::Ignore)?) {
            let drained = match self.find(number, part).await {
                Ok(flavor) => flavor.drain(&part.properties, instance).await,
                Err(fault) => Err(fault.into()),
            };
            faults.extend(drained.err());
        }
        match faults.len() {
            0 => Ok(()),
            // As it came, so that the caller still sees whether the call may have taken effect.
            1 => faults.pop().map_or(Ok(()), Err),
            _ => {
                let texts: Vec<_> = faults.iter().map(ToString::to_string).collect();
                Err(PluginError::refused(texts.join(", ")))
            }
        }
    }
}

impl Part {
    fn failed(&self, doing: &'static str, number: usize, source: PluginError) -> ComboError {
        ComboError::Call { doing, number, plugin: self.plugin.clone(), source: source.into() }
    }
}

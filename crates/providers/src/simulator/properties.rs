//! What the simulator reads of an instance's properties.

use regrow_codec::{Any, decode};
use regrow_ids::GoDuration;
use regrow_plugin::PluginError;
use regrow_plugin::spi::Result;
use serde::{Deserialize, Serialize};

/// What the simulator reads of an instance's properties; anything else is allowed and kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Properties {
    /// Provision fails when so many instances exist. Default 0: no limit.
    pub simulator_cap: usize,
    /// Time until the instance is made, in addition to the option's. Default 0.
    pub simulator_delay: GoDuration,
}

pub(super) fn read_properties(properties: &Any) -> Result<Properties> {
    // Whatever is no object holds nothing for the simulator, as in the original.
    if !properties.as_text().trim_start().starts_with('{') {
        return Ok(Properties::default());
    }
    decode::from_slice(properties.as_text().as_bytes())
        .map_err(|fault| PluginError::refused(format!("read simulator properties: {fault}")))
}

//! Which part of the outside world an instance plugin's list covers.

use std::fmt;

use regrow_ids::PluginName;
use serde::{Deserialize, Serialize};

/// What the list of an instance plugin covers, named so that two plugins that may show the same
/// instance name the same world: a folder on a machine, an account of a cloud. A manager keeps who
/// owns a group there under this name, so a plugin must not change how it names its world.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct World(String);

impl World {
    /// A world by its name: the kind of plugin, what it covers, and where that is.
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// That of a plugin that says nothing of its world: its name as a spec gives it. Plugins of one
    /// name count as one world wherever they run, as those for clouds are.
    pub fn of_plugin(name: &PluginName) -> Self {
        Self(format!("plugin {name}"))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::spi::{Interface, Result};
use crate::{Plugin, PluginError};

/// Request of `Handshake.Hello`.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct HelloParams {}

/// What a plugin says it offers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Hello {
    /// `Interface/Version` → its objects.
    pub objects: BTreeMap<String, Vec<ObjectName>>,
}

/// One object behind an interface.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct ObjectName {
    /// Its name; `.` is the default object.
    pub name: String,
    /// Plugin that it stands for, usually empty.
    pub proxy_for: String,
}

impl Hello {
    pub(crate) fn of(plugin: &Plugin) -> Self {
        let named = |name| ObjectName { name, proxy_for: String::new() };
        let objects = plugin
            .interfaces()
            .into_iter()
            .map(|(interface, names)| (interface.spec(), names.into_iter().map(named).collect()));
        Self { objects: objects.collect() }
    }

    /// Names of the objects of an interface in the version that we speak.
    pub fn names(&self, interface: Interface) -> Vec<&str> {
        let objects = self.objects.get(&interface.spec()).map_or(&[][..], Vec::as_slice);
        objects.iter().map(|object| object.name.as_str()).collect()
    }

    /// Checks that the plugin offers an interface in our version.
    ///
    /// # Errors
    /// [`PluginError::Protocol`] with InfraKit's text.
    pub fn require(&self, interface: Interface) -> Result<()> {
        let (name, wanted) = (interface.name(), interface.version());
        let mut other = None;
        for spec in self.objects.keys() {
            match spec.split_once('/') {
                Some((found, version)) if found == name && version == wanted => return Ok(()),
                Some((found, version)) if found == name => other = Some(version),
                _ => {}
            }
        }
        Err(PluginError::Protocol(match other {
            Some(version) => format!(
                "Plugin supports {name} interface version {version}, client requires {wanted}"
            ),
            None => format!("Plugin does not support interface {name}"),
        }))
    }
}

use std::fmt;
use std::sync::Arc;

use data_encoding::BASE32_NOPAD;
use regrow_codec::gojson;
use sha1::{Digest, Sha1};

use super::PluginSettings;

/// Hash of the parts of a configuration that make a member (InfraKit specification §3.7). Equal to
/// InfraKit's, so that a running group is taken over without replacing anybody.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConfigHash(Arc<str>);

impl ConfigHash {
    /// Hashes the instance's and the flavor's settings.
    pub fn of(instance: &PluginSettings, flavor: &PluginSettings) -> Self {
        let mut sha1 = Sha1::new();
        for settings in [instance, flavor] {
            let document = serde_json::json!({
                "Plugin": settings.plugin.as_str(),
                "Properties": settings.properties.to_value(),
            });
            sha1.update(gojson::indented(&document, "  ", "  "));
        }
        Self(BASE32_NOPAD.encode(&sha1.finalize()).to_ascii_lowercase().into())
    }

    /// Takes a hash as found on an instance.
    pub fn from_tag(text: &str) -> Self {
        Self(text.into())
    }

    /// The 32 characters.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ConfigHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for ConfigHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

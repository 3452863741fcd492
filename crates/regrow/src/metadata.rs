//! Metadata of plugins as templates see it: `{{ metadata "vars/cluster/size" }}`.

use regrow_codec::Any;
use regrow_ids::PluginName;
use regrow_plugin::PluginError;
use regrow_plugin::spi::Change;
use regrow_template::MetadataLookup;
use serde_json::Value;
use tokio::runtime::Handle;

use crate::finder::Finder;

/// Asks plugins from a rendering thread.
pub struct PluginMetadata {
    finder: Finder,
    runtime: Handle,
}

impl PluginMetadata {
    /// To be made inside the runtime that drives the calls.
    pub fn new(finder: Finder) -> Self {
        Self { finder, runtime: Handle::current() }
    }
}

async fn get(finder: &Finder, path: &str) -> Result<Option<Value>, PluginError> {
    let (plugin, rest) = finder.resolve_tree(path).await?;
    let found = finder.tree(&plugin).await?.get(&rest).await?;
    Ok(found.map(|any| any.to_value()))
}

async fn set(finder: &Finder, path: &str, value: &Value) -> Result<(), PluginError> {
    let (plugin, rest) = finder.resolve_tree(path).await?;
    let tree = finder.lookup().updatable(&PluginName::new(plugin.as_str())).await?;
    let change = Change { path: rest, value: Any::from(value) };
    let proposal = tree.changes(&[change]).await?;
    tree.commit(&proposal.proposed, &proposal.cas).await
}

impl MetadataLookup for PluginMetadata {
    /// A plugin that is not there, or has no trees, gives nothing: so it is with InfraKit.
    fn get(&self, path: &str) -> Result<Option<Value>, String> {
        match self.runtime.block_on(get(&self.finder, path)) {
            Ok(found) => Ok(found),
            Err(PluginError::NotFound(_) | PluginError::Unreachable { .. }) => Ok(None),
            Err(PluginError::Protocol(why)) if why.starts_with("Plugin does not support") => {
                Ok(None)
            }
            Err(error) => Err(error.to_string()),
        }
    }

    fn set(&self, path: &str, value: &Value) -> Result<(), String> {
        self.runtime.block_on(set(&self.finder, path, value)).map_err(|error| error.to_string())
    }
}

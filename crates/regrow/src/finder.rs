//! The plugins that a process can reach: its own, those of the directory, or a remote manager's.

use std::sync::Arc;

use anyhow::Result;
use regrow_ids::PluginName;
use regrow_plugin::spi::{Interface, Metadata};
use regrow_plugin::{
    Client, Directory, Lookup, PluginError, Registry, RemotePlugins, SocketPlugins, keyed,
};

/// Finds plugins by name, and says what they offer. Cheap to clone.
#[derive(Clone)]
pub struct Finder {
    own: Option<Arc<Registry>>,
    outside: Outside,
}

#[derive(Clone)]
enum Outside {
    Sockets(Arc<SocketPlugins>),
    Remote(Arc<RemotePlugins>),
}

/// What a plugin offers: interfaces with version, and the names of their objects.
pub type Offers = Vec<(String, Vec<String>)>;

impl Finder {
    /// The plugins of a directory.
    pub fn directory(directory: Directory) -> Self {
        Self { own: None, outside: Outside::Sockets(Arc::new(SocketPlugins::new(directory))) }
    }

    /// The plugins of a remote manager.
    pub fn remote(plugins: RemotePlugins) -> Self {
        Self { own: None, outside: Outside::Remote(Arc::new(plugins)) }
    }

    /// The same, with plugins of this process before them. Returns the registry to fill.
    pub fn with_own(&self) -> (Self, Arc<Registry>) {
        let registry = Arc::new(Registry::before(self.outside()));
        (Self { own: Some(Arc::clone(&registry)), outside: self.outside.clone() }, registry)
    }

    fn outside(&self) -> Arc<dyn Lookup> {
        match &self.outside {
            Outside::Sockets(plugins) => Arc::clone(plugins) as Arc<dyn Lookup>,
            Outside::Remote(plugins) => Arc::clone(plugins) as Arc<dyn Lookup>,
        }
    }

    /// As a lookup for other crates.
    pub fn lookup(&self) -> Arc<dyn Lookup> {
        match &self.own {
            Some(registry) => Arc::clone(registry) as Arc<dyn Lookup>,
            None => self.outside(),
        }
    }

    /// Names of all plugins that can be found now, sorted.
    pub fn names(&self) -> Vec<String> {
        self.lookup().names()
    }

    /// A client for a plugin outside of this process.
    pub fn client(&self, name: &PluginName) -> Result<Client, PluginError> {
        match &self.outside {
            Outside::Sockets(plugins) => plugins.client(name),
            Outside::Remote(plugins) => plugins.client(name),
        }
    }

    /// What a plugin offers.
    pub async fn offers(&self, name: &str) -> Result<Offers, PluginError> {
        if let Some(plugin) = self.own.as_ref().and_then(|own| own.get(name)) {
            let all = plugin.interfaces().into_iter();
            return Ok(all.map(|(interface, names)| (interface.spec(), names)).collect());
        }
        let hello = self.client(&PluginName::new(name))?.hello().await?;
        let named = |objects: Vec<regrow_plugin::wire::ObjectName>| {
            objects.into_iter().map(|object| object.name).collect()
        };
        Ok(hello.objects.into_iter().map(|(spec, objects)| (spec, named(objects))).collect())
    }

    /// Names of a plugin's trees, those that can be changed included.
    async fn trees(&self, name: &str) -> Result<Vec<String>, PluginError> {
        let trees = [Interface::Metadata.spec(), Interface::Updatable.spec()];
        let offers = self.offers(name).await?;
        Ok(offers
            .into_iter()
            .filter(|(spec, _)| trees.contains(spec))
            .flat_map(|(_, n)| n)
            .collect())
    }

    /// A tree to read, whether it can be changed or not.
    pub async fn tree(&self, name: &PluginName) -> Result<Arc<dyn Metadata>, PluginError> {
        let lookup = self.lookup();
        if let Some(plugin) = self.own.as_ref().and_then(|own| own.get(name.lookup())) {
            let readable = plugin.metadata().and_then(|objects| keyed(objects, name));
            if let Some(tree) = readable {
                return Ok(tree);
            }
            if plugin.updatables().is_some() {
                return Ok(lookup.updatable(name).await?);
            }
        }
        lookup.metadata(name).await
    }

    /// The tree and the path in it that a path from the root of all plugins means: the first segment
    /// is the plugin; the second is one of its trees if it has one of that name.
    pub async fn resolve_tree(&self, path: &str) -> Result<(PluginName, String), PluginError> {
        let path = path.trim_matches('/');
        let (plugin, rest) = path.split_once('/').unwrap_or((path, ""));
        let (second, below) = rest.split_once('/').unwrap_or((rest, ""));
        let trees = self.trees(plugin).await?;
        if !second.is_empty() && second != "." && trees.iter().any(|tree| tree == second) {
            return Ok((PluginName::with_subtype(plugin, second), below.to_owned()));
        }
        Ok((PluginName::new(plugin), rest.to_owned()))
    }
}

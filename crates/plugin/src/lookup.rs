use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};

use async_trait::async_trait;
use regrow_ids::PluginName;

use crate::objects::{keyed, typed};
use crate::spi::{
    Controller, Events, Flavor, Group, Instance, L4, Metadata, Resource, Result, Stack, Updatable,
};
use crate::{Plugin, PluginError};

macro_rules! lookup {
    ($($(#[$doc:meta])*
       $method:ident: $object:ident, $objects:ident, $rule:ident $(or $others:ident)?;)*) => {
        /// Turns names into objects, wherever they live.
        ///
        /// A lookup is made anew for each use, so that a plugin which was restarted, or moved into
        /// another process, is found again.
        ///
        /// # Errors
        /// Every method: [`PluginError::NotFound`] when there is no such plugin or object, and
        /// [`PluginError::Protocol`] when the plugin does not offer the interface in our version.
        #[async_trait]
        pub trait Lookup: Send + Sync {
            /// Names of the plugins that can be found now, sorted.
            fn names(&self) -> Vec<String>;

            $(
                $(#[$doc])*
                async fn $method(&self, name: &PluginName) -> Result<Arc<dyn $object>>;
            )*
        }

        #[async_trait]
        impl Lookup for Registry {
            fn names(&self) -> Vec<String> {
                let mut names: Vec<_> = self.plugins().keys().cloned().collect();
                if let Some(next) = &self.next {
                    names.extend(next.names());
                }
                names.sort();
                names.dedup();
                names
            }

            $(
                async fn $method(&self, name: &PluginName) -> Result<Arc<dyn $object>> {
                    let Some(plugin) = self.get(name.lookup()) else {
                        return match &self.next {
                            Some(next) => next.$method(name).await,
                            None => Err(not_found(name)),
                        };
                    };
                    let found = plugin.$objects().ok_or_else(|| {
                        let interface = stringify!($object).trim_end_matches('s');
                        PluginError::Protocol(format!("Plugin does not support interface {interface}"))
                    });
                    let found = found.and_then(|objects| rule::$rule(objects, name));
                    $(
                        let found = found.or_else(|error| {
                            let other = plugin.$others().map(|others| rule::$rule(others, name));
                            match other {
                                Some(Ok(object)) => Ok(object as Arc<dyn $object>),
                                _ => Err(error),
                            }
                        });
                    )?
                    found
                }
            )*
        }
    };
}

lookup! {
    /// A controller.
    controller: Controller, controllers, keyed;
    /// A publisher of events.
    events: Events, events, keyed;
    /// A flavor.
    flavor: Flavor, flavors, typed;
    /// A group controller.
    group: Group, groups, keyed;
    /// A source of instances.
    instance: Instance, instances, typed;
    /// A load balancer.
    l4: L4, l4s, typed;
    /// A readable tree; also one that can be changed.
    metadata: Metadata, metadata, keyed or updatables;
    /// A resource manager.
    resource: Resource, resources, keyed;
    /// The manager of a stack.
    stack: Stack, stacks, keyed;
    /// A changeable tree.
    updatable: Updatable, updatables, keyed;
}

fn not_found(name: &PluginName) -> PluginError {
    PluginError::NotFound(format!("plugin not found:{}", name.lookup()))
}

/// How a name selects an object, and the text when it selects none.
pub(crate) mod rule {
    use super::{Arc, PluginError, PluginName, Result};
    use crate::Objects;

    pub(crate) fn typed<T: ?Sized>(objects: &dyn Objects<T>, name: &PluginName) -> Result<Arc<T>> {
        super::typed(objects, name.subtype())
            .ok_or_else(|| PluginError::NotFound(format!("no-plugin:{}", name.subtype())))
    }

    pub(crate) fn keyed<T: ?Sized>(objects: &dyn Objects<T>, name: &PluginName) -> Result<Arc<T>> {
        super::keyed(objects, name).ok_or_else(|| {
            PluginError::NotFound(format!("not found: {name} (key={})", name.subtype()))
        })
    }
}

/// The plugins that live in this process; names that it does not have go to the next lookup.
#[derive(Default)]
pub struct Registry {
    plugins: RwLock<BTreeMap<String, Plugin>>,
    next: Option<Arc<dyn Lookup>>,
}

impl Registry {
    /// A registry that asks `next` for the names that it does not have.
    pub fn before(next: Arc<dyn Lookup>) -> Self {
        Self { plugins: RwLock::default(), next: Some(next) }
    }

    /// Adds a plugin, replacing one of the same name.
    pub fn add(&self, plugin: Plugin) {
        // A poisoned lock only says that another thread panicked; the map itself is whole.
        let mut plugins = self.plugins.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        plugins.insert(plugin.name().to_owned(), plugin);
    }

    /// Removes a plugin.
    pub fn remove(&self, name: &str) {
        let mut plugins = self.plugins.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        plugins.remove(name);
    }

    /// The plugin of that name in this process.
    pub fn get(&self, name: &str) -> Option<Plugin> {
        self.plugins().get(name).cloned()
    }

    fn plugins(&self) -> std::sync::RwLockReadGuard<'_, BTreeMap<String, Plugin>> {
        self.plugins.read().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use regrow_ids::PluginName;

use super::{Directory, Endpoint};
use crate::client::{Client, Timeouts};
use crate::spi::{
    Controller, Events, Flavor, Group, Instance, L4, Metadata, Resource, Result, Stack, Updatable,
};
use crate::{Lookup, PluginError};

/// Clients that are kept for the next lookup.
const KEPT_CLIENTS: usize = 256;

/// The plugins of a discovery directory.
pub struct SocketPlugins {
    directory: Directory,
    timeouts: Timeouts,
    clients: Clients,
}

impl SocketPlugins {
    /// The plugins of a directory, with the time limits of the environment.
    pub fn new(directory: Directory) -> Self {
        Self::with(directory, Timeouts::from_env())
    }

    /// The plugins of a directory, with own time limits.
    pub fn with(directory: Directory, timeouts: Timeouts) -> Self {
        Self { directory, timeouts, clients: Clients::default() }
    }

    /// The directory.
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// A client for the plugin of that name (the part before the first `/`).
    ///
    /// # Errors
    /// There is no such plugin: `plugin not found:NAME`.
    pub fn client(&self, name: &PluginName) -> Result<Client> {
        let endpoint = self.directory.find(name.lookup())?;
        Ok(self.clients.get(endpoint, |endpoint| Client::with(endpoint, self.timeouts)))
    }
}

/// One client for each address, so that its connections and its handshake are used again.
#[derive(Default)]
pub(super) struct Clients(Mutex<BTreeMap<Endpoint, Client>>);

impl Clients {
    pub(super) fn get(&self, endpoint: Endpoint, make: impl FnOnce(Endpoint) -> Client) -> Client {
        let mut clients = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&endpoint) {
            return client.clone();
        }
        if clients.len() >= KEPT_CLIENTS {
            // Which one goes matters little: those in use are held by their callers.
            clients.pop_first();
        }
        let client = make(endpoint.clone());
        clients.insert(endpoint, client.clone());
        client
    }
}

/// Implements [`Lookup`] by asking the client of the named plugin.
macro_rules! lookup_by_client {
    ($plugins:ty, $names:ident; $($method:ident: $object:ident;)*) => {
        #[async_trait]
        impl Lookup for $plugins {
            fn names(&self) -> Vec<String> {
                self.$names()
            }

            $(
                async fn $method(&self, name: &PluginName) -> Result<Arc<dyn $object>> {
                    self.client(name)?.$method(name).await
                }
            )*
        }
    };
}

macro_rules! every_interface {
    ($plugins:ty, $names:ident) => {
        lookup_by_client! {
            $plugins, $names;
            controller: Controller;
            events: Events;
            flavor: Flavor;
            group: Group;
            instance: Instance;
            l4: L4;
            metadata: Metadata;
            resource: Resource;
            stack: Stack;
            updatable: Updatable;
        }
    };
}

every_interface!(SocketPlugins, listed);
every_interface!(super::RemotePlugins, listed);

impl SocketPlugins {
    fn listed(&self) -> Vec<String> {
        match self.directory.list() {
            Ok(found) => found.into_keys().collect(),
            Err(error) => {
                let error: PluginError = error;
                tracing::warn!(%error, "no plugins are found");
                Vec::new()
            }
        }
    }
}

use std::sync::{Mutex, PoisonError};

use regrow_ids::PluginName;
use serde::{Deserialize, Serialize};

use super::Endpoint;
use super::sockets::Clients;
use crate::PluginError;
use crate::client::{Client, Timeouts};
use crate::spi::Result;

/// What a manager's port says of itself (InfraKit specification §1.7).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Mux {
    /// True on the replica that leads.
    pub leader: bool,
    /// Names of the plugins behind the port.
    pub plugins: Vec<String>,
}

/// The plugins behind the port of a remote manager.
pub struct RemotePlugins {
    url: Endpoint,
    make: Box<dyn Fn(Endpoint) -> Client + Send + Sync>,
    names: Mutex<Vec<String>>,
    clients: Clients,
}

impl RemotePlugins {
    /// Asks the managers at all the URLs and takes the one that leads, or the only one.
    ///
    /// # Errors
    /// None of them leads, or none answers.
    pub async fn connect(urls: &[String], timeouts: Timeouts) -> Result<Self> {
        Self::connect_with(urls, move |endpoint| Client::with(endpoint, timeouts)).await
    }

    /// As [`RemotePlugins::connect`], with clients made by the caller, such as encrypted ones.
    ///
    /// # Errors
    /// None of them leads, or none answers.
    pub async fn connect_with(
        urls: &[String],
        make: impl Fn(Endpoint) -> Client + Send + Sync + 'static,
    ) -> Result<Self> {
        let mut failures = Vec::new();
        let mut followers = 0;
        for url in urls {
            let endpoint = endpoint(url)?;
            match make(endpoint.clone()).options().await {
                Ok(mux) if mux.leader || urls.len() == 1 => {
                    return Ok(Self {
                        url: endpoint,
                        make: Box::new(make),
                        names: Mutex::new(mux.plugins),
                        clients: Clients::default(),
                    });
                }
                Ok(_) => followers += 1,
                Err(error) => failures.push(error.to_string()),
            }
        }
        let reason = match (urls.len(), followers) {
            (0, _) => "no URL is given".to_owned(),
            (_, 0) => failures.join("; "),
            _ => std::iter::once(format!("{followers} answer, but none of them leads"))
                .chain(failures)
                .collect::<Vec<_>>()
                .join("; "),
        };
        Err(PluginError::Unreachable { plugin: urls.join(", "), reason })
    }

    /// The manager that was chosen.
    pub fn url(&self) -> &Endpoint {
        &self.url
    }

    /// Asks the manager again which plugins it has.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn refresh(&self) -> Result<Mux> {
        let mux = self.clients.get(self.url.clone(), &self.make).options().await?;
        *self.names.lock().unwrap_or_else(PoisonError::into_inner) = mux.plugins.clone();
        Ok(mux)
    }

    /// A client for the plugin of that name (the part before the first `/`).
    ///
    /// # Errors
    /// The manager had no such plugin when it was last asked: `plugin not found:NAME`.
    pub fn client(&self, name: &PluginName) -> Result<Client> {
        if !self.listed().iter().any(|known| known == name.lookup()) {
            return Err(PluginError::NotFound(format!("plugin not found:{}", name.lookup())));
        }
        let endpoint = match &self.url {
            Endpoint::Http { authority, path } => Endpoint::Http {
                authority: authority.clone(),
                path: format!("{path}{}/", name.lookup()),
            },
            other => other.clone(),
        };
        Ok(self.clients.get(endpoint, &self.make))
    }

    pub(super) fn listed(&self) -> Vec<String> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// People write `host:port` as well.
fn endpoint(url: &str) -> Result<Endpoint> {
    let full = match url.split_once("://") {
        Some(("tcp", rest)) => format!("http://{rest}"),
        Some(_) => url.to_owned(),
        None => format!("http://{url}"),
    };
    full.parse().map_err(|error: super::EndpointError| PluginError::Protocol(error.to_string()))
}

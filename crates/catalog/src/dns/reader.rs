//! What the catalog has of what is asked for.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use regrow_consensus::{TableError, View};
use tokio::time::timeout;

use super::{Data, Owner, Want};
use crate::machine::{Topic, rows};
use crate::model::{Indexed, Instance, Node, Service};
use crate::query::registry::instances;
use crate::query::{AskError, Client, Found, Read, ReadOptions};

/// Longest wait for the leader, after which what this node has is told: resolvers ask again, or
/// elsewhere, after some seconds.
const LEADER_WAIT: Duration = Duration::from_secs(1);

/// Names and addresses that the catalog has no rows for: made when they are first needed, and again
/// when nodes or services were changed since.
#[derive(Default)]
struct Directory {
    /// Indexes of nodes and services, and how often the tables were replaced.
    made_at: (Option<u64>, Option<u64>, u64),
    /// Names of services by the same in small letters.
    services: HashMap<String, Vec<String>>,
    /// Names of nodes by the same in small letters.
    nodes: HashMap<String, String>,
    /// Who has an address: the first node, else the first service.
    owners: HashMap<IpAddr, Owner>,
}

/// Reads for DNS. Cheap to clone.
#[derive(Clone)]
pub(super) struct Reader {
    client: Client,
    directory: Arc<Mutex<Arc<Directory>>>,
}

impl Reader {
    pub fn new(client: Client) -> Self {
        Self { client, directory: Arc::default() }
    }

    /// What is known; `stale` to not ask the leader.
    pub async fn look(&self, want: &Want, stale: bool) -> Data {
        let found = match want {
            Want::Nothing => Ok(Data::Nothing),
            Want::Service(name) => self.service(name, stale).await,
            Want::Node(name) => self.node(name, stale).await,
            Want::Address(address) => self.owner(*address, stale).await,
        };
        found.unwrap_or_else(|error| {
            tracing::warn!(%error, "answer DNS: the catalog cannot be read");
            Data::Unavailable
        })
    }

    async fn service(&self, name: &str, stale: bool) -> Result<Data, AskError> {
        let mut found: Vec<Instance> = self.ask(&instances(name), stale).await?;
        if found.is_empty() {
            let directory = self.directory(stale).await?;
            for name in directory.services.get(&name.to_lowercase()).into_iter().flatten() {
                found.extend(self.ask(&instances(name.clone()), stale).await?);
            }
        }
        Ok(Data::Instances(found))
    }

    async fn node(&self, name: &str, stale: bool) -> Result<Data, AskError> {
        if let Some(node) = self.ask(&node_row(name.to_owned()), stale).await? {
            return Ok(Data::Node(node));
        }
        let directory = self.directory(stale).await?;
        let Some(name) = directory.nodes.get(&name.to_lowercase()) else {
            return Ok(Data::Nothing);
        };
        let node = self.ask(&node_row(name.clone()), stale).await?;
        Ok(node.map_or(Data::Nothing, Data::Node))
    }

    async fn owner(&self, address: IpAddr, stale: bool) -> Result<Data, AskError> {
        let directory = self.directory(stale).await?;
        Ok(directory.owners.get(&address).cloned().map_or(Data::Nothing, Data::Owner))
    }

    /// Asks as the leader has it; as this node has it where nobody leads or the leader is slow.
    async fn ask<T>(&self, read: &Read<T>, stale: bool) -> Result<T, AskError> {
        if !stale && self.client.replica().status().leadership.leader.is_some() {
            let options = ReadOptions::default();
            match timeout(LEADER_WAIT, self.client.ask(read, &options)).await {
                Ok(Ok(answer)) => return Ok(answer.value),
                Ok(Err(error)) => tracing::debug!(%error, "answer DNS with what this node has"),
                Err(_) => tracing::debug!("answer DNS with what this node has: a slow leader"),
            }
        }
        Ok(self.client.ask(read, &ReadOptions::stale()).await?.value)
    }

    async fn directory(&self, stale: bool) -> Result<Arc<Directory>, AskError> {
        let kept = Arc::clone(&self.directory);
        let replaced = *self.client.hub().replacements().borrow();
        let read = Read::new(Vec::new(), move |view| {
            // Held while it is made: one at a time.
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            let now = (Topic::Nodes.index(view)?, Topic::Services.index(view)?, replaced);
            if kept.made_at != now {
                *kept = Arc::new(Directory { made_at: now, ..make(view)? });
            }
            Ok(Found { value: Arc::clone(&kept), index: 1 })
        });
        self.ask(&read, stale).await
    }
}

fn node_row(name: String) -> Read<Option<Node>> {
    Read::new(Vec::new(), move |view| {
        let row: Option<Indexed<Node>> = rows::get(view, &rows::named(rows::NODE, &[&name]))?;
        Ok(Found { value: row.map(|row| row.value), index: 1 })
    })
}

fn make(view: &dyn View) -> Result<Directory, TableError> {
    let mut made = Directory::default();
    for node in rows::list::<Indexed<Node>>(view, &[rows::NODE])? {
        let Node { name, address, .. } = node.value;
        if let Ok(address) = address.parse() {
            made.owners.entry(address).or_insert_with(|| Owner::Node(name.clone()));
        }
        made.nodes.entry(name.to_lowercase()).or_insert(name);
    }
    for service in rows::list::<Indexed<Service>>(view, &[rows::SERVICE])? {
        let Service { name, address, .. } = service.value;
        if let Ok(address) = address.parse() {
            made.owners.entry(address).or_insert_with(|| Owner::Service(name.clone()));
        }
        let names = made.services.entry(name.to_lowercase()).or_default();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(made)
}

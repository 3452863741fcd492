//! The two systems behind one set of questions.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use e2e::{Attempt, Cluster, Http, Loss};
use hyper::Method;

use crate::etcd::EtcdCluster;

/// Size of a value, in bytes.
pub const VALUE_BYTES: usize = 256;

/// One of the two that are measured.
pub enum System {
    Regrow(Cluster),
    Etcd(EtcdCluster),
}

impl System {
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Regrow(_) => "regrow",
            Self::Etcd(_) => "etcd",
        }
    }

    /// A client on a node.
    pub fn http(&self, at: usize) -> Http {
        match self {
            Self::Regrow(cluster) => cluster.http(at),
            Self::Etcd(cluster) => cluster.http(at),
        }
    }

    /// So many clients, spread over the nodes.
    pub fn clients(&self, count: usize) -> Vec<Http> {
        (0..count).map(|number| self.http(number % 3)).collect()
    }

    /// A write that is acknowledged when it is durable on a majority.
    pub fn put(&self, key: &str) -> Attempt {
        let value = "v".repeat(VALUE_BYTES);
        match self {
            Self::Regrow(_) => (Method::PUT, format!("/v1/kv/{key}"), value),
            Self::Etcd(_) => {
                let (key, value) = (BASE64_STANDARD.encode(key), BASE64_STANDARD.encode(value));
                let body = format!(r#"{{"key":"{key}","value":"{value}"}}"#);
                (Method::POST, "/v3/kv/put".to_owned(), body)
            }
        }
    }

    /// A linearizable read.
    pub fn get(&self, key: &str) -> Attempt {
        match self {
            Self::Regrow(_) => (Method::GET, format!("/v1/kv/{key}?raw&consistent"), String::new()),
            Self::Etcd(_) => {
                let body = format!(r#"{{"key":"{}"}}"#, BASE64_STANDARD.encode(key));
                (Method::POST, "/v3/kv/range".to_owned(), body)
            }
        }
    }

    /// Waits until a node serves.
    pub async fn serving(&self, at: usize) -> anyhow::Result<()> {
        match self {
            Self::Regrow(cluster) => cluster.serving(at).await,
            Self::Etcd(cluster) => cluster.serving(at).await,
        }
    }

    /// The node that leads.
    pub async fn leader(&self) -> anyhow::Result<usize> {
        match self {
            Self::Regrow(cluster) => cluster.leader().await,
            Self::Etcd(cluster) => cluster.leader().await,
        }
    }

    /// Takes a node away.
    pub fn lose(&mut self, at: usize, loss: Loss) -> anyhow::Result<()> {
        match self {
            Self::Regrow(cluster) => cluster.lose(at, loss),
            Self::Etcd(cluster) => cluster.lose(at, loss),
        }
    }

    /// Brings a node back that was taken away.
    pub fn bring_back(&mut self, at: usize, loss: Loss) -> anyhow::Result<()> {
        match self {
            Self::Regrow(cluster) => cluster.bring_back(at, loss),
            Self::Etcd(cluster) => cluster.bring_back(at, loss),
        }
    }

    /// Process id of a node.
    pub fn pid(&mut self, at: usize) -> anyhow::Result<u32> {
        match self {
            Self::Regrow(cluster) => Ok(cluster.process(at)?.id()),
            Self::Etcd(cluster) => cluster.pid(at),
        }
    }
}

use std::fmt;

use async_trait::async_trait;
use regrow_ids::InstanceId;
use serde::{Deserialize, Serialize};

use super::Result;

/// Transport of a route. Any case is read, upper case is written.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Protocol(String);

impl Protocol {
    /// The protocols that InfraKit knows. Others travel through unchanged.
    pub const KNOWN: [&'static str; 5] = ["HTTP", "HTTPS", "TCP", "SSL", "UDP"];

    /// The name in upper case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for Protocol {
    fn from(text: String) -> Self {
        Self(text.to_ascii_uppercase())
    }
}

impl From<Protocol> for String {
    fn from(protocol: Protocol) -> Self {
        protocol.0
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A published port. Routes are told apart by their load-balancer port.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Route {
    /// Port of the backends.
    pub port: u16,
    /// Protocol towards the backends.
    pub protocol: Protocol,
    /// Port that clients use.
    pub load_balancer_port: u16,
    /// Protocol that clients use.
    pub load_balancer_protocol: Protocol,
    /// Certificate for encrypted protocols.
    pub certificate: Option<String>,
    /// Path to probe.
    pub health_monitor_path: Option<String>,
}

/// How a load balancer finds out which backends work.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct HealthCheck {
    /// Port to probe.
    pub backend_port: u16,
    /// Good answers until a backend counts as working.
    pub healthy: u32,
    /// Bad answers until it does not.
    pub unhealthy: u32,
    /// Nanoseconds between probes.
    pub interval: u64,
    /// Nanoseconds to wait for an answer.
    pub timeout: u64,
}

/// Drives a load balancer: `L4/0.6.1`. The returned texts are for people.
#[async_trait]
pub trait L4: Send + Sync {
    /// Name of the load balancer.
    ///
    /// # Errors
    /// It cannot be asked.
    async fn name(&self) -> Result<String>;

    /// The published routes.
    ///
    /// # Errors
    /// It cannot be asked.
    async fn routes(&self) -> Result<Vec<Route>>;

    /// Publishes a route.
    ///
    /// # Errors
    /// It was not published.
    async fn publish(&self, route: &Route) -> Result<String>;

    /// Removes the route with the given load-balancer port.
    ///
    /// # Errors
    /// It was not removed.
    async fn unpublish(&self, load_balancer_port: u16) -> Result<String>;

    /// Sets the health check of a backend port.
    ///
    /// # Errors
    /// It was not set.
    async fn configure_health_check(&self, check: &HealthCheck) -> Result<String>;

    /// Adds backends.
    ///
    /// # Errors
    /// They were not added.
    async fn register_backends(&self, ids: &[InstanceId]) -> Result<String>;

    /// Removes backends.
    ///
    /// # Errors
    /// They were not removed.
    async fn deregister_backends(&self, ids: &[InstanceId]) -> Result<String>;

    /// The backends.
    ///
    /// # Errors
    /// It cannot be asked.
    async fn backends(&self) -> Result<Vec<InstanceId>>;
}

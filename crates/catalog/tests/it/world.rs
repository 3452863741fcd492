//! A catalog in this process, with HTTP on a loopback port.

use std::net::SocketAddr;
use std::sync::Arc;

use regrow_catalog::Catalog;
use regrow_catalog::agent::AgentOptions;
use regrow_catalog::http::HttpOptions;
use regrow_catalog::machine::CatalogMachine;
use regrow_catalog::query::Hub;
use regrow_consensus::{LocalReplica, Machines, Replica, Scope, Scoped};
use tokio_util::sync::{CancellationToken, DropGuard};

/// A replica that has the catalog's machine, as the agent's binary makes one.
pub fn replica() -> (Arc<dyn Replica>, Hub) {
    let machine = Arc::new(CatalogMachine::new());
    let hub = machine.hub();
    let scope = Scope::new(7).expect("a scope");
    let machines = Machines::new().with(scope, machine).expect("one machine");
    let replica = LocalReplica::start(machines).expect("a replica");
    (Arc::new(Scoped::new(replica, scope)), hub)
}

/// A catalog of a node `n1`.
pub async fn catalog() -> Catalog {
    let (replica, hub) = replica();
    Catalog::start(replica, hub, AgentOptions::new("n1")).await.expect("a catalog")
}

/// A catalog that answers HTTP until it is dropped.
pub struct World {
    pub catalog: Catalog,
    pub address: SocketAddr,
    _stop: DropGuard,
}

impl World {
    pub async fn start() -> Self {
        Self::with(catalog().await, HttpOptions::default()).await
    }

    pub async fn with(catalog: Catalog, options: HttpOptions) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        let stop = CancellationToken::new();
        let serving = catalog.clone();
        let token = stop.clone();
        tokio::spawn(async move { serving.serve_http(listener, options, token).await });
        Self { catalog, address, _stop: stop.drop_guard() }
    }
}

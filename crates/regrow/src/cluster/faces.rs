//! How a catalog is asked: HTTP and DNS, on addresses of the user's choice.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;
use regrow_catalog::Catalog;
use regrow_catalog::checks::CheckOptions;
use regrow_catalog::dns::DnsOptions;
use regrow_catalog::http::HttpOptions;
use tokio::net::{TcpListener, UdpSocket};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::listen::Listen;

/// Longest time for answers that are being made when the process stops.
const LAST_ANSWERS: Duration = Duration::from_secs(2);
/// How often a free port for both kinds of DNS is looked for.
const DNS_TRIES: usize = 16;

/// Where the catalog answers.
#[derive(Args, Clone, Debug)]
pub struct FaceArgs {
    /// Where the catalog answers HTTP, or none
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8500")]
    http: Listen,
    /// Where the catalog answers DNS, or none
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8600")]
    dns: Listen,
}

/// Sockets that nobody answers on yet.
pub struct Faces {
    http: Option<TcpListener>,
    dns: Option<(UdpSocket, TcpListener)>,
}

/// Answers on its sockets.
pub struct Serving {
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl FaceArgs {
    /// Takes the addresses.
    ///
    /// # Errors
    /// One is taken or may not be listened on.
    pub async fn bind(&self) -> Result<Faces> {
        let http = match self.http.address() {
            None => None,
            Some(address) => {
                let listener = TcpListener::bind(address).await;
                Some(listener.with_context(|| refused("HTTP", address, "--http"))?)
            }
        };
        let dns = match self.dns.address() {
            None => None,
            Some(address) => {
                let sockets = both(address).await;
                Some(sockets.with_context(|| refused("DNS", address, "--dns"))?)
            }
        };
        Ok(Faces { http, dns })
    }
}

fn refused(what: &str, address: SocketAddr, flag: &str) -> String {
    format!("listen for {what} on {address} (choose another with {flag} ADDR:PORT, or {flag} none)")
}

/// Datagrams and connections on one port. A port that is free for one may be taken for the other,
/// so a free one is looked for more than once.
async fn both(address: SocketAddr) -> std::io::Result<(UdpSocket, TcpListener)> {
    let mut tries = 1;
    loop {
        let tcp = TcpListener::bind(address).await?;
        match UdpSocket::bind(tcp.local_addr()?).await {
            Ok(udp) => return Ok((udp, tcp)),
            Err(_) if address.port() == 0 && tries < DNS_TRIES => tries += 1,
            Err(error) => return Err(error),
        }
    }
}

impl Faces {
    /// Where it answers, one line each.
    pub fn lines(&self) -> Vec<String> {
        let line = |what: &str, listener: Option<&TcpListener>| {
            let address = listener.and_then(|listener| listener.local_addr().ok());
            address.map_or_else(|| format!("no {what}"), |address| format!("{what} on {address}"))
        };
        vec![
            line("HTTP", self.http.as_ref()),
            line("DNS", self.dns.as_ref().map(|(_, listener)| listener)),
        ]
    }

    /// Begins to answer, and to run the checks that were registered on this node.
    pub fn serve(self, catalog: &Catalog) -> Serving {
        let serving = Serving { stop: CancellationToken::new(), tasks: TaskTracker::new() };
        let (checked, stop) = (catalog.clone(), serving.stop.clone());
        serving.tasks.spawn(async move {
            if let Err(error) = checked.run_checks(CheckOptions::default(), stop).await {
                tracing::error!(%error, "run checks");
            }
        });
        if let Some(listener) = self.http {
            let (catalog, stop) = (catalog.clone(), serving.stop.clone());
            serving.tasks.spawn(async move {
                catalog.serve_http(listener, HttpOptions::default(), stop).await;
            });
        }
        if let Some((udp, tcp)) = self.dns {
            let (catalog, stop) = (catalog.clone(), serving.stop.clone());
            serving.tasks.spawn(async move {
                let served = catalog.serve_dns(udp, tcp, DnsOptions::default(), stop).await;
                if let Err(error) = served {
                    tracing::error!(%error, "answer DNS");
                }
            });
        }
        serving
    }
}

impl Serving {
    /// Answers nobody any more.
    pub async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        // A blocked question may be open for minutes.
        let _ = tokio::time::timeout(LAST_ANSWERS, self.tasks.wait()).await;
    }
}

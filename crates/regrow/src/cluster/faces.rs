//! How a catalog is asked: HTTP, HTTPS and DNS, on addresses of the user's choice.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;
use regrow_catalog::Catalog;
use regrow_catalog::checks::CheckOptions;
use regrow_catalog::dns::DnsOptions;
use regrow_catalog::http::{HttpOptions, tls_server};
use tokio::net::{TcpListener, UdpSocket};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::listen::Listen;
use super::settings::SettingArgs;

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
    /// Where the catalog answers HTTPS, such as 127.0.0.1:8501, or none
    #[arg(
        long,
        value_name = "ADDR:PORT",
        default_value = "none",
        requires_all = ["https_cert", "https_key"]
    )]
    https: Listen,
    /// Its certificate and what signs that, in PEM
    #[arg(long, value_name = "FILE", requires = "https")]
    https_cert: Option<PathBuf>,
    /// Its key, in PEM
    #[arg(long, value_name = "FILE", requires = "https")]
    https_key: Option<PathBuf>,
    /// Let in only clients with a certificate of one of these authorities, in PEM
    #[arg(long, value_name = "FILE", requires = "https_cert")]
    https_client_ca: Option<PathBuf>,
    #[command(flatten)]
    settings: SettingArgs,
}

/// Sockets that nobody answers on yet.
pub struct Faces {
    http: Option<(TcpListener, HttpOptions)>,
    https: Option<(TcpListener, HttpOptions)>,
    dns: Option<(UdpSocket, TcpListener, DnsOptions)>,
    checks: CheckOptions,
}

/// Answers on its sockets.
pub struct Serving {
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl FaceArgs {
    /// Reads the files that are named and takes the addresses.
    ///
    /// # Errors
    /// A file is not what it should be; an address is taken or may not be listened on; DNS is to ask
    /// itself about other names.
    pub async fn bind(&self) -> Result<Faces> {
        let plain = self.settings.http()?;
        let encrypted = match (&self.https_cert, &self.https_key) {
            (Some(certificate), Some(key)) => {
                let tls = tls_server(certificate, key, self.https_client_ca.as_deref())?;
                Some(HttpOptions { tls: Some(tls), ..plain.clone() })
            }
            _ => None,
        };
        let http = listener("HTTP", self.http, "--http").await?.map(|socket| (socket, plain));
        let https = listener("HTTPS", self.https, "--https").await?.zip(encrypted);
        let dns = match self.dns.address() {
            None => None,
            Some(address) => {
                let sockets = both(address).await;
                let (udp, tcp) = sockets.with_context(|| refused("DNS", address, "--dns"))?;
                let options = self.settings.dns();
                options.check_recursors(udp.local_addr().ok())?;
                Some((udp, tcp, options))
            }
        };
        Ok(Faces { http, https, dns, checks: self.settings.checks() })
    }
}

async fn listener(what: &str, at: Listen, flag: &str) -> Result<Option<TcpListener>> {
    let Some(address) = at.address() else { return Ok(None) };
    let listener = TcpListener::bind(address).await;
    Ok(Some(listener.with_context(|| refused(what, address, flag))?))
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
    /// Plain HTTP at one address and nothing else.
    ///
    /// # Errors
    /// The address is taken.
    pub async fn plain(address: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(address).await;
        let listener = listener.with_context(|| format!("listen for HTTP on {address}"))?;
        let http = Some((listener, HttpOptions::default()));
        Ok(Self { http, https: None, dns: None, checks: CheckOptions::default() })
    }

    /// Where it answers plain HTTP.
    pub fn address(&self) -> Option<SocketAddr> {
        self.http.as_ref().and_then(|(listener, _)| listener.local_addr().ok())
    }

    /// Where it answers, one line each.
    pub fn lines(&self) -> Vec<String> {
        let line = |what: &str, listener: Option<&TcpListener>| {
            let address = listener.and_then(|listener| listener.local_addr().ok());
            address.map_or_else(|| format!("no {what}"), |address| format!("{what} on {address}"))
        };
        let mut lines = vec![line("HTTP", self.http.as_ref().map(|(listener, _)| listener))];
        if let Some((listener, _)) = &self.https {
            lines.push(line("HTTPS", Some(listener)));
        }
        lines.push(line("DNS", self.dns.as_ref().map(|(_, listener, _)| listener)));
        lines
    }

    /// Begins to answer, and to run the checks that were registered on this node.
    pub fn serve(self, catalog: &Catalog) -> Serving {
        let serving = Serving { stop: CancellationToken::new(), tasks: TaskTracker::new() };
        let (checked, stop) = (catalog.clone(), serving.stop.clone());
        serving.tasks.spawn(async move {
            if let Err(error) = checked.run_checks(self.checks, stop).await {
                tracing::error!(%error, "run checks");
            }
        });
        for (listener, options) in [self.http, self.https].into_iter().flatten() {
            let (catalog, stop) = (catalog.clone(), serving.stop.clone());
            serving.tasks.spawn(async move {
                catalog.serve_http(listener, options, stop).await;
            });
        }
        if let Some((udp, tcp, options)) = self.dns {
            let (catalog, stop) = (catalog.clone(), serving.stop.clone());
            serving.tasks.spawn(async move {
                let served = catalog.serve_dns(udp, tcp, options, stop).await;
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

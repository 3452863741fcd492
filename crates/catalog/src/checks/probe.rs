//! One look of a check.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reqwest::Client;
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{CheckError, Finding, TIMEOUT, grpc, http, script, tls};
use crate::model::{CheckDefinition, CheckType, Status};

/// What looks are made with.
#[derive(Default)]
pub(super) struct Probe {
    /// Whether programs may be run.
    scripts: bool,
    verifying: OnceLock<Way>,
    trusting: OnceLock<Way>,
}

/// How servers are asked: with their certificates verified, or with any.
struct Way {
    http: Client,
    grpc: Arc<ClientConfig>,
}

impl Way {
    fn new(verify: bool) -> Result<Self, CheckError> {
        let config = tls::config(verify)?;
        let mut grpc = config.clone();
        grpc.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Self { http: http::client(config)?, grpc: Arc::new(grpc) })
    }
}

impl Probe {
    /// With everything prepared.
    pub fn new(scripts: bool) -> Result<Self, CheckError> {
        let probe = Self { scripts, ..Self::default() };
        probe.way(true)?;
        probe.way(false)?;
        Ok(probe)
    }

    fn way(&self, verify: bool) -> Result<&Way, CheckError> {
        let way = if verify { &self.verifying } else { &self.trusting };
        match way.get() {
            Some(way) => Ok(way),
            None => {
                let made = Way::new(verify)?;
                Ok(way.get_or_init(|| made))
            }
        }
    }

    /// Looks, within the time of the check.
    pub async fn look(&self, check: &CheckDefinition) -> Finding {
        let limit = check.timeout.filter(|limit| !limit.is_zero()).unwrap_or(TIMEOUT);
        let way = || self.way(!check.tls_skip_verify);
        match check.check_type() {
            CheckType::Http => match way() {
                Ok(way) => within(limit, &check.http, http::ask(&way.http, check)).await,
                Err(error) => Finding::critical(error.to_string()),
            },
            CheckType::Tcp => within(limit, &check.tcp, tcp(&check.tcp)).await,
            CheckType::Grpc => {
                let tls = check.grpc_use_tls.then(way).transpose();
                let tls = match tls {
                    Ok(way) => way.map(|way| Arc::clone(&way.grpc)),
                    Err(error) => return Finding::critical(error.to_string()),
                };
                // Boxed: the future of a connection is large, and that of a check would be as large.
                within(limit, &check.grpc, Box::pin(grpc::ask(&check.grpc, tls))).await
            }
            CheckType::Script if self.scripts => script::run(&check.args, limit).await,
            CheckType::Script => Finding::critical(
                "not run: programs as checks are disabled on this agent; start it with \
                 --enable-script-checks where whoever registers may run programs",
            ),
            CheckType::Docker => Finding::critical(
                "not carried out: this agent does not talk to a container engine; use an HTTP, \
                 TCP, gRPC or TTL check",
            ),
            // Nobody looks for these; see `runner::wanted`.
            CheckType::Plain | CheckType::Ttl => Finding::critical("not a check that is run"),
        }
    }
}

async fn within(limit: Duration, what: &str, look: impl Future<Output = Finding>) -> Finding {
    match timeout(limit, look).await {
        Ok(finding) => finding,
        Err(_) => Finding::critical(format!("{what}: no answer within {limit:?}")),
    }
}

/// Passing when the address takes a connection.
async fn tcp(address: &str) -> Finding {
    match TcpStream::connect(address).await {
        Ok(_) => Finding::new(Status::Passing, format!("TCP connect {address}: Success")),
        Err(error) => Finding::critical(format!("TCP connect {address}: {error}")),
    }
}

//! The runner of checks: asks over HTTP, TCP and gRPC and runs programs, as this node's
//! registrations say, and tells the agent what it found.
//!
//! Definitions are followed as they change. One task a check: it begins at a random moment of its
//! interval, so that a restarted agent does not ask everybody at once, and looks again an interval
//! after the last look ended; so a check never runs twice at once, however long it takes. All
//! checks together have a limit.
//!
//! What a look found is told when it differs from the last, when registrations changed since, and
//! once a minute: a catalog that lost it is right again by then.
//!
//! Not carried out: programs in containers, which would need the container engine's socket. Their
//! registration is refused; one that was registered before that is critical and says so. Programs run only where [`CheckOptions::scripts`] allows
//! them.
//!
//! Start reading at [`Catalog::run_checks`].

mod grpc;
mod http;
mod probe;
mod runner;
mod script;
#[cfg(test)]
mod tests;
mod tls;

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::Catalog;
use crate::model::{CheckDefinition, Status};

/// Most bytes of an output that are kept.
const OUTPUT_BYTES_MAX: usize = 4096;
/// Shortest interval; a shorter one is taken for this, as in Consul.
const INTERVAL_MIN: Duration = Duration::from_secs(1);
/// Longest time of one look where the check says nothing.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How checks are run.
#[derive(Clone, Debug)]
pub struct CheckOptions {
    /// Most looks at once; further ones wait. Default 64.
    pub looks: usize,
    /// Whether checks may run programs. Default false.
    pub scripts: bool,
}

impl Default for CheckOptions {
    fn default() -> Self {
        Self { looks: 64, scripts: false }
    }
}

/// Why checks are not run.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The settings of TLS cannot be made.
    #[error("run checks: prepare TLS: {0}; this is a fault of the build")]
    Tls(#[from] rustls::Error),
    /// The HTTP client cannot be made.
    #[error("run checks: prepare the HTTP client: {0}; this is a fault of the build")]
    Client(#[from] reqwest::Error),
}

/// What a look found.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Finding {
    status: Status,
    output: String,
}

impl Finding {
    fn new(status: Status, output: impl AsRef<[u8]>) -> Self {
        Self { status, output: cut(output.as_ref()) }
    }

    fn critical(output: impl AsRef<[u8]>) -> Self {
        Self::new(Status::Critical, output)
    }
}

/// Text of what may be any bytes, at most [`OUTPUT_BYTES_MAX`] of it.
fn cut(bytes: &[u8]) -> String {
    let kept = bytes.get(..OUTPUT_BYTES_MAX).unwrap_or(bytes);
    let mut text = String::from_utf8_lossy(kept).into_owned();
    // Each byte that is no text becomes three.
    text.truncate(text.floor_char_boundary(OUTPUT_BYTES_MAX));
    text
}

/// The settings of a TLS client that verifies servers by the certificates that this system trusts.
///
/// # Errors
/// The build lacks what they need.
pub fn system_trust() -> Result<rustls::ClientConfig, rustls::Error> {
    tls::config(true)
}

/// Looks at servers as checks do, for whoever has checks and no agent. Runs no programs, and prepares
/// nothing before it is asked for the first time.
#[derive(Default)]
pub struct Looks {
    probe: probe::Probe,
}

impl Looks {
    /// Looks within the time of the check: its status, and what was seen, of 4096 bytes at most.
    pub async fn look(&self, check: &CheckDefinition) -> (Status, String) {
        let Finding { status, output } = self.probe.look(check).await;
        (status, output)
    }
}

impl Catalog {
    /// Runs the checks that are registered on this node until told to stop; then looks that are
    /// being made are given up, and their programs killed.
    ///
    /// # Errors
    /// The clients cannot be made; nothing was begun.
    pub async fn run_checks(
        &self,
        options: CheckOptions,
        stop: CancellationToken,
    ) -> Result<(), CheckError> {
        let probe = probe::Probe::new(options.scripts)?;
        runner::run(self.agent().clone(), probe, &options, stop).await;
        Ok(())
    }
}

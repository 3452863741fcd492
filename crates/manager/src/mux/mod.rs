//! One TCP port for everything: lists the plugins of this node, forwards calls to them, and on a
//! replica that does not lead forwards everything to the leader (InfraKit specification §1.7).
//!
//! What it must never do: hold a whole body in memory, wait for ever on a peer, forward what was
//! forwarded already, or end because the location of the leader cannot be read.
//!
//! Where to start reading: `route.rs` for what is answered how, [`MuxBackend`] for where calls go.

mod announce;
mod backend;
mod body;
mod exchange;
mod guard;
mod leader;
mod patient;
mod peers;
mod route;
mod serve;
mod sockets;
mod tls;
mod token;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use regrow_plugin::spi::LeaderLocation;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use backend::{MuxBackend, MuxBody, MuxFault};
pub use body::BodyFault;
pub use sockets::SocketDir;

use crate::leader::{LeaderSource, parse_location, print_location};
use crate::options::MuxOptions;
use tls::TlsSides;
use token::Token;

/// How long a stop waits for requests in flight.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// Why the port cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum MuxError {
    /// The address cannot be listened at.
    #[error(
        "listen at {address}: {source}; set Mux.Listen (INFRAKIT_MUX_LISTEN) to a free address"
    )]
    Listen {
        /// What was asked for.
        address: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The address that others should use is none.
    #[error("advertise {advertise:?}: {reason}; set Mux.Advertise to HOST:PORT")]
    Advertise {
        /// What was asked for.
        advertise: String,
        /// What is wrong.
        reason: String,
    },
    /// A certificate or key cannot be used.
    #[error("read {what} from {file}: {reason}")]
    Tls {
        /// Certificate, key, client CA.
        what: &'static str,
        /// The file.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// The token cannot be used.
    #[error("read token from {file}: {reason}")]
    Token {
        /// The file.
        file: String,
        /// What is wrong.
        reason: String,
    },
}

/// What all connections share.
struct Shared {
    backend: Arc<dyn MuxBackend>,
    source: Arc<dyn LeaderSource>,
    token: Option<Token>,
    tls: Option<TlsSides>,
    /// What others use to reach us; requests are never forwarded there.
    ours: LeaderLocation,
    stop: CancellationToken,
}

/// The open port.
pub struct Mux {
    address: SocketAddr,
    location: LeaderLocation,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Mux {
    /// Opens the port and serves it. While this replica leads, its address stands as the location
    /// of the leader.
    ///
    /// # Errors
    /// The address, a certificate or the token cannot be used.
    pub async fn start(
        options: &MuxOptions,
        backend: Arc<dyn MuxBackend>,
        source: Arc<dyn LeaderSource>,
    ) -> Result<Self, MuxError> {
        let tls = options.tls.as_ref().map(TlsSides::read).transpose()?;
        let token = options.token_file.as_deref().map(Token::read).transpose()?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let advertised = format!("{scheme}://{}", options.advertise);
        let location = parse_location(&advertised, "Mux.Advertise").map_err(|fault| {
            let (advertise, reason) = (options.advertise.clone(), fault.to_string());
            MuxError::Advertise { advertise, reason }
        })?;
        let listener = serve::listen(&options.listen).await?;
        let fault = |source| MuxError::Listen { address: options.listen.clone(), source };
        let address = listener.local_addr().map_err(fault)?;
        warn_if_open(address, tls.is_some(), token.is_some());
        let stop = CancellationToken::new();
        let shared = Arc::new(Shared {
            backend,
            source,
            token,
            tls,
            ours: location.clone(),
            stop: stop.clone(),
        });
        Ok(Self::run(listener, address, location, &shared, stop))
    }

    fn run(
        listener: TcpListener,
        address: SocketAddr,
        location: LeaderLocation,
        shared: &Arc<Shared>,
        stop: CancellationToken,
    ) -> Self {
        let tasks = TaskTracker::new();
        let announce = announce::announce(Arc::clone(&shared.source), location.clone());
        tasks.spawn(stop.clone().run_until_cancelled_owned(announce));
        tasks.spawn(serve::accept(listener, Arc::clone(shared), tasks.clone()));
        tracing::info!(%address, advertised = print_location(&location), "serving remote clients");
        Self { address, location, stop, tasks }
    }

    /// The address that is listened at.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The location that the leader writes.
    pub fn location(&self) -> &LeaderLocation {
        &self.location
    }

    /// Stops accepting and waits a while for requests in flight.
    pub async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        // What is left (an event stream that nobody ends) ends with the process.
        let _ = tokio::time::timeout(STOP_GRACE, self.tasks.wait()).await;
    }
}

impl Drop for Mux {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn warn_if_open(address: SocketAddr, tls: bool, token: bool) {
    if tls || token {
        return;
    }
    let who = if address.ip().is_loopback() {
        "every user and program of this machine"
    } else {
        "whoever reaches this address"
    };
    tracing::warn!(
        %address,
        "{who} controls everything through this port: it has neither TLS nor a token; set \
         Mux.TokenFile or Mux.TLS"
    );
}

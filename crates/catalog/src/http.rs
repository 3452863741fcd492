//! The HTTP interface of Consul 1.9, version 1 of its paths.
//!
//! `route` has the table of paths and methods; a handler gets a `call::Call` and gives a
//! `reply::Reply` or a `reply::HttpError`. Shapes of answers are in `shape`, of requests in
//! `decode` and `check_body`. What differs from the original, and why: GET is taken where older
//! clients use it for changes, a plain write to a locked key keeps its lock index, sessions end
//! soon after their TTL, and checks of a session are shown in their old field as well.
//!
//! Start reading at `route`.

mod accept;
mod acl;
mod agent_checks;
mod agent_health;
mod agent_node;
mod agent_services;
mod body;
mod call;
mod catalog;
mod check_body;
mod decode;
mod event;
mod filter;
mod health;
mod kv;
mod login;
mod params;
mod reply;
mod rest;
mod route;
mod session;
mod shape;
mod tls;
mod txn;
mod txn_body;

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::Catalog;
use crate::model::Access;

pub use login::{Logins, LoginsError};
pub use tls::{TlsError, server as tls_server};

/// How HTTP is served.
#[derive(Clone, Debug)]
pub struct HttpOptions {
    /// Most connections of one client address; further ones are answered 429.
    pub connections_per_address: usize,
    /// What tokens decide. Default nothing.
    pub acl: Acl,
    /// Whether checks that run programs may be registered. Default false.
    pub script_checks: bool,
    /// Sessions end this many percent of their TTL after it, at most 100. Default 10; the original
    /// waits 100.
    pub session_grace_percent: u8,
    /// With it, connections are encrypted (see [`tls_server`]). Default none.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// With it, each request needs one of these logins, whatever its token says. Default none.
    pub logins: Option<Logins>,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            connections_per_address: 200,
            acl: Acl::Off,
            script_checks: false,
            session_grace_percent: 10,
            tls: None,
            logins: None,
        }
    }
}

/// What tokens decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acl {
    /// Nothing: every token is ignored, and all is allowed.
    Off,
    /// What may be done. Tokens are in the catalog (`Command::PutToken`).
    On {
        /// What is allowed where no rule fits, and without a token.
        default: Access,
        /// SHA-256 of the secret of a token that may do everything and is in no catalog, so that it
        /// opens this node before there are others and while nobody leads.
        management: Option<[u8; 32]>,
    },
}

/// Every path that is answered (one that ends with `/` stands for all that begin so), with its
/// methods as the `Allow` header names them. What is answered 501 is among them.
pub fn endpoints() -> impl Iterator<Item = (&'static str, &'static str)> {
    route::ROUTES.iter().map(|(path, takes)| (*path, takes.named()))
}

/// What all calls share.
pub(crate) struct Shared {
    pub catalog: Catalog,
    pub options: HttpOptions,
}

impl Catalog {
    /// Answers HTTP on a listener until told to stop; then answers that are being made are given up.
    pub async fn serve_http(
        &self,
        listener: TcpListener,
        options: HttpOptions,
        stop: CancellationToken,
    ) {
        let shared = Arc::new(Shared { catalog: self.clone(), options });
        accept::run(listener, shared, stop).await;
    }
}

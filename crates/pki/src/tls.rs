//! TLS settings of a node and of a newcomer: TLS 1.3 only, ring, no resumption.

use std::sync::Arc;
use std::time::SystemTime;

use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::UnixTime;
use rustls::server::NoServerSessionStorage;
use rustls::time_provider::TimeProvider;
use rustls::version::TLS13;
use rustls::{ClientConfig, ServerConfig};

use crate::certificate::{Certificates, RootDigest};
use crate::credential::Credential;
use crate::identity::Role;
use crate::verify::{ClientRule, Expect, Refused, Rules, ServerRule, Trust, root_store};

/// The protocol's name in the handshake (ALPN).
const PROTOCOL: &[u8] = b"regrow/1";

/// Where verifiers take the time from.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> SystemTime + Send + Sync>);

impl Clock {
    /// A clock of one's own.
    pub fn new(now: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// What it shows.
    pub fn now(&self) -> SystemTime {
        (self.0)()
    }
}

impl std::fmt::Debug for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Clock")
    }
}

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        let since = self.now().duration_since(SystemTime::UNIX_EPOCH).ok()?;
        Some(UnixTime::since_unix_epoch(since))
    }
}

/// What a member of the cluster needs for its connections. Replace the whole value at a renewal or
/// a rotation: connections that exist go on under the old one.
pub struct Member {
    /// Its key and certificate.
    pub credential: Credential,
    /// The roots that it trusts.
    pub roots: Certificates,
    /// Which nodes were removed.
    pub refused: Refused,
    /// The time by which certificates are judged.
    pub clock: Clock,
}

impl Member {
    /// Settings for accepting connections. Servers let a client without certificate connect, so
    /// that it can join, and a node whose certificate has expired, so that it can renew it: whoever
    /// accepts must compare the end of the certificate with the clock. Workers do neither.
    ///
    /// # Errors
    ///
    /// If a root or the credential is malformed.
    pub fn server_config(&self) -> Result<Arc<ServerConfig>, rustls::Error> {
        let provider = provider();
        let strangers = self.credential.identity().role == Role::Server;
        let rules = self.rules(Expect::default());
        let rule = ClientRule::new(root_store(&self.roots)?, rules, strangers, provider.clone())?;
        let clock = Arc::new(self.clock.clone());
        let mut config = ServerConfig::builder_with_details(provider, clock)
            .with_protocol_versions(&[&TLS13])?
            .with_client_cert_verifier(Arc::new(rule))
            .with_single_cert(self.credential.shown(&self.roots), self.credential.private_key())?;
        // A resumed session would skip the verifier and with it the list of removed nodes.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        Ok(Arc::new(config))
    }

    /// Settings for calling a peer that must be what is expected.
    ///
    /// # Errors
    ///
    /// If a root or the credential is malformed.
    pub fn client_config(&self, expect: Expect) -> Result<Arc<ClientConfig>, rustls::Error> {
        let roots = root_store(&self.roots)?;
        let trust = Trust::Cluster { roots, rules: self.rules(expect) };
        let chain = self.credential.shown(&Certificates::default());
        let builder = client_builder(trust, &self.clock)?;
        let config = builder.with_client_auth_cert(chain, self.credential.private_key())?;
        Ok(finish(config))
    }

    fn rules(&self, expect: Expect) -> Rules {
        let cluster = self.credential.identity().cluster;
        Rules { cluster, refused: self.refused.clone(), expect }
    }
}

/// Settings of a newcomer: it shows no certificate, and talks only to a server whose certificate
/// leads to the root that its token pins.
///
/// # Errors
///
/// If TLS cannot be set up.
pub fn joiner_config(root: RootDigest, clock: &Clock) -> Result<Arc<ClientConfig>, rustls::Error> {
    let builder = client_builder(Trust::Pinned(root), clock)?;
    Ok(finish(builder.with_no_client_auth()))
}

type ClientBuilder = rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert>;

fn client_builder(trust: Trust, clock: &Clock) -> Result<ClientBuilder, rustls::Error> {
    let provider = provider();
    let algorithms = provider.signature_verification_algorithms;
    let builder = ClientConfig::builder_with_details(provider, Arc::new(clock.clone()))
        .with_protocol_versions(&[&TLS13])?;
    let rule = ServerRule { trust, algorithms };
    Ok(builder.dangerous().with_custom_certificate_verifier(Arc::new(rule)))
}

fn finish(mut config: ClientConfig) -> Arc<ClientConfig> {
    config.resumption = Resumption::disabled();
    config.enable_sni = false;
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    Arc::new(config)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

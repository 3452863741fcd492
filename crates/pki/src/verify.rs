//! What a node demands of the other end of a connection: a certificate of this cluster that holds
//! now, the right role and node, and no removed node.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError as TlsFault, DigitallySignedStruct, DistinguishedName, OtherError,
    RootCertStore, SignatureScheme,
};
use x509_parser::time::ASN1Time;

use crate::authority::BACK_DATE;
use crate::certificate::{CertificateError, Certificates, RootDigest, identity_of, validity_of};
use crate::identity::{ClusterId, NodeIdentity, NodeNumber, Role};

/// Tells which nodes were removed from the cluster; asked at each handshake.
pub type Refused = Arc<dyn Fn(NodeNumber) -> bool + Send + Sync>;

/// Why a peer with a valid certificate is still not the right one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PeerFault {
    /// Its certificate does not name a node.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// It belongs to another cluster.
    #[error("the peer belongs to cluster {found}, expected {expected}")]
    Cluster {
        /// Our cluster.
        expected: ClusterId,
        /// Its cluster.
        found: ClusterId,
    },
    /// It has another role.
    #[error("the peer is a {found}, expected a {expected}")]
    Role {
        /// The role that was asked for.
        expected: Role,
        /// Its role.
        found: Role,
    },
    /// It is another node.
    #[error("the peer is node {found}, expected node {expected}")]
    Node {
        /// The node that was asked for.
        expected: NodeNumber,
        /// Which node it is.
        found: NodeNumber,
    },
    /// The node was removed from the cluster.
    #[error("node {0} was removed from the cluster")]
    Removed(NodeNumber),
    /// None of the certificates that it shows is the root that the join token pins.
    #[error("the server does not show the root {0} that the join token names: not its cluster")]
    Root(RootDigest),
}

impl From<PeerFault> for rustls::Error {
    fn from(fault: PeerFault) -> Self {
        Self::InvalidCertificate(TlsFault::Other(OtherError(Arc::new(fault))))
    }
}

/// What a TLS error means, in words: rustls shows what our verifiers found in its debug form only,
/// and times as seconds.
pub fn explain(error: &rustls::Error) -> String {
    let rustls::Error::InvalidCertificate(fault) = error else { return error.to_string() };
    let clocks = "compare the clocks of both machines and set the wrong one";
    match fault {
        TlsFault::Other(other) => other.0.to_string(),
        TlsFault::ExpiredContext { time, not_after } => format!(
            "the peer's certificate ended at {}, and the clock here shows {}; {clocks}",
            shown(*not_after),
            shown(*time)
        ),
        // A certificate begins an hour before the clock of who signed it.
        TlsFault::NotValidYetContext { time, not_before } => format!(
            "the clock of the peer's cluster showed {} or later, and the clock here shows {}; {clocks}",
            shown(UnixTime::since_unix_epoch(
                Duration::from_secs(not_before.as_secs()) + BACK_DATE
            )),
            shown(*time)
        ),
        other => format!("invalid peer certificate: {other}"),
    }
}

/// A moment as people write it, in UTC.
fn shown(time: UnixTime) -> String {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    ASN1Time::from_timestamp(seconds)
        .map_or_else(|_| format!("second {seconds} since 1970"), |time| time.to_string())
}

/// What the server at the other end must be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expect {
    /// The role it must have, if any.
    pub role: Option<Role>,
    /// The node it must be, if any.
    pub node: Option<NodeNumber>,
}

/// The rules for peers of one cluster, both directions.
#[derive(Clone)]
pub(crate) struct Rules {
    pub cluster: ClusterId,
    pub refused: Refused,
    pub expect: Expect,
}

impl Rules {
    fn check(&self, certificate: &[u8]) -> Result<NodeIdentity, PeerFault> {
        let identity = identity_of(certificate)?;
        if identity.cluster != self.cluster {
            let (expected, found) = (self.cluster, identity.cluster);
            return Err(PeerFault::Cluster { expected, found });
        }
        if let Some(expected) = self.expect.role
            && identity.role != expected
        {
            return Err(PeerFault::Role { expected, found: identity.role });
        }
        if let Some(expected) = self.expect.node
            && identity.node != expected
        {
            return Err(PeerFault::Node { expected, found: identity.node });
        }
        if (self.refused)(identity.node) {
            return Err(PeerFault::Removed(identity.node));
        }
        Ok(identity)
    }
}

/// The set of trusted roots as rustls wants it.
pub(crate) fn root_store(roots: &Certificates) -> Result<RootCertStore, rustls::Error> {
    let mut store = RootCertStore::empty();
    for root in roots.iter() {
        store.add(CertificateDer::from(root.to_vec()))?;
    }
    Ok(store)
}

/// What the client side trusts.
pub(crate) enum Trust {
    /// These roots, and these rules for the node.
    Cluster { roots: RootCertStore, rules: Rules },
    /// Whoever shows this root; the joiner's rule.
    Pinned(RootDigest),
}

/// Verifies the server's certificate on the client side.
pub(crate) struct ServerRule {
    pub trust: Trust,
    pub algorithms: WebPkiSupportedAlgorithms,
}

impl std::fmt::Debug for ServerRule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ServerRule")
    }
}

impl ServerRule {
    fn signed(
        &self,
        roots: &RootCertStore,
        leaf: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), rustls::Error> {
        rustls::client::verify_server_cert_signed_by_trust_anchor(
            &ParsedCertificate::try_from(leaf)?,
            roots,
            rest,
            now,
            self.algorithms.all,
        )
    }

    fn pinned(
        &self,
        digest: RootDigest,
        leaf: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), rustls::Error> {
        let root = rest.iter().find(|certificate| RootDigest::of(certificate) == digest);
        let root = root.ok_or(PeerFault::Root(digest))?;
        let roots = root_store(&Certificates::new([root.to_vec()]))?;
        self.signed(&roots, leaf, rest, now)?;
        let rules = Rules {
            cluster: crate::certificate::cluster_of(root).map_err(PeerFault::from)?,
            refused: Arc::new(|_| false),
            expect: Expect { role: Some(Role::Server), node: None },
        };
        rules.check(leaf)?;
        Ok(())
    }
}

impl ServerCertVerifier for ServerRule {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match &self.trust {
            Trust::Cluster { roots, rules } => {
                self.signed(roots, leaf, rest, now)?;
                rules.check(leaf)?;
            }
            Trust::Pinned(digest) => self.pinned(*digest, leaf, rest, now)?,
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("only TLS 1.3 is spoken".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

fn has_expired(error: &rustls::Error) -> bool {
    let expired =
        |fault: &TlsFault| matches!(fault, TlsFault::Expired | TlsFault::ExpiredContext { .. });
    matches!(error, rustls::Error::InvalidCertificate(fault) if expired(fault))
}

/// The last moment of a certificate.
fn end_of(leaf: &[u8]) -> Result<UnixTime, PeerFault> {
    let since = validity_of(leaf)?.not_after.duration_since(SystemTime::UNIX_EPOCH);
    Ok(UnixTime::since_unix_epoch(since.unwrap_or_default()))
}

/// Verifies the client's certificate on the server side.
pub(crate) struct ClientRule {
    chains: Arc<dyn ClientCertVerifier>,
    rules: Rules,
    strangers: bool,
}

impl std::fmt::Debug for ClientRule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClientRule")
    }
}

impl ClientRule {
    /// `strangers`: whether a client without certificate, or with one that has expired, may connect
    /// at all.
    pub(crate) fn new(
        roots: RootCertStore,
        rules: Rules,
        strangers: bool,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, rustls::Error> {
        let builder =
            rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        let chains = builder.build().map_err(|error| rustls::Error::General(error.to_string()))?;
        Ok(Self { chains, rules, strangers })
    }
}

impl ClientCertVerifier for ClientRule {
    fn client_auth_mandatory(&self) -> bool {
        !self.strangers
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        // No hints: a client of this cluster has one certificate and sends it.
        &[]
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let verified = match self.chains.verify_client_cert(leaf, rest, now) {
            // As good as none: who lets strangers in lets this node in as one that was off for too
            // long, if its certificate was good until its end.
            Err(error) if self.strangers && has_expired(&error) => {
                self.chains.verify_client_cert(leaf, rest, end_of(leaf)?)?
            }
            verified => verified?,
        };
        self.rules.check(leaf)?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("only TLS 1.3 is spoken".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.chains.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chains.supported_verify_schemes()
    }
}

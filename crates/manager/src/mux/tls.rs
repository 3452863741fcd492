use std::path::Path;
use std::sync::Arc;

use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::MuxError;
use crate::options::TlsFiles;

/// Our two sides of TLS: towards clients, and as a client of the leader.
pub(super) struct TlsSides {
    pub(super) acceptor: TlsAcceptor,
    pub(super) connector: TlsConnector,
}

impl TlsSides {
    pub(super) fn read(files: &TlsFiles) -> Result<Self, MuxError> {
        let provider = Arc::new(ring::default_provider());
        let chain = certificates("certificate", &files.cert)?;
        let key = PrivateKeyDer::from_pem_file(&files.key)
            .map_err(|fault| bad("key", &files.key, fault))?;
        // Without a CA the replicas share one certificate, which then vouches for itself.
        let (trusted, place) = match &files.client_ca {
            Some(file) => (certificates("client CA", file)?, file),
            None => (chain.clone(), &files.cert),
        };
        let mut roots = RootCertStore::empty();
        for certificate in trusted {
            roots.add(certificate).map_err(|fault| bad("certificate", place, fault))?;
        }
        let roots = Arc::new(roots);
        let server = server(files, Arc::clone(&provider), &roots, chain.clone(), key.clone_key())?;
        let client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|fault| bad("certificate", &files.cert, fault))?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)
            .map_err(|fault| bad("key", &files.key, fault))?;
        Ok(Self {
            acceptor: TlsAcceptor::from(Arc::new(server)),
            connector: TlsConnector::from(Arc::new(client)),
        })
    }
}

fn server(
    files: &TlsFiles,
    provider: Arc<CryptoProvider>,
    roots: &Arc<RootCertStore>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ServerConfig, MuxError> {
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|fault| bad("certificate", &files.cert, fault))?;
    let builder = match &files.client_ca {
        Some(file) => {
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::clone(roots), provider).build();
            builder
                .with_client_cert_verifier(verifier.map_err(|fault| bad("client CA", file, fault))?)
        }
        None => builder.with_no_client_auth(),
    };
    builder.with_single_cert(chain, key).map_err(|fault| bad("key", &files.key, fault))
}

fn certificates(what: &'static str, file: &Path) -> Result<Vec<CertificateDer<'static>>, MuxError> {
    let certificates: Vec<_> = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect)
        .map_err(|fault| bad(what, file, fault))?;
    if certificates.is_empty() {
        return Err(bad(what, file, "it holds no CERTIFICATE in PEM form"));
    }
    Ok(certificates)
}

fn bad(what: &'static str, file: &Path, reason: impl std::fmt::Display) -> MuxError {
    MuxError::Tls { what, file: file.display().to_string(), reason: reason.to_string() }
}

//! HTTPS: certificate, key, and whose clients are let in.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::{Error as PemError, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};

/// Why HTTPS cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or is no PEM file.
    #[error("read {what} from {path}: {source}", path = path.display())]
    Pem {
        /// What should be in it.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: PemError,
    },
    /// There is no certificate in a file.
    #[error("read {what} from {path}: there is none in it; name a PEM file", path = path.display())]
    None {
        /// What should be in it.
        what: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// Certificate and key cannot be used, or do not belong together.
    #[error("use the certificate of {path}: {source}", path = path.display())]
    Use {
        /// The file of the certificate.
        path: PathBuf,
        /// Why not.
        source: rustls::Error,
    },
    /// The certificates that sign those of clients cannot be used.
    #[error("use the clients' authority of {path}: {source}", path = path.display())]
    Clients {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: VerifierBuilderError,
    },
}

fn certificates(what: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let failed = |source| TlsError::Pem { what, path: path.to_owned(), source };
    let found = CertificateDer::pem_file_iter(path).map_err(failed)?;
    let found: Vec<_> = found.collect::<Result<_, _>>().map_err(failed)?;
    if found.is_empty() {
        return Err(TlsError::None { what, path: path.to_owned() });
    }
    Ok(found)
}

/// The settings of a server with a certificate (its chain, in PEM) and its key (PEM), from TLS 1.2
/// on. With `clients`, a PEM file of authorities, a client without a certificate of one of them is
/// refused in the handshake.
///
/// # Errors
/// A file cannot be read or used.
pub fn server(
    certificate: &Path,
    key: &Path,
    clients: Option<&Path>,
) -> Result<Arc<ServerConfig>, TlsError> {
    let chain = certificates("the certificate", certificate)?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|source| TlsError::Pem {
        what: "the key",
        path: key.to_owned(),
        source,
    })?;
    let unusable = |source| TlsError::Use { path: certificate.to_owned(), source };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_safe_default_protocol_versions().map_err(unusable)?;
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for root in certificates("the clients' authority", path)? {
                let unusable = |source| TlsError::Use { path: path.to_owned(), source };
                roots.add(root).map_err(unusable)?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            let unusable = |source| TlsError::Clients { path: path.to_owned(), source };
            builder.with_client_cert_verifier(verifier.build().map_err(unusable)?)
        }
    };
    let mut config = builder.with_single_cert(chain, private).map_err(unusable)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

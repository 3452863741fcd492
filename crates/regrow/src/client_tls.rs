//! Encrypted connections as a client: whom to trust and as whom to come, from PEM files.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use regrow_manager::CoordinatorTls;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

/// A client that trusts the certificates of a PEM file and nobody else, and shows none of its own.
/// `flag` names the file on the command line.
///
/// # Errors
/// The file cannot be read or holds no certificate.
pub fn trusting(file: &Path, flag: &str) -> Result<ClientConfig> {
    Ok(begin(file, flag)?.with_no_client_auth())
}

/// A client of a coordinator.
///
/// # Errors
/// A file cannot be read or holds something else, or certificate and key do not belong together.
pub fn of_coordinator(tls: &CoordinatorTls) -> Result<ClientConfig> {
    let begun = begin(&tls.ca, "--coordinator-ca")?;
    let (Some(cert), Some(key)) = (&tls.cert, &tls.key) else {
        return Ok(begun.with_no_client_auth());
    };
    let about = || format!("read our certificates from {}", cert.display());
    let chain = CertificateDer::pem_file_iter(cert).with_context(about)?;
    let chain: Vec<_> = chain.collect::<Result<_, _>>().with_context(about)?;
    if chain.is_empty() {
        bail!("{}: there is none in it; name a PEM file with --coordinator-cert", about());
    }
    let about = || format!("read our key from {} (--coordinator-key)", key.display());
    let private = PrivateKeyDer::from_pem_file(key).with_context(about)?;
    let pair = || format!("come as {} with the key of {}", cert.display(), key.display());
    begun.with_client_auth_cert(chain, private).with_context(pair)
}

type Begun = rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert>;

fn begin(file: &Path, flag: &str) -> Result<Begun> {
    let about = || format!("read the certificates to trust from {}", file.display());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).with_context(about)? {
        roots.add(certificate.with_context(about)?).with_context(about)?;
    }
    if roots.is_empty() {
        bail!("{}: there is none in it; name a PEM file with {flag}", about());
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider);
    Ok(builder.with_safe_default_protocol_versions()?.with_root_certificates(roots))
}

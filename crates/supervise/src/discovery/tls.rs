//! Whom to trust over `https`, and as whom to come.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use regrow_pki::AnyServer;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use rustls_platform_verifier::Verifier;
use tokio_rustls::TlsConnector;

use super::error::DiscoveryError;
use crate::config::Consul;

/// Most files of a folder with authorities that are read.
const FILES_MAX: usize = 1_000;

/// What makes connections to a host, and the name that its certificate must have.
pub(super) fn connector(
    consul: &Consul,
    host: &str,
) -> Result<(TlsConnector, ServerName<'static>), DiscoveryError> {
    let name = name(consul.server_name.as_deref().unwrap_or(host))?;
    Ok((TlsConnector::from(Arc::new(settings(consul)?)), name))
}

/// The settings of TLS to the agent.
pub(super) fn settings(consul: &Consul) -> Result<ClientConfig, DiscoveryError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| DiscoveryError::Tls(error.to_string()))?;
    let verifier = verifier(consul, &provider)?;
    let expected = consul.server_name.as_deref().filter(|_| consul.verify).map(name).transpose()?;
    let verifier: Arc<dyn ServerCertVerifier> = match expected {
        Some(name) => Arc::new(Named { inner: verifier, name }),
        None => verifier,
    };
    let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
    let (Some(chain), Some(key)) = (&consul.client_cert, &consul.client_key) else {
        if consul.client_cert.is_some() || consul.client_key.is_some() {
            let reason = "a client certificate needs its key and a key its certificate; give both";
            return Err(DiscoveryError::Tls(reason.into()));
        }
        return Ok(builder.with_no_client_auth());
    };
    let certificates = certificates(chain, "our certificate")?;
    let key =
        PrivateKeyDer::from_pem_file(key).map_err(|error| unreadable("our key", key, &error))?;
    builder
        .with_client_auth_cert(certificates, key)
        .map_err(|error| DiscoveryError::Tls(format!("our certificate and key: {error}")))
}

fn name(text: &str) -> Result<ServerName<'static>, DiscoveryError> {
    ServerName::try_from(text.to_owned())
        .map_err(|error| DiscoveryError::Tls(format!("the server's name {text:?}: {error}")))
}

fn verifier(
    consul: &Consul,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, DiscoveryError> {
    if !consul.verify {
        tracing::warn!(
            "the certificate of {} is NOT verified: whoever is on the way can read the token and \
             answer in its place; set consul.tls.verify to true and name its authority",
            consul.url
        );
        return Ok(Arc::new(AnyServer::new(Arc::clone(provider))));
    }
    let Some(roots) = roots(consul)? else {
        let verifier = Verifier::new(Arc::clone(provider));
        return Ok(Arc::new(verifier.map_err(|error| {
            DiscoveryError::Tls(format!("{error}; name an authority to trust as consul.tls.cafile"))
        })?));
    };
    let verifier =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider)).build();
    Ok(verifier.map_err(|error| DiscoveryError::Tls(error.to_string()))?)
}

/// The authorities that are named; `None`: those that this system trusts. As in Consul's own client
/// a file is enough, and the folder is not looked at then.
fn roots(consul: &Consul) -> Result<Option<RootCertStore>, DiscoveryError> {
    const WHAT: &str = "the authorities to trust";
    let (place, files) = match (&consul.ca_file, &consul.ca_path) {
        (Some(file), _) => (file, vec![file.clone()]),
        (None, Some(folder)) => (folder, files(folder, WHAT)?),
        (None, None) => return Ok(None),
    };
    let mut roots = RootCertStore::empty();
    for file in &files {
        for certificate in certificates(file, WHAT)? {
            roots.add(certificate).map_err(|error| unreadable(WHAT, file, &error))?;
        }
    }
    if roots.is_empty() {
        return Err(unreadable(WHAT, place, &"there is none in it"));
    }
    Ok(Some(roots))
}

/// The files of a folder, by name, without the hidden ones.
fn files(folder: &Path, what: &'static str) -> Result<Vec<PathBuf>, DiscoveryError> {
    let failed = |error: std::io::Error| unreadable(what, folder, &error);
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        if !hidden && entry.path().is_file() {
            files.push(entry.path());
        }
        if files.len() > FILES_MAX {
            let reason = format!("it has more than {FILES_MAX} files; name one file instead");
            return Err(unreadable(what, folder, &reason));
        }
    }
    files.sort();
    Ok(files)
}

fn certificates(
    file: &Path,
    what: &'static str,
) -> Result<Vec<CertificateDer<'static>>, DiscoveryError> {
    let read = CertificateDer::pem_file_iter(file)
        .and_then(|certificates| certificates.collect::<Result<Vec<_>, _>>());
    match read {
        Ok(certificates) if certificates.is_empty() => {
            Err(unreadable(what, file, &"there is no certificate in it; expected PEM"))
        }
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(unreadable(what, file, &error)),
    }
}

fn unreadable(what: &'static str, path: &Path, reason: &dyn std::fmt::Display) -> DiscoveryError {
    DiscoveryError::File { what, path: path.to_owned(), reason: reason.to_string() }
}

/// A verifier that looks for another name than the address has.
#[derive(Debug)]
struct Named {
    inner: Arc<dyn ServerCertVerifier>,
    name: ServerName<'static>,
}

impl ServerCertVerifier for Named {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.inner.verify_server_cert(end_entity, intermediates, &self.name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

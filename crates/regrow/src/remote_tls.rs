//! Encrypted connections to a remote manager's port.

use std::io;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use async_trait::async_trait;
use regrow_plugin::client::{Dial, Io};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Opens encrypted connections and checks who answers.
#[derive(Clone)]
pub struct Tls(TlsConnector);

impl Tls {
    /// Trusts the certificates of a PEM file and nobody else: a manager's port has a certificate of
    /// its own making, or of an authority that its operator runs.
    ///
    /// # Errors
    /// The file cannot be read or holds no certificate.
    pub fn trusting(file: &Path) -> Result<Self> {
        let about = || format!("read the certificates to trust from {}", file.display());
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(file).with_context(about)? {
            roots.add(certificate.with_context(about)?).with_context(about)?;
        }
        if roots.is_empty() {
            bail!("{}: there is none in it; name a PEM file with --ca", about());
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }

    /// Connections to `host:port`, made directly or over those that `below` makes.
    pub fn dial(&self, authority: &str, below: Option<Arc<dyn Dial>>) -> Arc<dyn Dial> {
        Arc::new(TlsDial { connector: self.0.clone(), authority: authority.to_owned(), below })
    }
}

struct TlsDial {
    connector: TlsConnector,
    authority: String,
    below: Option<Arc<dyn Dial>>,
}

#[async_trait]
impl Dial for TlsDial {
    async fn dial(&self) -> io::Result<Box<dyn Io>> {
        let host =
            self.authority.rsplit_once(':').map_or(self.authority.as_str(), |(host, _)| host);
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(host).map_err(io::Error::other)?;
        let plain: Box<dyn Io> = match &self.below {
            Some(below) => below.dial().await?,
            None => Box::new(TcpStream::connect(&self.authority).await?),
        };
        Ok(Box::new(self.connector.connect(name, plain).await?))
    }
}

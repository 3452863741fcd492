//! Encrypted connections to a remote manager's port.

use std::io;
use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use async_trait::async_trait;
use regrow_plugin::client::{Dial, Io};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::client_tls;

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
        let config = client_tls::trusting(file, "--ca")?;
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

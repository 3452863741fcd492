//! A client that obeys nothing: it shows what it likes, believes every server, and writes bytes.

use std::net::SocketAddr;
use std::sync::Arc;

use regrow_pki::Credential;
use regrow_wire::FaultCode;
use regrow_wire::frame::{HEAD, Head, Kind, VERSIONS, decode_fault};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::world::within;

/// What came of a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    Reply,
    Fault(FaultCode),
    /// The connection ended, before or after the handshake.
    Closed,
}

pub struct Raw(pub TlsStream<TcpStream>);

impl Raw {
    /// Shakes hands; none if the server refused already.
    pub async fn connect(address: SocketAddr, shown: Option<&Credential>) -> Option<Self> {
        let tcp = TcpStream::connect(address).await.expect("a connection");
        let name = ServerName::try_from("anything").expect("a name");
        let connector = TlsConnector::from(config(shown));
        within("a handshake", connector.connect(name, tcp)).await.ok().map(Self)
    }

    /// Shakes hands and exchanges hellos.
    pub async fn greeted(address: SocketAddr, shown: Option<&Credential>) -> Option<Self> {
        let mut raw = Self::connect(address, shown).await?;
        let hello = VERSIONS.encode();
        raw.frame(Head::new(Kind::Hello, 0, hello.len() as u32), &hello).await;
        let (head, _) = raw.read().await?;
        assert_eq!(head.kind, Kind::Hello);
        Some(raw)
    }

    /// Writes; that the server has gone shows when reading.
    pub async fn write(&mut self, bytes: &[u8]) {
        if self.0.write_all(bytes).await.is_ok() {
            let _ = self.0.flush().await;
        }
    }

    pub async fn frame(&mut self, head: Head, body: &[u8]) {
        self.write(&[&head.encode(), body].concat()).await;
    }

    pub async fn request(&mut self, method: u16, request: u64, body: &[u8]) {
        let size = body.len() as u32;
        let head = Head { kind: Kind::Request, method, request, deadline_ms: 60_000, size };
        self.frame(head, body).await;
    }

    /// The next frame; none when the server has closed.
    pub async fn read(&mut self) -> Option<(Head, Vec<u8>)> {
        let read = async {
            let mut head = [0; HEAD];
            self.0.read_exact(&mut head).await.ok()?;
            let head = Head::decode(&head).expect("a frame");
            let mut body = vec![0; head.size as usize];
            self.0.read_exact(&mut body).await.ok()?;
            Some((head, body))
        };
        within("a frame or the end", read).await
    }

    pub async fn outcome(&mut self) -> Outcome {
        match self.read().await {
            None => Outcome::Closed,
            Some((head, body)) => match head.kind {
                Kind::Reply => Outcome::Reply,
                Kind::Error => Outcome::Fault(decode_fault(&body).code),
                other => panic!("a {other:?} frame"),
            },
        }
    }
}

/// One request by whoever shows this certificate.
pub async fn ask(address: SocketAddr, shown: Option<&Credential>, method: u16) -> Outcome {
    let Some(mut raw) = Raw::greeted(address, shown).await else {
        return Outcome::Closed;
    };
    raw.request(method, 1, b"body").await;
    raw.outcome().await
}

fn config(shown: Option<&Credential>) -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Believe(provider)));
    Arc::new(match shown {
        None => builder.with_no_client_auth(),
        Some(credential) => {
            let chain = credential.chain().iter().map(|der| der.to_vec().into()).collect();
            let key = credential.key().pem();
            let key = PrivateKeyDer::from_pem_slice(key.expose().as_bytes()).expect("a key");
            builder.with_client_auth_cert(chain, key).expect("settings")
        }
    })
}

/// Believes every server.
#[derive(Debug)]
struct Believe(Arc<CryptoProvider>);

impl ServerCertVerifier for Believe {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("not spoken".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

//! Logins, and encrypted connections.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use regrow_catalog::http::{Acl, HttpOptions, Logins, tls_server};
use regrow_catalog::model::Access;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::client::{get, send};
use crate::world::{World, catalog};

#[tokio::test]
async fn a_login_is_asked_for_first_and_is_no_token() {
    let logins = Logins::parse("ann:secret\n").expect("logins");
    let acl = Acl::On { default: Access::Write, management: None };
    let options = HttpOptions { logins: Some(logins), acl, ..HttpOptions::default() };
    let world = World::with(catalog().await, options).await;
    let refused = get(world.address, "/v1/status/leader").await;
    assert_eq!(refused.status, 401);
    assert_eq!(refused.header("www-authenticate"), "Basic realm=\"catalog\"");
    let ask = async |login: &str, more: &[(&str, &str)]| {
        let headers = [&[("Authorization", login)], more].concat();
        send(world.address, "GET", "/v1/kv/a", &headers, "").await.status.as_u16()
    };
    // ann:secret, then ann:wrong
    assert_eq!(ask("Basic YW5uOnNlY3JldA==", &[]).await, 404);
    assert_eq!(ask("Basic YW5uOndyb25n", &[]).await, 401);
    assert_eq!(ask("Bearer YW5uOnNlY3JldA==", &[]).await, 401);
    assert_eq!(ask("Basic YW5uOnNlY3JldA==", &[("X-Consul-Token", "nope")]).await, 403);
}

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("an authority"))
    }

    /// Writes a certificate and its key.
    fn issue(&self, folder: &Path, name: &str) {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("parameters");
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        std::fs::write(folder.join(format!("{name}.pem")), certificate.pem()).expect("written");
        std::fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).expect("written");
    }
}

/// Asks over an encrypted connection; what came back, if anything did.
async fn ask(world: &World, config: rustls::ClientConfig) -> std::io::Result<String> {
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let stream = TcpStream::connect(world.address).await?;
    let name = "localhost".try_into().expect("a name");
    let mut stream = connector.connect(name, stream).await?;
    let request = b"GET /v1/status/leader HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    stream.write_all(request).await?;
    let mut answer = Vec::new();
    // Not every server says goodbye.
    let read = stream.read_to_end(&mut answer).await;
    if answer.is_empty() {
        read?;
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[tokio::test]
async fn connections_are_encrypted_and_clients_show_their_certificate() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let authority = Authority::new();
    std::fs::write(path("ca.pem"), authority.0.pem()).expect("written");
    authority.issue(folder.path(), "server");
    authority.issue(folder.path(), "client");
    let tls = tls_server(&path("server.pem"), &path("server.key"), Some(&path("ca.pem")));
    let options = HttpOptions { tls: Some(tls.expect("settings")), ..HttpOptions::default() };
    let world = World::with(catalog().await, options).await;
    let builder = || {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(authority.0.der().clone()).expect("a root");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider);
        builder
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
    };
    let chain = vec![CertificateDer::from_pem_file(path("client.pem")).expect("a certificate")];
    let key = PrivateKeyDer::from_pem_file(path("client.key")).expect("a key");
    let known = builder().with_client_auth_cert(chain, key).expect("a client");
    let answer = ask(&world, known).await.expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    ask(&world, builder().with_no_client_auth()).await.expect_err("refused in the handshake");
    // Plain text is no handshake.
    let mut plain = TcpStream::connect(world.address).await.expect("a connection");
    plain.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("sent");
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(60), plain.read_to_end(&mut answer)).await;
    let _ = read.expect("the connection ends");
    assert!(!answer.starts_with(b"HTTP/1.1"));
}

#[test]
fn files_that_are_no_certificates_are_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("empty.pem");
    std::fs::write(&path, "nothing").expect("written");
    let error = tls_server(&path, &path, None).expect_err("refused").to_string();
    assert!(error.contains("empty.pem: there is none in it"), "{error}");
    let missing = folder.path().join("missing.pem");
    let error = tls_server(&missing, &path, None).expect_err("refused").to_string();
    assert!(error.contains("missing.pem"), "{error}");
}

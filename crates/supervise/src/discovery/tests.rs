//! The client: how it reaches an agent, whom it trusts, and what it says when something is wrong.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tempfile::TempDir;

use super::complaint::Complaint;
use super::fake::{FakeAgent, Mood, PATIENCE};
use super::*;
use crate::config::{Consul, Secret};

/// The name in the certificate of the agent.
const NAME: &str = "agent.test";

fn made(name: &str) -> CertifiedKey<KeyPair> {
    generate_simple_self_signed([name.to_owned()]).expect("certificate")
}

/// A file with the certificate, in a folder of its own, and one with the key.
fn files(folder: &TempDir, name: &str, made: &CertifiedKey<KeyPair>) -> (PathBuf, PathBuf) {
    let own = folder.path().join(name);
    std::fs::create_dir(&own).expect("folder");
    let (cert, key) = (own.join("cert.pem"), folder.path().join(format!("{name}.key")));
    std::fs::write(&cert, made.cert.pem()).expect("write");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("write");
    (cert, key)
}

fn server(own: &CertifiedKey<KeyPair>, clients: Option<&CertificateDer<'static>>) -> ServerConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone());
    let builder = builder.with_safe_default_protocol_versions().expect("versions");
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(own.signing_key.serialize_der()));
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(trusted) => {
            let mut roots = RootCertStore::empty();
            roots.add(trusted.clone()).expect("root");
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().expect("verifier"))
        }
    };
    builder.with_single_cert(vec![own.cert.der().clone()], key).expect("certificate")
}

async fn asks(consul: &Consul) -> Result<(), CallError> {
    let client = Client::new(consul).expect("settings");
    client.get("/v1/kv/none", PATIENCE).await.map(|_| ())
}

#[tokio::test]
async fn a_certificate_is_verified_unless_somebody_says_no() {
    let folder = tempfile::tempdir().expect("folder");
    let made = made(NAME);
    let (cert, _) = files(&folder, "agent", &made);
    let agent = FakeAgent::start_tls(server(&made, None)).await;
    let unknown = agent.settings();
    // Neither the authority nor the name is right, then one of both, then both.
    assert!(matches!(asks(&unknown).await, Err(CallError::Connect { .. })));
    let trusted = Consul { ca_file: Some(cert.clone()), ..unknown.clone() };
    assert!(matches!(asks(&trusted).await, Err(CallError::Connect { .. })));
    let named = Consul { server_name: Some(NAME.into()), ..trusted.clone() };
    assert_eq!(asks(&named).await, Ok(()));
    let other = Consul { server_name: Some("other.test".into()), ..trusted };
    assert!(matches!(asks(&other).await, Err(CallError::Connect { .. })));
    let folder = cert.parent().map(Path::to_owned);
    let by_folder = Consul { ca_file: None, ca_path: folder, ..named };
    assert_eq!(asks(&by_folder).await, Ok(()));
    let believing = Consul { verify: false, ..unknown };
    assert_eq!(asks(&believing).await, Ok(()));
}

#[tokio::test]
async fn a_client_comes_with_its_certificate() {
    let folder = tempfile::tempdir().expect("folder");
    let (own, client) = (made(NAME), made("client.test"));
    let (cert, key) = files(&folder, "client", &client);
    let (ca, _) = files(&folder, "agent", &own);
    let agent = FakeAgent::start_tls(server(&own, Some(client.cert.der()))).await;
    let without = Consul { ca_file: Some(ca), server_name: Some(NAME.into()), ..agent.settings() };
    assert!(asks(&without).await.is_err());
    let with = Consul { client_cert: Some(cert), client_key: Some(key), ..without.clone() };
    assert_eq!(asks(&with).await, Ok(()));
    let half = Consul { client_key: None, ..with };
    let error = Client::new(&half).expect_err("half of a pair").to_string();
    assert!(error.contains("give both"), "{error}");
}

#[tokio::test]
async fn secrets_are_sent_with_each_call_and_shown_nowhere() {
    let agent = FakeAgent::start().await;
    let secret = |text: &str| Secret(text.to_owned());
    let consul = Consul {
        token: Some(secret("tok-1")),
        basic: Some(("joe".into(), secret("pass:word"))),
        ..agent.settings()
    };
    asks(&consul).await.expect("asked");
    let secrets = agent.now().calls[0].secrets.clone();
    assert_eq!(secrets, [Some("tok-1".into()), Some("Basic am9lOnBhc3M6d29yZA==".into())]);
    let shown = format!("{:?}", Client::new(&consul).expect("settings"));
    assert!(!shown.contains("tok-1") && !shown.contains("pass"), "{shown}");
}

/// Story 5: the token of a file, which is not seen in any configuration.
#[tokio::test]
async fn a_token_is_read_from_its_file() {
    let agent = FakeAgent::start().await;
    let file = tempfile::NamedTempFile::new().expect("a file");
    let consul = Consul {
        token: Some(Secret("given".to_owned())),
        token_file: Some(file.path().to_owned()),
        ..agent.settings()
    };
    for (content, sent) in [("tok-2\n", "tok-2"), ("\n", "given")] {
        std::fs::write(file.path(), content).expect("written");
        asks(&consul).await.expect("asked");
        let last = agent.now().calls.last().expect("a call").secrets[0].clone();
        assert_eq!(last.as_deref(), Some(sent));
    }
    let refused = |consul: &Consul| Client::new(consul).expect_err("unreadable").to_string();
    std::fs::write(file.path(), "x".repeat(5000)).expect("written");
    assert!(refused(&consul).contains("more than 4096 bytes"), "{}", refused(&consul));
    let missing = Consul { token_file: Some("/does/not/exist".into()), ..consul };
    let text = refused(&missing);
    assert!(text.starts_with("read the token of the catalog from /does/not/exist: "), "{text}");
}

#[tokio::test]
async fn an_agent_is_reached_by_its_socket() {
    let folder = tempfile::tempdir().expect("folder");
    let agent = FakeAgent::start_on(&folder.path().join("agent.sock")).await;
    asks(&agent.settings()).await.expect("asked");
    assert_eq!(agent.now().lines(), ["GET /v1/kv/none"]);
}

#[tokio::test]
async fn the_value_of_a_key_is_read_as_it_is() {
    let agent = FakeAgent::start().await;
    let client = agent.client();
    assert_eq!(client.value("app/pass word").await, Ok(None));
    agent.say("/v1/kv/app/pass%20word", 4, 200, "s3cret");
    let value = client.value("app/pass word").await.expect("answered");
    assert_eq!(value.as_deref(), Some(&b"s3cret"[..]));
    agent.mood(Mood::Refusing(403));
    let error = client.value("app/pass word").await.expect_err("refused").to_string();
    assert_eq!(error, "Unexpected response code: 403 (out of order)");
}

/// Complaint 10: no call had a limit.
#[tokio::test]
async fn no_call_waits_longer_than_it_may() {
    for mood in [Mood::Silent, Mood::Slow] {
        let agent = FakeAgent::start().await;
        agent.mood(mood);
        let within = Duration::from_millis(300);
        let answer = agent.client().get("/v1/kv/none", within).await;
        assert!(matches!(answer, Err(CallError::Late { .. })), "{mood:?}: {answer:?}");
    }
}

#[tokio::test]
async fn nobody_there_is_told_from_no_answer() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let url = format!("http://{}", listener.local_addr().expect("address"));
    drop(listener);
    let client = Client::new(&Consul { url, verify: true, ..Consul::default() }).expect("settings");
    let error = client.get("/v1/kv/none", PATIENCE).await.expect_err("nobody");
    assert!(matches!(error, CallError::Connect { .. }), "{error}");
    assert!(error.certainly_not_executed());
}

#[test]
fn what_cannot_be_an_agent_is_refused_before_anything_is_sent() {
    for (url, why) in [
        ("127.0.0.1:8500", "scheme"),
        ("ftp://127.0.0.1", "scheme"),
        ("http://joe:secret@127.0.0.1", "login"),
        ("unix://relative", "slash"),
        ("", "expected"),
    ] {
        let consul = Consul { url: url.into(), verify: true, ..Consul::default() };
        let error = Client::new(&consul).expect_err(url).to_string();
        assert!(error.contains(why), "{url}: {error}");
    }
    let consul = Consul {
        url: "https://127.0.0.1".into(),
        ca_file: Some("/nowhere/ca.pem".into()),
        verify: true,
        ..Consul::default()
    };
    let error = Client::new(&consul).expect_err("no such file").to_string();
    assert!(error.starts_with("read the authorities to trust from /nowhere/ca.pem"), "{error}");
}

/// Complaint 14: every failure was a line of its own.
#[test]
fn a_failure_is_said_when_it_begins_changes_and_ends() {
    let late = CallError::Late { address: "there".into(), within: Duration::from_secs(1) };
    let refused = |body: &str| CallError::Refused { status: 500, body: body.into() };
    let mut complaint = Complaint::default();
    let mut said = |error: &CallError| complaint.failed("it failed", error.kind(), error);
    assert_eq!(said(&late).as_deref(), Some("it failed: there gave no answer within 1s"));
    assert_eq!(said(&late), None);
    assert_eq!(
        said(&refused("a")).as_deref(),
        Some("it failed: Unexpected response code: 500 (a) (failed 3 times so far)")
    );
    // Another text of the same kind is no news.
    assert_eq!(said(&refused("b")), None);
    assert_eq!(complaint.worked(), Some(4));
    assert_eq!(complaint.worked(), None);
    assert!(complaint.failed("it failed", late.kind(), &late).is_some());
}

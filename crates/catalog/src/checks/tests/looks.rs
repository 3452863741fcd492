//! HTTP, TCP and gRPC.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{HeaderMap, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::checks::Finding;
use crate::checks::probe::Probe;
use crate::model::{CheckDefinition, Status};

async fn look(check: CheckDefinition) -> Finding {
    Probe::new(true).expect("a probe").look(&check).await
}

/// Answers as the path says: `/CODE`; the body tells method, some headers and the body.
async fn told(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.expect("a body").to_bytes();
    let header = |name: &str| {
        let values = head.headers.get_all(name).iter();
        let values: Vec<&str> = values.map(|value| value.to_str().expect("text")).collect();
        values.join("+")
    };
    let said = format!(
        "{} {} agent={} accept={} x={} host={} body={}",
        head.method,
        head.uri,
        header("user-agent"),
        header("accept"),
        header("x-test"),
        header("host"),
        String::from_utf8_lossy(&body)
    );
    let code: u16 = head.uri.path().trim_start_matches('/').parse().unwrap_or(200);
    let said = if head.uri.path() == "/long" { "x".repeat(100_000) } else { said };
    Ok(Response::builder().status(code).body(Full::from(said)).expect("a response"))
}

/// A server in this process, over TLS with a certificate that nobody knows if asked for.
async fn http_server(tls: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let tls = tls.then(|| acceptor(&[]));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let tls = tls.clone();
            tokio::spawn(async move {
                let server = hyper::server::conn::http1::Builder::new();
                let service = service_fn(told);
                match tls {
                    None => server.serve_connection(TokioIo::new(stream), service).await.ok(),
                    Some(tls) => {
                        let stream = tls.accept(stream).await.ok()?;
                        server.serve_connection(TokioIo::new(stream), service).await.ok()
                    }
                }
            });
        }
    });
    address
}

fn acceptor(protocols: &[&[u8]]) -> TlsAcceptor {
    let names = vec!["127.0.0.1".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], PrivateKeyDer::Pkcs8(key))
        .expect("a key");
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    TlsAcceptor::from(Arc::new(config))
}

fn http(url: String) -> CheckDefinition {
    CheckDefinition { http: url, ..CheckDefinition::default() }
}

#[tokio::test]
async fn http_passes_warns_and_fails_by_the_code() {
    let server = http_server(false).await;
    for (code, status) in [
        (200, Status::Passing),
        (204, Status::Passing),
        (429, Status::Warning),
        (404, Status::Critical),
        (503, Status::Critical),
    ] {
        let found = look(http(format!("http://{server}/{code}"))).await;
        assert_eq!(found.status, status, "{found:?}");
        let begin = format!("HTTP GET http://{server}/{code}: {code} ");
        assert!(found.output.starts_with(&begin), "{found:?}");
    }
}

#[tokio::test]
async fn http_sends_what_the_check_says() {
    let server = http_server(false).await;
    let plain = look(http(format!("http://{server}/200"))).await;
    let told = format!(
        "GET /200 agent=Consul Health Check accept=text/plain, text/*, */* x= host={server} body="
    );
    assert!(plain.output.ends_with(&told), "{plain:?}");
    let header = [("X-Test", vec!["1", "2"]), ("Host", vec!["web.test"]), ("accept", vec!["a/b"])];
    let check = CheckDefinition {
        method: "POST".to_owned(),
        body: "how are you".to_owned(),
        header: header
            .map(|(name, values)| {
                (name.to_owned(), values.into_iter().map(str::to_owned).collect())
            })
            .into(),
        ..http(format!("http://{server}/200"))
    };
    let found = look(check).await;
    let told = "POST /200 agent=Consul Health Check accept=a/b x=1+2 host=web.test \
                body=how are you";
    assert!(found.output.ends_with(told), "{found:?}");
}

#[tokio::test]
async fn http_output_is_cut_and_bad_checks_are_critical() {
    let server = http_server(false).await;
    let found = look(http(format!("http://{server}/long"))).await;
    assert_eq!((found.status, found.output.len()), (Status::Passing, 4096));
    let url = format!("http://{server}/200");
    let method = CheckDefinition { method: "A B".to_owned(), ..http(url.clone()) };
    let header = [("bad name".to_owned(), vec![String::new()])].into();
    let header = CheckDefinition { header, ..http(url) };
    for check in [method, header, http("nonsense".to_owned()), http("http://".to_owned())] {
        let found = look(check).await;
        assert_eq!(found.status, Status::Critical, "{found:?}");
    }
}

#[tokio::test]
async fn a_certificate_is_verified_unless_the_check_says_otherwise() {
    let server = http_server(true).await;
    let strict = http(format!("https://{server}/200"));
    let found = look(strict.clone()).await;
    assert_eq!(found.status, Status::Critical, "{found:?}");
    assert!(found.output.contains("certificate"), "{found:?}");
    let found = look(CheckDefinition { tls_skip_verify: true, ..strict }).await;
    assert_eq!(found.status, Status::Passing, "{found:?}");
}

/// A port at which nobody listens, held so that nobody else does.
async fn closed() -> (SocketAddr, tokio::net::TcpSocket) {
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket.bind("127.0.0.1:0".parse().expect("an address")).expect("bound");
    (socket.local_addr().expect("an address"), socket)
}

#[tokio::test]
async fn tcp_passes_where_somebody_listens() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let tcp = |address: SocketAddr| CheckDefinition {
        tcp: address.to_string(),
        ..CheckDefinition::default()
    };
    let found = look(tcp(address)).await;
    assert_eq!(found, Finding::new(Status::Passing, format!("TCP connect {address}: Success")));
    let (nobody, _held) = closed().await;
    let found = look(tcp(nobody)).await;
    assert_eq!(found.status, Status::Critical);
    assert!(found.output.contains("refused"), "{found:?}");
}

#[tokio::test]
async fn who_does_not_answer_in_time_is_critical() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let timeout = Some(Duration::from_millis(50));
    let check = CheckDefinition { timeout, ..http(format!("http://{address}/")) };
    let found = look(check).await;
    let text = format!("http://{address}/: no answer within 50ms");
    assert_eq!(found, Finding::new(Status::Critical, text));
    let grpc = address.to_string();
    let found = look(CheckDefinition { grpc, timeout, ..CheckDefinition::default() }).await;
    assert!(found.output.contains("no answer within"), "{found:?}");
}

/// The health service: `up` serves, `down` does not, others are not found.
async fn health(request: Request<Incoming>) -> Result<Response<GrpcBody>, Infallible> {
    let path = request.uri().path().to_owned();
    let body = request.into_body().collect().await.expect("a body").to_bytes();
    assert_eq!(path, "/grpc.health.v1.Health/Check");
    let (code, message) = match body.get(7..).unwrap_or_default() {
        b"" | b"up" => ("0", vec![0, 0, 0, 0, 2, 8, 1]),
        b"down" => ("0", vec![0, 0, 0, 0, 2, 8, 2]),
        b"broken" => ("0", vec![1, 2, 3]),
        _ => ("5", Vec::new()),
    };
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static(code));
    let frames = [Ok(Frame::data(Bytes::from(message))), Ok(Frame::trailers(trailers))];
    Ok(Response::new(StreamBody::new(futures::stream::iter(frames))))
}

type GrpcBody = StreamBody<futures::stream::Iter<GrpcFrames>>;
type GrpcFrames = std::array::IntoIter<Result<Frame<Bytes>, Infallible>, 2>;

async fn serve_health(io: impl hyper::rt::Read + hyper::rt::Write + Unpin) {
    let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    let _ = server.serve_connection(io, service_fn(health)).await;
}

async fn grpc_server(tls: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let tls = tls.then(|| acceptor(&[b"h2"]));
    let serve = |stream: TcpStream, tls: Option<TlsAcceptor>| async move {
        match tls {
            None => serve_health(TokioIo::new(stream)).await,
            Some(tls) => {
                if let Ok(stream) = tls.accept(stream).await {
                    serve_health(TokioIo::new(stream)).await;
                }
            }
        }
    };
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, tls.clone()));
        }
    });
    address
}

fn grpc(target: String) -> CheckDefinition {
    CheckDefinition { grpc: target, ..CheckDefinition::default() }
}

#[tokio::test]
async fn grpc_passes_what_serves() {
    let server = grpc_server(false).await;
    for (target, status, says) in [
        (format!("{server}"), Status::Passing, "success"),
        (format!("{server}/up"), Status::Passing, "success"),
        (format!("{server}/down"), Status::Critical, "NOT_SERVING"),
        (format!("{server}/nope"), Status::Critical, "gRPC status 5"),
        (format!("{server}/broken"), Status::Critical, "not of the health service"),
    ] {
        let found = look(grpc(target.clone())).await;
        assert_eq!(found.status, status, "{found:?}");
        assert!(found.output.contains(&target) && found.output.contains(says), "{found:?}");
    }
    let other = http_server(false).await;
    let found = look(grpc(other.to_string())).await;
    assert_eq!(found.status, Status::Critical, "{found:?}");
}

#[tokio::test]
async fn grpc_over_tls_verifies_unless_the_check_says_otherwise() {
    let server = grpc_server(true).await;
    let strict = CheckDefinition { grpc_use_tls: true, ..grpc(server.to_string()) };
    let found = look(strict.clone()).await;
    assert_eq!(found.status, Status::Critical, "{found:?}");
    let found = look(CheckDefinition { tls_skip_verify: true, ..strict }).await;
    assert_eq!(found.status, Status::Passing, "{found:?}");
}

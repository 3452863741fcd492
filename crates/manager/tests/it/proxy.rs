//! The port for remote clients, over real TCP.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt as _;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use regrow_manager::leader::{LeaderError, LeaderSource, Leadership, MemoryLeader, parse_location};
use regrow_manager::mux::{Mux, MuxError, SocketDir};
use regrow_manager::{MuxOptions, TlsFiles};
use regrow_plugin::spi::LeaderLocation;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixListener};
use tokio::sync::{mpsc, watch};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

type Body = http_body_util::combinators::UnsyncBoxBody<Bytes, Infallible>;

/// A plugin that says what it was sent, and streams at `/events` whatever the test gives it.
struct Echo {
    events: mpsc::Sender<&'static str>,
}

fn echo(dir: &Path, name: &str) -> Echo {
    let listener = UnixListener::bind(dir.join(name)).expect("bind");
    let (events, queue) = mpsc::channel::<&'static str>(8);
    let queue = Arc::new(tokio::sync::Mutex::new(Some(queue)));
    let name = name.to_owned();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.expect("accept");
            let (queue, name) = (Arc::clone(&queue), name.clone());
            let answer = service_fn(move |request: Request<Incoming>| {
                let (queue, name) = (Arc::clone(&queue), name.clone());
                async move {
                    if request.uri().path() == "/events" {
                        let queue = queue.lock().await.take().expect("one subscriber");
                        let frames = futures::stream::unfold(queue, |mut queue| async move {
                            let text = queue.recv().await?;
                            Some((Ok(Frame::data(Bytes::from(text))), queue))
                        });
                        return Ok::<_, Infallible>(Response::new(
                            StreamBody::new(frames).boxed_unsync(),
                        ));
                    }
                    let (head, body) = request.into_parts();
                    let body = body.collect().await.map(|body| body.to_bytes().len());
                    let has = |name: &str| head.headers.contains_key(name);
                    let text = format!(
                        "{name} {} {} {} bytes token={} forwarded={}",
                        head.method,
                        head.uri,
                        body.unwrap_or(0),
                        has("authorization"),
                        has("x-regrow-forwarded"),
                    );
                    let body: Body = Full::new(Bytes::from(text)).boxed_unsync();
                    let mut response = Response::new(body);
                    for (name, value) in [("x-echo", "1"), ("access-control-allow-origin", "*")] {
                        response.headers_mut().insert(name, value.parse().expect("value"));
                    }
                    Ok(response)
                }
            });
            let server = hyper::server::conn::http1::Builder::new();
            tokio::spawn(server.serve_connection(TokioIo::new(stream), answer));
        }
    });
    Echo { events }
}

pub struct Node {
    dir: tempfile::TempDir,
    pub leader: MemoryLeader,
    pub mux: Mux,
    echo: Echo,
}

pub fn local() -> MuxOptions {
    MuxOptions { listen: "127.0.0.1:0".into(), ..MuxOptions::default() }
}

pub async fn node(leader: MemoryLeader, options: MuxOptions) -> Node {
    let dir = tempfile::tempdir().expect("directory");
    let echo = echo(dir.path(), "echo");
    std::fs::write(dir.path().join("note.txt"), "not a plugin").expect("write");
    let backend = Arc::new(SocketDir::new(dir.path()));
    let mux = Mux::start(&options, backend, Arc::new(leader.clone())).await.expect("start");
    Node { dir, leader, mux, echo }
}

pub fn request(method: &str, path: &str) -> Request<Body> {
    let body = Full::new(Bytes::from_static(b"{}")).boxed_unsync();
    let request = Request::builder().method(method).uri(path).header("host", "localhost");
    request.body(body).expect("request")
}

/// Posts JSON to a path.
pub async fn post(address: SocketAddr, path: &str, json: String) -> Response<Incoming> {
    let body = Full::new(Bytes::from(json)).boxed_unsync();
    let stream = TcpStream::connect(address).await.expect("connect");
    let mut request = request("POST", path).map(|_| body);
    let json = "application/json".parse().expect("value");
    request.headers_mut().insert("content-type", json);
    send_over(stream, request).await.expect("answer")
}

pub async fn send_over(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    request: Request<Body>,
) -> hyper::Result<Response<Incoming>> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    sender.send_request(request).await
}

pub async fn send(address: SocketAddr, request: Request<Body>) -> (u16, String) {
    let stream = TcpStream::connect(address).await.expect("connect");
    text_of(send_over(stream, request).await.expect("answer")).await
}

pub async fn text_of(response: Response<Incoming>) -> (u16, String) {
    let code = response.status().as_u16();
    let body = response.into_body().collect().await.expect("body").to_bytes();
    (code, String::from_utf8(body.to_vec()).expect("text"))
}

#[tokio::test]
async fn a_leader_lists_its_plugins_and_forwards_to_them() {
    let node = node(MemoryLeader::leading(), local()).await;
    std::fs::write(node.dir.path().join("remote.listen"), "tcp://127.0.0.1:1").expect("write");
    let at = node.mux.address();
    let captured = "{\n\"Leader\": true,\n\"Plugins\": [\n\"echo\",\n\"remote\"\n]\n}";
    assert_eq!(send(at, request("OPTIONS", "/")).await, (200, captured.to_owned()));
    for (path, inner) in
        [("/echo/", "/"), ("/echo", "/"), ("/echo/info/api.json?x=1", "/info/api.json?x=1")]
    {
        let (code, text) = send(at, request("POST", path)).await;
        let expected = format!("echo POST {inner} 2 bytes token=false forwarded=false");
        assert_eq!((code, text), (200, expected));
    }
    assert_eq!(send(at, request("GET", "/")).await.0, 404);
    for missing in ["/nobody/", "/note.txt/", "/../", "/.lock/", "/ec%68o/"] {
        assert_eq!(send(at, request("POST", missing)).await, (502, String::new()), "{missing}");
    }
    let (code, text) = send(at, request("POST", "/remote/")).await;
    assert!(code == 502 && text.starts_with("reach remote: "), "{code} {text}");
}

#[tokio::test]
async fn events_stream_as_they_come_and_end_with_the_reader() {
    let node = node(MemoryLeader::leading(), local()).await;
    let stream = TcpStream::connect(node.mux.address()).await.expect("connect");
    let asked = request("GET", "/echo/events?topic=a");
    let mut body = send_over(stream, asked).await.expect("answer").into_body().into_data_stream();
    for text in ["data: 1\n\n", "data: 2\n\n"] {
        node.echo.events.send(text).await.expect("send");
        let got = tokio::time::timeout(Duration::from_secs(10), body.next()).await;
        assert_eq!(got.expect("in time").expect("more").expect("data"), text.as_bytes());
    }
    drop(body);
    let ended = tokio::time::timeout(Duration::from_secs(10), node.echo.events.closed()).await;
    ended.expect("the plugin notices that the reader has left");
}

#[tokio::test]
async fn a_follower_forwards_everything_but_the_list_to_the_leader() {
    let leader = node(MemoryLeader::leading(), local()).await;
    let follower = node(MemoryLeader::default(), local()).await;
    let at = follower.mux.address();
    let (code, text) = send(at, request("POST", "/echo/")).await;
    assert!(code == 503 && text.starts_with("nobody has said yet"), "{code} {text}");
    let location = format!("http://{}", leader.mux.address());
    let location = parse_location(&location, "test").expect("location");
    follower.leader.set_location(&location).await.expect("set");
    let (code, text) = send(at, request("POST", "/echo/x?y=1")).await;
    assert_eq!(
        (code, text.as_str()),
        (200, "echo POST /x?y=1 2 bytes token=false forwarded=false")
    );
    let (_, list) = send(at, request("OPTIONS", "/")).await;
    assert!(list.contains("\"Leader\": false"), "{list}");
    // The other one loses the leadership as well: it must not send the request back.
    leader.leader.follow();
    let back = parse_location(&format!("http://{at}"), "test").expect("location");
    leader.leader.set_location(&back).await.expect("set");
    let (code, text) = send(at, request("POST", "/echo/")).await;
    assert!(code == 503 && text.contains("does not lead either"), "{code} {text}");
}

#[tokio::test]
async fn a_new_leader_writes_its_location_and_never_forwards_to_itself() {
    let options = MuxOptions { advertise: "node1:24999".into(), ..local() };
    let node = node(MemoryLeader::default(), options).await;
    node.leader.lead();
    let location = loop {
        if let Some(location) = node.leader.location().await.expect("location") {
            break location;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    assert_eq!((location.scheme.as_str(), location.host.as_str()), ("http", "node1:24999"));
    // A former leader writes late: ours is put back.
    let late = parse_location("http://node2:1", "test").expect("location");
    node.leader.set_location(&late).await.expect("set");
    while node.leader.location().await.expect("location") != Some(location.clone()) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    node.leader.follow();
    let (code, text) = send(node.mux.address(), request("POST", "/echo/")).await;
    assert!(code == 503 && text.contains("not said yet where it is"), "{code} {text}");
}

/// A source that cannot say where the leader is, as etcd during an election.
/// By its clock it may be over before it has said so.
struct Unlocated(watch::Sender<Leadership>, AtomicBool);

#[async_trait]
impl LeaderSource for Unlocated {
    fn now(&self) -> Leadership {
        if self.1.load(Ordering::Relaxed) { Leadership::Following } else { self.0.borrow().clone() }
    }
    fn watch(&self) -> watch::Receiver<Leadership> {
        self.0.subscribe()
    }
    fn lineage(&self) -> u64 {
        1
    }
    async fn location(&self) -> Result<Option<LeaderLocation>, LeaderError> {
        Err(LeaderError::Outside { doing: "ask".into(), reason: "time-out".into() })
    }
    async fn set_location(&self, _: &LeaderLocation) -> Result<(), LeaderError> {
        Err(LeaderError::Outside { doing: "tell".into(), reason: "time-out".into() })
    }
}

#[tokio::test]
async fn a_location_that_cannot_be_read_is_an_answer_and_no_crash() {
    let dir = tempfile::tempdir().expect("directory");
    let _echo = echo(dir.path(), "echo");
    let told = watch::Sender::new(Leadership::Following);
    let source = Arc::new(Unlocated(told, AtomicBool::new(false)));
    let backend = Arc::new(SocketDir::new(dir.path()));
    let mux = Mux::start(&local(), backend, source.clone()).await.expect("start");
    let (code, text) = send(mux.address(), request("POST", "/echo/")).await;
    assert!(code == 503 && text.contains("cannot find the leader: ask: time-out"), "{code} {text}");
    source.0.send_replace(Leadership::unknown("election"));
    let (code, text) = send(mux.address(), request("POST", "/echo/")).await;
    assert!(code == 503 && text.starts_with("cannot determine leader: election"), "{code} {text}");
    // It cannot write its location either, and still leads.
    let fence = regrow_ids::Fence::new(1);
    source.0.send_replace(Leadership::Leading { fence });
    assert_eq!(send(mux.address(), request("POST", "/echo/")).await.0, 200);
    source.1.store(true, Ordering::Relaxed);
    let (code, text) = send(mux.address(), request("POST", "/echo/")).await;
    assert!(code == 503 && text.starts_with("cannot find the leader"), "{code} {text}");
}

#[tokio::test]
async fn large_bodies_pass_and_too_large_ones_do_not() {
    let node = node(MemoryLeader::leading(), local()).await;
    let chunk = Bytes::from(vec![b'x'; 1 << 20]);
    let chunked = |count: usize| {
        let chunk = chunk.clone();
        let frames = (0..count).map(move |_| Ok(Frame::data(chunk.clone())));
        let body = StreamBody::new(futures::stream::iter(frames)).boxed_unsync();
        request("POST", "/echo/").map(|_| body)
    };
    let (code, text) = send(node.mux.address(), chunked(64)).await;
    assert_eq!(code, 200, "{text}");
    assert!(text.contains(&format!("{} bytes", 64 << 20)), "{text}");
    let stream = TcpStream::connect(node.mux.address()).await.expect("connect");
    // The answer may come while the rest is still being sent, which the client sees as an error.
    if let Ok(response) = send_over(stream, chunked(65)).await {
        assert_eq!(response.status(), 413);
    }
    let mut announced = request("POST", "/echo/");
    announced.headers_mut().insert("content-length", "67108865".parse().expect("number"));
    let stream = TcpStream::connect(node.mux.address()).await.expect("connect");
    if let Ok(response) = send_over(stream, announced).await {
        assert_eq!(response.status(), 413);
    }
    assert_eq!(send(node.mux.address(), request("POST", "/echo/")).await.0, 200);
}

#[tokio::test]
async fn a_token_is_asked_for_and_stays_here() {
    let secrets = tempfile::tempdir().expect("directory");
    let file = secrets.path().join("token");
    std::fs::write(&file, "0123456789abcdef\n").expect("write");
    let options = MuxOptions { token_file: Some(file.clone()), ..local() };
    let leader = node(MemoryLeader::leading(), options.clone()).await;
    let follower = node(MemoryLeader::default(), options.clone()).await;
    let location = format!("http://{}", leader.mux.address());
    let location = parse_location(&location, "test").expect("location");
    follower.leader.set_location(&location).await.expect("set");
    for at in [leader.mux.address(), follower.mux.address()] {
        for method in ["OPTIONS", "POST"] {
            assert_eq!(send(at, request(method, "/")).await.0, 401);
        }
        let mut wrong = request("POST", "/echo/");
        let value = "Bearer 0123456789abcdeX".parse().expect("value");
        wrong.headers_mut().insert("authorization", value);
        assert_eq!(send(at, wrong).await.0, 401);
        let mut right = request("POST", "/echo/");
        let value = "Bearer 0123456789abcdef".parse().expect("value");
        right.headers_mut().insert("authorization", value);
        let (code, text) = send(at, right).await;
        assert_eq!((code, text.contains("token=false")), (200, true), "{text}");
    }
    std::fs::write(&file, "short").expect("write");
    let backend = Arc::new(SocketDir::new(leader.dir.path()));
    let fault = Mux::start(&options, backend, Arc::new(MemoryLeader::default())).await.err();
    let text = fault.expect("too short").to_string();
    assert!(text.contains("token") && text.contains("at least 16"), "{text}");
}

pub struct Pem {
    dir: tempfile::TempDir,
}

impl Pem {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().expect("directory");
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).expect("certificate");
        std::fs::write(dir.path().join("cert.pem"), made.cert.pem()).expect("write");
        std::fs::write(dir.path().join("key.pem"), made.signing_key.serialize_pem())
            .expect("write");
        Self { dir }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn files(&self, client_ca: bool) -> TlsFiles {
        TlsFiles {
            cert: self.file("cert.pem"),
            key: self.file("key.pem"),
            client_ca: client_ca.then(|| self.file("cert.pem")),
        }
    }

    pub async fn send(
        &self,
        address: SocketAddr,
        with_certificate: bool,
    ) -> std::io::Result<(u16, String)> {
        let chain: Vec<_> = CertificateDer::pem_file_iter(self.file("cert.pem"))
            .expect("file")
            .collect::<Result<_, _>>()
            .expect("certificates");
        let mut roots = RootCertStore::empty();
        roots.add(chain[0].clone()).expect("root");
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots);
        let config = if with_certificate {
            let key = PrivateKeyDer::from_pem_file(self.file("key.pem")).expect("key");
            builder.with_client_auth_cert(chain, key).expect("client certificate")
        } else {
            builder.with_no_client_auth()
        };
        let stream = TcpStream::connect(address).await?;
        let name = ServerName::try_from("localhost").expect("name");
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
        let response =
            send_over(stream, request("POST", "/echo/")).await.map_err(std::io::Error::other)?;
        Ok(text_of(response).await)
    }
}

#[tokio::test]
async fn tls_is_spoken_with_clients_and_between_replicas() {
    let pem = Pem::new();
    for client_ca in [false, true] {
        let options = MuxOptions { tls: Some(pem.files(client_ca)), ..local() };
        let leader = node(MemoryLeader::leading(), options.clone()).await;
        assert_eq!(leader.mux.location().scheme, "https");
        let follower = node(MemoryLeader::default(), options).await;
        let location = format!("https://localhost:{}", leader.mux.address().port());
        let location = parse_location(&location, "test").expect("location");
        follower.leader.set_location(&location).await.expect("set");
        for at in [leader.mux.address(), follower.mux.address()] {
            let (code, text) = pem.send(at, true).await.expect("answer");
            assert_eq!((code, text.starts_with("echo POST /")), (200, true), "{text}");
            let stranger = pem.send(at, false).await;
            assert_eq!(stranger.is_err(), client_ca, "{stranger:?}");
            let stream = TcpStream::connect(at).await.expect("connect");
            assert!(send_over(stream, request("POST", "/echo/")).await.is_err(), "no plain text");
        }
    }
}

#[tokio::test]
async fn certificates_that_cannot_be_used_are_named() {
    let pem = Pem::new();
    std::fs::write(pem.file("empty.pem"), "nothing").expect("write");
    for (files, name) in [
        (TlsFiles { cert: pem.file("empty.pem"), ..pem.files(false) }, "empty.pem"),
        (TlsFiles { key: pem.file("none.pem"), ..pem.files(false) }, "none.pem"),
        (TlsFiles { client_ca: Some(pem.file("empty.pem")), ..pem.files(false) }, "empty.pem"),
    ] {
        let options = MuxOptions { tls: Some(files), ..local() };
        let backend = Arc::new(SocketDir::new(pem.dir.path()));
        let fault = Mux::start(&options, backend, Arc::new(MemoryLeader::default())).await.err();
        let fault = fault.expect("refused");
        assert!(matches!(&fault, MuxError::Tls { .. }), "{fault}");
        assert!(fault.to_string().contains(name), "{fault}");
    }
}

#[tokio::test]
async fn a_taken_address_is_named_and_a_stop_frees_it() {
    let first = node(MemoryLeader::leading(), local()).await;
    let listen = first.mux.address().to_string();
    let options = MuxOptions { listen: listen.clone(), ..local() };
    let start = || {
        let backend = Arc::new(SocketDir::new(first.dir.path()));
        let options = options.clone();
        async move { Mux::start(&options, backend, Arc::new(MemoryLeader::default())).await }
    };
    let fault = start().await.err().expect("taken").to_string();
    assert!(fault.contains(&listen) && fault.contains("INFRAKIT_MUX_LISTEN"), "{fault}");
    first.mux.stop().await;
    start().await.expect("free again");
}

//! A small cluster: an authority, nodes, servers on free ports of the loopback device.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use regrow_pki::{
    Authority, Certificates, Clock, ClusterId, Credential, DEFAULT_LIFE, Member, NodeIdentity,
    NodeKey, NodeNumber, Refused, Role,
};
use regrow_wire::frame::{HEAD, Head, Kind, Versions};
use regrow_wire::{
    BoxIo, Caller, Client, Dial, Fault, Handler, Keys, Method, Peer, Router, Server, ServerLimits,
    Stream, StreamHandler, StreamMethod, TcpDial,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

/// Long enough for the slowest machine; nothing waits for it when all is well.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub fn soon() -> Instant {
    Instant::now() + PATIENCE
}

/// Ends the test with a name when something does not happen in time.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("waited for {what}"))
}

/// Polls until it is true.
pub async fn until(what: &str, mut done: impl FnMut() -> bool) {
    within(what, async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

/// The authority of a cluster, its clock, and its removed nodes.
pub struct World {
    pub authority: Authority,
    seconds: Arc<AtomicU64>,
    removed: Arc<Mutex<Vec<u64>>>,
}

impl World {
    pub fn new() -> Self {
        let seconds = Arc::new(AtomicU64::new(1_700_000_000));
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let authority = Authority::new(ClusterId::random(), now).expect("an authority");
        Self { authority, seconds, removed: Arc::default() }
    }

    pub fn clock(&self) -> Clock {
        let seconds = self.seconds.clone();
        Clock::new(move || {
            SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.load(Ordering::SeqCst))
        })
    }

    pub fn pass(&self, time: Duration) {
        self.seconds.fetch_add(time.as_secs(), Ordering::SeqCst);
    }

    pub fn remove(&self, node: u64) {
        self.removed.lock().expect("a list").push(node);
    }

    pub fn identity(&self, role: Role, node: u64) -> NodeIdentity {
        NodeIdentity { cluster: self.authority.cluster(), role, node: NodeNumber::new(node) }
    }

    pub fn roots(&self) -> Certificates {
        Certificates::new([self.authority.certificate().to_vec()])
    }

    /// A credential issued at a moment, for 24 hours.
    pub fn credential(&self, role: Role, node: u64, at: SystemTime) -> Credential {
        let key = NodeKey::generate().expect("a key");
        let request = key.request().expect("a request");
        let identity = self.identity(role, node);
        let leaf = self.authority.issue(&request, &identity, at, DEFAULT_LIFE).expect("issued");
        Credential::new(key, Certificates::new([leaf])).expect("a credential")
    }

    /// A member with this credential, under this world's clock and list of removed nodes.
    pub fn member(&self, credential: Credential, roots: Certificates) -> Member {
        let removed = self.removed.clone();
        let refused: Refused =
            Arc::new(move |node| removed.lock().expect("a list").contains(&node.get()));
        Member { credential, roots, refused, clock: self.clock() }
    }

    pub fn keys(&self, role: Role, node: u64) -> Keys {
        let credential = self.credential(role, node, self.clock().now());
        Keys::new(self.member(credential, self.roots())).expect("keys")
    }

    /// A server with a good certificate that shakes hands once, greets with these versions, and
    /// sends these bytes when the first request has come. With none it reads on and is silent.
    pub async fn impostor(
        &self,
        versions: Versions,
        bytes: Vec<u8>,
    ) -> (SocketAddr, JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let held = self.credential(Role::Server, 1, self.clock().now());
        let config = self.member(held, self.roots()).server_config().expect("settings");
        let task = tokio::spawn(async move {
            let (tcp, _) = listener.accept().await.expect("a connection");
            let mut tls = TlsAcceptor::from(config).accept(tcp).await.expect("TLS");
            let hello = versions.encode();
            let head = Head::new(Kind::Hello, 0, hello.len() as u32).encode();
            let mut sink = vec![0; HEAD + hello.len()];
            tls.read_exact(&mut sink).await.expect("the client's hello");
            tls.write_all(&[&head[..], &hello].concat()).await.expect("written");
            tls.flush().await.expect("written");
            while tls.read(&mut sink).await.is_ok_and(|read| read > 0) {
                if !bytes.is_empty() {
                    tls.write_all(&bytes).await.expect("written");
                    tls.shutdown().await.expect("written");
                    return;
                }
            }
        });
        (address, task)
    }

    pub fn client(&self, role: Role, node: u64) -> Client {
        Client::new(self.keys(role, node))
    }

    /// Server 1 with these handlers.
    pub async fn serve(&self, router: Router) -> Running {
        self.serve_with(router, ServerLimits::default()).await
    }

    pub async fn serve_with(&self, router: Router, limits: ServerLimits) -> Running {
        Running::start(self.keys(Role::Server, 1), router, limits, ([127, 0, 0, 1], 0).into()).await
    }
}

/// A server that runs until it is dropped or stopped.
pub struct Running {
    pub address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    pub async fn start(
        keys: Keys,
        router: Router,
        limits: ServerLimits,
        address: SocketAddr,
    ) -> Self {
        let listener = TcpListener::bind(address).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let stop = CancellationToken::new();
        let server = Server::with(keys, router, limits);
        let task = tokio::spawn({
            let stop = stop.clone();
            async move { server.serve(listener, stop).await }
        });
        Self { address, stop, task }
    }

    pub fn peer(&self) -> Peer {
        Peer::server(self.address.to_string(), NodeNumber::new(1))
    }

    /// Stops it and waits for its end.
    pub async fn stop(mut self) {
        self.stop.cancel();
        within("the server's end", &mut self.task).await.expect("no panic");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Answers each request with its own body.
pub async fn echo(_: Caller, body: Bytes, _: Instant) -> Result<Bytes, Fault> {
    Ok(body)
}

/// Counts how often handlers ran.
#[derive(Clone, Default)]
pub struct Counter(Arc<AtomicUsize>);

impl Counter {
    pub fn get(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    pub fn count(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl Handler for Counter {
    async fn call(&self, _: Caller, body: Bytes, _: Instant) -> Result<Bytes, Fault> {
        self.count();
        Ok(body)
    }
}

#[async_trait]
impl StreamHandler for Counter {
    async fn serve(&self, _: Caller, _: Bytes, _: &mut Stream) -> Result<(), Fault> {
        self.count();
        Ok(())
    }
}

/// A router that answers every row of the table and counts.
pub fn every_method(counter: &Counter) -> Router {
    let router = Router::new();
    let router =
        Method::ALL.iter().fold(router, |router, method| router.on(*method, counter.clone()));
    let streams = StreamMethod::ALL.iter();
    streams.fold(router, |router, method| router.on_stream(*method, counter.clone()))
}

/// Holds a handler until it is told to go on, and tells when handlers come and go.
#[derive(Clone)]
pub struct Barrier {
    pub entered: Counter,
    pub left: Counter,
    open: Arc<tokio::sync::Semaphore>,
}

impl Barrier {
    pub fn new() -> Self {
        let open = Arc::new(tokio::sync::Semaphore::new(0));
        Self { entered: Counter::default(), left: Counter::default(), open }
    }

    pub fn release(&self, handlers: usize) {
        self.open.add_permits(handlers);
    }
}

/// Counts the end of a handler, however it ends.
struct Leaving(Counter);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.count();
    }
}

#[async_trait]
impl Handler for Barrier {
    async fn call(&self, _: Caller, body: Bytes, _: Instant) -> Result<Bytes, Fault> {
        let _leaving = Leaving(self.left.clone());
        self.entered.count();
        self.open.acquire().await.expect("never closed").forget();
        Ok(body)
    }
}

/// Connects to a server in this process, without sockets.
pub struct Memory(pub Server);

#[async_trait]
impl Dial for Memory {
    async fn dial(&self, _: &str) -> io::Result<BoxIo> {
        let (near, far) = tokio::io::duplex(4096);
        let server = self.0.clone();
        tokio::spawn(async move {
            let stop = CancellationToken::new();
            server.serve_one(Box::new(far), ([10, 0, 0, 1], 1).into(), stop).await;
        });
        Ok(Box::new(near))
    }
}

/// Connects to wherever it points at the moment, or nowhere.
#[derive(Clone, Default)]
pub struct Switch(Arc<Mutex<Option<SocketAddr>>>);

impl Switch {
    pub fn point(&self, address: Option<SocketAddr>) {
        *self.0.lock().expect("an address") = address;
    }
}

#[async_trait]
impl Dial for Switch {
    async fn dial(&self, _: &str) -> io::Result<BoxIo> {
        let address = *self.0.lock().expect("an address");
        let nowhere = || io::Error::from(io::ErrorKind::ConnectionRefused);
        TcpDial.dial(&address.ok_or_else(nowhere)?.to_string()).await
    }
}

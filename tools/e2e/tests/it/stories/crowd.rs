//! Clients of a web server: several at once, with and without connections that are kept.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::WITHIN;

/// Pause of a client between two requests: it shares the machine with what it asks.
const PAUSE: Duration = Duration::from_millis(10);

/// How a client asks.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// Where.
    pub to: SocketAddr,
    /// What for.
    pub path: &'static str,
    /// Connections are used for the next request. As browsers do, the client repeats a request on a new
    /// connection where a used one was closed before it was answered.
    pub kept: bool,
}

/// What a crowd was told.
#[derive(Debug, Default)]
pub struct Tally {
    /// Requests with status 200.
    pub answered: u64,
    /// Of them, those on a connection that was used before.
    pub on_kept: u64,
    /// Requests that were repeated because a used connection was closed.
    pub repeated: u64,
    /// All others, each with its reason.
    pub failed: Vec<String>,
    /// The longest time of a request.
    pub longest: Duration,
    /// Answers by their text.
    pub by: BTreeMap<String, u64>,
}

/// Clients that ask until they are stopped.
pub struct Crowd {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    tally: Mutex<Tally>,
}

impl Shared {
    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, answer: Result<String>, took: Duration) {
        let mut tally = self.tally();
        tally.longest = tally.longest.max(took);
        match answer {
            Ok(text) => {
                tally.answered += 1;
                *tally.by.entry(text).or_default() += 1;
            }
            Err(error) => tally.failed.push(format!("{error:#} after {took:?}")),
        }
    }
}

impl Crowd {
    /// Starts one client for each manner.
    pub fn start(manners: impl IntoIterator<Item = Manner>) -> Self {
        let shared = Arc::<Shared>::default();
        let start = |manner| {
            let client = Client { manner, kept: None, shared: Arc::clone(&shared) };
            tokio::spawn(client.run())
        };
        let clients = manners.into_iter().map(start).collect();
        Self { shared, clients }
    }

    /// Waits until somebody was answered with this text, or for longer than anything takes.
    pub async fn heard(&self, text: &str) -> Result<()> {
        let end = Instant::now() + WITHIN;
        while !self.shared.tally().by.contains_key(text) {
            anyhow::ensure!(
                Instant::now() < end,
                "nobody heard {text:?}: {:?}",
                self.shared.tally()
            );
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }

    /// Stops the clients, each after its last answer.
    pub async fn end(self) -> Result<Tally> {
        self.shared.stop.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.await.context("a client")?;
        }
        Ok(std::mem::take(&mut self.shared.tally()))
    }
}

type Sender = SendRequest<Empty<Bytes>>;

struct Client {
    manner: Manner,
    kept: Option<Sender>,
    shared: Arc<Shared>,
}

impl Client {
    async fn run(mut self) {
        while !self.shared.stop.load(Ordering::Relaxed) {
            let since = Instant::now();
            let answer = self.request().await;
            self.shared.count(answer, since.elapsed());
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn request(&mut self) -> Result<String> {
        if let Some(used) = self.kept.take() {
            match self.on(used).await {
                Ok(text) => {
                    self.shared.tally().on_kept += 1;
                    return Ok(text);
                }
                // Closed, not refused: what the server said is in `on`'s answer.
                Err(error) if error.is::<hyper::Error>() => self.shared.tally().repeated += 1,
                Err(error) => return Err(error),
            }
        }
        let stream = TcpStream::connect(self.manner.to).await.context("connect")?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await.context("connect")?;
        tokio::spawn(connection);
        self.on(sender).await
    }

    async fn on(&mut self, mut sender: Sender) -> Result<String> {
        let Manner { to, path, kept } = self.manner;
        let request = Request::builder().uri(path).header("Host", to.to_string());
        let request = request.header("Connection", if kept { "keep-alive" } else { "close" });
        let request = request.body(Empty::new())?;
        let exchange = async {
            sender.ready().await?;
            let answer = sender.send_request(request).await?;
            let (status, closes) = (answer.status(), closes(&answer));
            let body = answer.into_body().collect().await?.to_bytes();
            Ok::<_, hyper::Error>((status, closes, body))
        };
        let done = tokio::time::timeout(WITHIN, exchange).await.context("no answer")?;
        let (status, closes, body) = done?;
        if kept && !closes {
            self.kept = Some(sender);
        }
        let text = String::from_utf8_lossy(&body).trim().to_owned();
        if status != StatusCode::OK {
            bail!("{status}: {text}");
        }
        Ok(text)
    }
}

fn closes<B>(answer: &hyper::Response<B>) -> bool {
    answer.headers().get("Connection").is_some_and(|value| value.as_bytes() == b"close")
}

/// One request on a connection of its own.
pub async fn fetch(to: SocketAddr, path: &'static str) -> Result<String> {
    let manner = Manner { to, path, kept: false };
    Client { manner, kept: None, shared: Arc::default() }.request().await
}

/// The same, repeated until the answer is good and the text is as wanted.
pub async fn fetched(
    to: SocketAddr,
    path: &'static str,
    good: impl Fn(&str) -> bool,
) -> Result<String> {
    let end = Instant::now() + WITHIN;
    loop {
        match fetch(to, path).await {
            Ok(text) if good(&text) => return Ok(text),
            other if Instant::now() > end => bail!("{to}{path}: {other:?}"),
            _ => tokio::time::sleep(PAUSE).await,
        }
    }
}

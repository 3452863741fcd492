//! A small Consul agent for tests: it keeps services and their checks, answers what it is told to
//! answer to reads, holds questions with an index, and can be silent, refuse, be slow, or forget.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

use super::Client;
use crate::config::Consul;

/// The longest that a test waits for what must come; a busy machine is slow.
pub(super) const PATIENCE: Duration = Duration::from_secs(40);

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// How it is today.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    /// As it should be.
    Well,
    /// Takes requests and says nothing.
    Silent,
    /// Answers this to everything.
    Refusing(u16),
    /// Sends one byte of an answer now and then, never all of it.
    Slow,
}

/// A request that came.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Call {
    pub line: String,
    /// Token and login.
    pub secrets: [Option<String>; 2],
    pub body: String,
}

#[derive(Clone, Debug)]
pub(super) struct State {
    pub mood: Mood,
    pub calls: Vec<Call>,
    /// Registrations by identity.
    pub services: BTreeMap<String, Value>,
    /// Status and output by identity of the check.
    pub checks: BTreeMap<String, (String, String)>,
    /// What reads are answered, by path without the query: index, status, body.
    pub reads: BTreeMap<String, (u64, u16, String)>,
    /// Whether answers carry an index and questions are held.
    pub holds: bool,
}

impl State {
    pub fn lines(&self) -> Vec<&str> {
        self.calls.iter().map(|call| call.line.as_str()).collect()
    }

    pub fn count(&self, line: &str) -> usize {
        self.calls.iter().filter(|call| call.line.starts_with(line)).count()
    }

    pub fn status(&self, check: &str) -> Option<&str> {
        self.checks.get(check).map(|(status, _)| status.as_str())
    }
}

#[derive(Clone)]
pub(super) struct FakeAgent {
    pub url: String,
    state: Arc<watch::Sender<State>>,
}

impl FakeAgent {
    pub async fn start() -> Self {
        let (agent, listener) = Self::bind("http").await;
        let serving = agent.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                serving.serve(stream);
            }
        });
        agent
    }

    /// One that shows this certificate, and demands one of its clients if the settings say so.
    pub async fn start_tls(tls: rustls::ServerConfig) -> Self {
        let (agent, listener) = Self::bind("https").await;
        let (serving, acceptor) = (agent.clone(), TlsAcceptor::from(Arc::new(tls)));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (serving, acceptor) = (serving.clone(), acceptor.clone());
                tokio::spawn(async move {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        serving.serve(stream);
                    }
                });
            }
        });
        agent
    }

    /// One on a socket of its own.
    pub async fn start_on(path: &Path) -> Self {
        let (mut agent, _) = Self::bind("http").await;
        agent.url = format!("unix://{}", path.display());
        let (serving, listener) = (agent.clone(), UnixListener::bind(path).expect("bind"));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                serving.serve(stream);
            }
        });
        agent
    }

    async fn bind(scheme: &str) -> (Self, TcpListener) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let url = format!("{scheme}://{}", listener.local_addr().expect("address"));
        let state = watch::Sender::new(State {
            mood: Mood::Well,
            calls: Vec::new(),
            services: BTreeMap::new(),
            checks: BTreeMap::new(),
            reads: BTreeMap::new(),
            holds: true,
        });
        (Self { url, state: Arc::new(state) }, listener)
    }

    fn serve(&self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let agent = self.clone();
        let service = service_fn(move |request| {
            let agent = agent.clone();
            async move { Ok::<_, Infallible>(agent.answer(request).await) }
        });
        let builder = hyper::server::conn::http1::Builder::new();
        tokio::spawn(builder.serve_connection(TokioIo::new(stream), service));
    }

    pub fn settings(&self) -> Consul {
        Consul { url: self.url.clone(), verify: true, ..Consul::default() }
    }

    pub fn client(&self) -> Client {
        Client::new(&self.settings()).expect("settings")
    }

    pub fn change(&self, change: impl FnOnce(&mut State)) {
        self.state.send_modify(change);
    }

    pub fn mood(&self, mood: Mood) {
        self.change(|state| state.mood = mood);
    }

    /// It restarts and has lost everything.
    pub fn forget(&self) {
        self.change(|state| {
            state.services.clear();
            state.checks.clear();
        });
    }

    /// Answers this to reads of a path from now on.
    pub fn say(&self, path: &str, index: u64, status: u16, body: &str) {
        self.change(|state| {
            state.reads.insert(path.to_owned(), (index, status, body.to_owned()));
        });
    }

    pub fn now(&self) -> State {
        self.state.borrow().clone()
    }

    /// Waits until its state is so.
    pub async fn until(&self, so: impl Fn(&State) -> bool) -> State {
        let mut state = self.state.subscribe();
        let found = tokio::time::timeout(PATIENCE, state.wait_for(|state| so(state))).await;
        match found {
            Ok(found) => found.expect("the agent lives").clone(),
            Err(_) => panic!("it never came so: {:?}", self.now()),
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        let header = |name: &str| Some(head.headers.get(name)?.to_str().ok()?.to_owned());
        let call = Call {
            secrets: [header("x-consul-token"), header("authorization")],
            line: format!("{} {}", head.method, head.uri),
            body: String::from_utf8_lossy(&body).into_owned(),
        };
        self.change(|state| state.calls.push(call.clone()));
        let mood = self.state.borrow().mood;
        match mood {
            Mood::Well => {}
            Mood::Silent => std::future::pending().await,
            Mood::Refusing(status) => return reply(status, "out of order", None),
            Mood::Slow => return Response::new(trickle()),
        }
        let path = head.uri.path();
        if head.method == Method::PUT {
            return self.write(path, &call.body);
        }
        self.read(path, head.uri.query().unwrap_or_default()).await
    }

    fn write(&self, path: &str, body: &str) -> Response<Body> {
        let body: Value = serde_json::from_str(body).unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        if path == "/v1/agent/service/register" {
            let id = text(&body["ID"]);
            let check = (text(&body["Check"]["Status"]), String::new());
            self.change(|state| {
                state.checks.insert(format!("service:{id}"), check);
                state.services.insert(id, body);
            });
            return reply(200, "", None);
        }
        if let Some(id) = path.strip_prefix("/v1/agent/service/deregister/") {
            self.change(|state| {
                state.checks.remove(&format!("service:{id}"));
                state.services.remove(id);
            });
            return reply(200, "", None);
        }
        let id = path.strip_prefix("/v1/agent/check/update/").unwrap_or_default();
        let id = id.replace("%3A", ":");
        if !self.state.borrow().checks.contains_key(&id) {
            return reply(500, &format!("CheckID {id:?} does not have associated TTL"), None);
        }
        let check = (text(&body["Status"]), text(&body["Output"]));
        self.change(|state| {
            state.checks.insert(id, check);
        });
        reply(200, "", None)
    }

    async fn read(&self, path: &str, query: &str) -> Response<Body> {
        if let Some(id) = path.strip_prefix("/v1/agent/service/") {
            let state = self.state.borrow();
            return match state.services.get(id) {
                None => reply(404, &format!("unknown service ID: {id}"), None),
                Some(service) => {
                    let mut shown = service.clone();
                    shown["Service"] = shown["Name"].take();
                    reply(200, &shown.to_string(), None)
                }
            };
        }
        let of = |name: &str| query.split('&').find_map(|part| part.strip_prefix(name));
        let asked = of("index=").and_then(|index| index.parse().ok());
        let wait = of("wait=").and_then(|wait| wait.strip_suffix('s')?.parse().ok());
        let until = Instant::now() + Duration::from_secs(wait.unwrap_or(0));
        let mut state = self.state.subscribe();
        loop {
            let found = state.borrow_and_update().reads.get(path).cloned();
            let holds = state.borrow().holds;
            let (index, status, body) = found.unwrap_or((1, 404, String::new()));
            if !holds {
                return reply(status, &body, None);
            }
            if index > asked.unwrap_or(0) {
                return reply(status, &body, Some(index));
            }
            if tokio::time::timeout_at(until, state.changed()).await.is_err() {
                return reply(status, &body, Some(index));
            }
        }
    }
}

fn reply(status: u16, body: &str, index: Option<u64>) -> Response<Body> {
    let mut response = Response::builder().status(status);
    if let Some(index) = index {
        response = response.header("X-Consul-Index", index);
    }
    response.body(Full::new(body.to_owned().into()).boxed_unsync()).expect("answer")
}

/// A body of which a byte comes ten times a second, for ever.
fn trickle() -> Body {
    let bytes = futures::stream::unfold((), async |()| {
        tokio::time::sleep(Duration::from_millis(100)).await;
        Some((Ok(Frame::data(Bytes::from_static(b" "))), ()))
    });
    StreamBody::new(bytes).boxed_unsync()
}

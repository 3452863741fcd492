use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use regrow_ids::chain;
use tokio::time::timeout;

use super::dial::Dial;
use super::pool::{Connection, Place, Pool};
use super::{MAX_CONNECTIONS, MAX_REPLY_BYTES, Timeouts};
use crate::PluginError;
use crate::discovery::Endpoint;
use crate::fence::{self, Mandate};
use crate::growing::Growing;
use crate::spi::Result;
use crate::wire::Kind;

/// Bytes of an error page that go into an error text.
const SHOWN_BYTES: usize = 200;

/// HTTP with one plugin.
pub(super) struct Exchange {
    endpoint: Endpoint,
    plugin: String,
    timeouts: Timeouts,
    headers: HeaderMap,
    pub(super) pool: Arc<Pool>,
    dial: Arc<dyn Dial>,
}

/// What to do and how.
pub(super) struct Task<'a> {
    /// For error texts: an RPC method or a path.
    pub(super) what: &'a str,
    pub(super) kind: Kind,
    pub(super) method: Method,
    /// Below the endpoint's path.
    pub(super) path: &'a str,
    pub(super) body: Bytes,
}

/// An attempt that came to nothing.
enum Failed {
    /// The request did not leave; another connection may do.
    Unsent(String),
    /// The connection was kept from before and broke without a byte of an answer: most likely the
    /// plugin had closed it already.
    Stale(String),
    /// Anything else.
    Final(PluginError),
}

impl Exchange {
    pub(super) fn new(endpoint: Endpoint, timeouts: Timeouts, dial: Arc<dyn Dial>) -> Self {
        let plugin = endpoint.plugin();
        let pool = Pool::new(Arc::clone(&dial));
        Self { endpoint, plugin, timeouts, headers: HeaderMap::new(), pool, dial }
    }

    pub(super) fn with_header(&self, name: &str, value: &str) -> Result<Self> {
        let bad = |what| PluginError::Protocol(format!("send header {name:?}: {what}"));
        let name = HeaderName::try_from(name).map_err(|_| bad("the name is not one"))?;
        let mut value =
            HeaderValue::try_from(value).map_err(|_| bad("the value cannot stand in a header"))?;
        value.set_sensitive(true);
        let mut changed = Self::new(self.endpoint.clone(), self.timeouts, Arc::clone(&self.dial));
        changed.headers = self.headers.clone();
        changed.headers.insert(name, value);
        Ok(changed)
    }

    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    pub(super) fn plugin(&self) -> &str {
        &self.plugin
    }

    pub(super) fn timeouts(&self) -> Timeouts {
        self.timeouts
    }

    /// Reads a document.
    pub(super) async fn get(&self, path: &str) -> Result<Bytes> {
        let (kind, method) = (Kind::Read, Method::GET);
        self.run(Task { what: path, kind, method, path, body: Bytes::new() }).await
    }

    /// Asks what is behind a port.
    pub(super) async fn options(&self) -> Result<Bytes> {
        let (kind, method) = (Kind::Read, Method::OPTIONS);
        self.run(Task { what: "OPTIONS", kind, method, path: "", body: Bytes::new() }).await
    }

    /// Does one task within its time limit.
    pub(super) async fn run(&self, task: Task<'_>) -> Result<Bytes> {
        let limit = match task.kind {
            Kind::Slow => self.timeouts.slow,
            Kind::Read | Kind::Write => self.timeouts.call,
        };
        let sent = AtomicBool::new(false);
        match timeout(limit, self.attempts(&task, &sent)).await {
            Ok(result) => result,
            Err(_) if sent.load(Ordering::Relaxed) => Err(PluginError::TimedOut {
                plugin: self.plugin.clone(),
                method: task.what.to_owned(),
                after: limit,
            }),
            Err(_) => Err(self.no_connection(limit)),
        }
    }

    async fn attempts(&self, task: &Task<'_>, sent: &AtomicBool) -> Result<Bytes> {
        let connect = self.timeouts.connect;
        let _place = self.place(task.kind).await?;
        let mut fresh = false;
        loop {
            let connection = match timeout(connect, self.pool.connection(fresh)).await {
                Ok(Ok(connection)) => connection,
                Ok(Err(reason)) => {
                    self.pool.peer_closed();
                    return Err(self.unreachable(reason));
                }
                Err(_) => return Err(self.no_connection(connect)),
            };
            sent.store(true, Ordering::Relaxed);
            match self.attempt(task, connection).await {
                Ok(body) => return Ok(body),
                Err(Failed::Final(error)) => return Err(error),
                Err(Failed::Unsent(reason)) if fresh => return Err(self.unreachable(reason)),
                Err(Failed::Stale(reason)) if task.kind != Kind::Read => {
                    return Err(self.broken(task.what, reason));
                }
                Err(Failed::Unsent(_) | Failed::Stale(_)) => {
                    // Whatever else is kept is from the same time; make a new one.
                    fresh = true;
                    sent.store(false, Ordering::Relaxed);
                }
            }
        }
    }

    /// Slow calls wait for one another, and only the limit of the whole call ends that. All others
    /// are short: who finds no place among them soon would wait in vain.
    async fn place(&self, kind: Kind) -> Result<Place> {
        let connect = self.timeouts.connect;
        let place = self.pool.place(kind);
        let waited = match kind {
            Kind::Slow => Ok(place.await),
            Kind::Read | Kind::Write => timeout(connect, place).await,
        };
        waited.ok().flatten().ok_or_else(|| {
            let connect = regrow_ids::GoDuration::new(connect);
            let busy = format!("all {MAX_CONNECTIONS} connections have been busy for {connect}");
            self.unreachable(busy)
        })
    }

    async fn attempt(
        &self,
        task: &Task<'_>,
        mut connection: Connection,
    ) -> std::result::Result<Bytes, Failed> {
        let broken = |reason: String| Failed::Final(self.broken(task.what, reason));
        let request = self.request(task).map_err(Failed::Final)?;
        let answered = connection.sender.try_send_request(request).await;
        let response = match answered {
            Ok(response) => response,
            Err(mut failure) => {
                self.pool.peer_closed();
                let unsent = failure.take_message().is_some();
                let reason = chain(&failure.into_error());
                return Err(match (unsent, connection.used_before) {
                    (true, _) => Failed::Unsent(reason),
                    (false, true) => Failed::Stale(reason),
                    (false, false) => broken(reason),
                });
            }
        };
        let (head, body) = response.into_parts();
        let bytes = self.collect(body).await.map_err(&broken)?;
        // The whole answer was read, so the connection can serve the next call.
        self.pool.put(connection);
        if head.status == StatusCode::OK {
            return Ok(bytes);
        }
        Err(Failed::Final(self.bad_status(task.what, head.status, &bytes)))
    }

    pub(super) fn request(&self, task: &Task<'_>) -> Result<Request<Full<Bytes>>> {
        let path = format!("{}{}", self.endpoint.base_path(), task.path);
        let mut request = Request::builder()
            .method(task.method.clone())
            .uri(&path)
            .header(header::HOST, self.endpoint.host())
            .body(Full::new(task.body.clone()))
            .map_err(|error| PluginError::Protocol(format!("ask for {path:?}: {error}")))?;
        request.headers_mut().extend(self.headers.clone());
        if let Some(mandate) = Mandate::current() {
            let value = HeaderValue::try_from(mandate.to_string());
            let value = value.map_err(|error| PluginError::Protocol(error.to_string()))?;
            request.headers_mut().insert(fence::HEADER, value);
        }
        if task.method == Method::POST {
            let json = HeaderValue::from_static("application/json");
            request.headers_mut().insert(header::CONTENT_TYPE, json);
        }
        Ok(request)
    }

    async fn collect(&self, mut body: Incoming) -> std::result::Result<Bytes, String> {
        let too_large = || format!("the answer is larger than {MAX_REPLY_BYTES} bytes");
        let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
        if announced > MAX_REPLY_BYTES {
            return Err(too_large());
        }
        let mut first = None;
        let mut bytes = Growing::default();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| chain(&error))?;
            let Ok(piece) = frame.into_data() else { continue };
            if first.is_none() {
                if body.is_end_stream() {
                    return Ok(piece);
                }
                bytes = Growing::announced(announced);
                first = Some(());
            }
            if bytes.len() + piece.len() > MAX_REPLY_BYTES {
                return Err(too_large());
            }
            bytes.push(&piece);
        }
        Ok(bytes.finish())
    }

    /// Opens a stream of its own, outside of the bounded set.
    pub(super) async fn open(
        &self,
        task: &Task<'_>,
    ) -> Result<(Connection, impl Future<Output = Result<Response<Incoming>>> + Send + 'static)>
    {
        let connect = self.timeouts.connect;
        let mut connection = timeout(connect, self.pool.extra())
            .await
            .map_err(|_| self.no_connection(connect))?
            .map_err(|reason| self.unreachable(reason))?;
        let answer = connection.sender.send_request(self.request(task)?);
        let (plugin, what) = (self.plugin.clone(), task.what.to_owned());
        let answer = async move {
            answer.await.map_err(|error| PluginError::Broken {
                plugin,
                method: what,
                reason: chain(&error),
            })
        };
        Ok((connection, answer))
    }

    pub(super) fn bad_status(&self, what: &str, status: StatusCode, body: &[u8]) -> PluginError {
        let shown = String::from_utf8_lossy(&body[..body.len().min(SHOWN_BYTES)]);
        let shown = shown.trim();
        let colon = if shown.is_empty() { "" } else { ": " };
        let text = format!("HTTP {status}{colon}{shown}");
        match status {
            // A manager's port says so when the plugin behind it is not there or broke off.
            StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT => self.broken(what, text),
            _ => PluginError::Protocol(format!("call {what} of plugin {}: {text}", self.plugin)),
        }
    }

    fn unreachable(&self, reason: String) -> PluginError {
        PluginError::Unreachable { plugin: self.plugin.clone(), reason }
    }

    fn no_connection(&self, limit: Duration) -> PluginError {
        let limit = regrow_ids::GoDuration::new(limit);
        self.unreachable(format!("no connection within {limit}"))
    }

    fn broken(&self, what: &str, reason: String) -> PluginError {
        PluginError::Broken { plugin: self.plugin.clone(), method: what.to_owned(), reason }
    }
}

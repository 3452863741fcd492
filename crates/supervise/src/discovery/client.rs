//! Calls to a Consul agent over HTTP/1.1, each with a limit of time and size.
//!
//! One connection a call: heartbeats are seconds apart, and a fresh connection never finds out late
//! that the agent behind it has gone. Nothing is held between calls.

use std::fmt::{Display, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderValue};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use regrow_ids::chain;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

use super::error::{CallError, DiscoveryError};
use super::tls;
use super::token::token;
use crate::config;

/// Largest answer that is read, in bytes: tens of thousands of instances.
const ANSWER_BYTES: usize = 16 << 20;
/// Longest text of a refusal that is kept, in characters.
const REFUSAL_CHARS: usize = 400;
/// The longest that one call takes, whatever the TTL.
pub(super) const LONGEST: Duration = Duration::from_secs(10);
/// The header that says how new an answer is.
const INDEX: &str = "x-consul-index";

/// A Consul agent, HashiCorp's or ours. Cheap to clone; holds no connection.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    place: Place,
    /// As it is named in complaints.
    address: String,
    /// What is sent with each call: host, token, login.
    headers: HeaderMap,
    /// What each path begins with.
    prefix: String,
}

/// Where the agent is.
enum Place {
    Tcp { host: String, port: u16, tls: Option<(TlsConnector, ServerName<'static>)> },
    Unix(PathBuf),
}

/// An answer that says yes, or 404.
#[derive(Debug)]
pub(super) struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// How new it is; `None` where the agent does not say so, or says nonsense.
    pub index: Option<u64>,
    /// What it says.
    pub body: Bytes,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Client({})", self.shared.address)
    }
}

impl Client {
    /// A client of the agent that is configured. Reads certificates, sends nothing.
    ///
    /// # Errors
    /// The address, a file or a secret cannot be used.
    pub fn new(consul: &config::Consul) -> Result<Self, DiscoveryError> {
        let (place, authority, prefix) = place(consul)?;
        let shared = Shared {
            place,
            address: consul.url.clone(),
            headers: headers(consul, &authority)?,
            prefix,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The value of a key; `None` when there is no such key. For secrets. Takes 10 s at most.
    ///
    /// # Errors
    /// The agent does not tell.
    pub async fn value(&self, key: &str) -> Result<Option<Bytes>, CallError> {
        let path = format!("/v1/kv/{}?raw", escape_path(key));
        let answer = self.get(&path, LONGEST).await?;
        Ok((answer.status == StatusCode::OK).then_some(answer.body))
    }

    /// Reads; 404 is an answer too.
    pub(super) async fn get(&self, path: &str, within: Duration) -> Result<Answer, CallError> {
        let answer = self.call(Method::GET, path, Bytes::new(), within).await?;
        match answer.status {
            status if status.is_success() || status == StatusCode::NOT_FOUND => Ok(answer),
            _ => Err(refused(&answer)),
        }
    }

    /// Writes; what is not done is an error.
    pub(super) async fn put(
        &self,
        path: &str,
        body: impl Into<Bytes>,
        within: Duration,
    ) -> Result<(), CallError> {
        let answer = self.call(Method::PUT, path, body.into(), within).await?;
        if answer.status.is_success() { Ok(()) } else { Err(refused(&answer)) }
    }

    /// An answer that is nothing of a catalog.
    pub(super) fn foreign(&self, reason: &dyn Display) -> CallError {
        CallError::Foreign { address: self.shared.address.clone(), reason: reason.to_string() }
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        within: Duration,
    ) -> Result<Answer, CallError> {
        // Boxed: a connection is large, and everything that waits for one would be as large.
        let called = Box::pin(self.exchange(method, path, body));
        let late = || CallError::Late { address: self.shared.address.clone(), within };
        tokio::time::timeout(within, called).await.unwrap_or_else(|_| Err(late()))
    }

    async fn exchange(&self, method: Method, path: &str, body: Bytes) -> Result<Answer, CallError> {
        let mut request =
            Request::builder().method(method).uri(format!("{}{path}", self.shared.prefix));
        if let Some(headers) = request.headers_mut() {
            headers.clone_from(&self.shared.headers);
            if !body.is_empty() {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            }
        }
        let request = request.body(Full::new(body)).map_err(|error| self.broken(&error))?;
        match &self.shared.place {
            Place::Unix(path) => {
                let stream = UnixStream::connect(path).await;
                self.over(stream.map_err(|error| self.unreached(&error))?, request).await
            }
            Place::Tcp { host, port, tls } => {
                let stream = TcpStream::connect((host.as_str(), *port)).await;
                let stream = stream.map_err(|error| self.unreached(&error))?;
                let _ = stream.set_nodelay(true);
                match tls {
                    None => self.over(stream, request).await,
                    Some((connector, name)) => {
                        let stream = connector.connect(name.clone(), stream).await;
                        self.over(stream.map_err(|error| self.unreached(&error))?, request).await
                    }
                }
            }
        }
    }

    async fn over(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        request: Request<Full<Bytes>>,
    ) -> Result<Answer, CallError> {
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| self.broken(&error))?;
        let asking = async {
            let response =
                sender.send_request(request).await.map_err(|error| self.broken(&error))?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, ANSWER_BYTES).collect().await;
            let body = body.map_err(|error| self.broken(&*error))?.to_bytes();
            Ok(Answer { status: head.status, index: index(&head.headers), body })
        };
        let mut asking = std::pin::pin!(asking);
        tokio::select! {
            biased;
            answer = &mut asking => answer,
            // It ended: what it brought before is there.
            _ = connection => asking.await,
        }
    }

    fn unreached(&self, error: &dyn std::error::Error) -> CallError {
        CallError::Connect { address: self.shared.address.clone(), reason: chain(error) }
    }

    fn broken(&self, error: &dyn std::error::Error) -> CallError {
        CallError::Broken { address: self.shared.address.clone(), reason: chain(error) }
    }
}

fn index(headers: &HeaderMap) -> Option<u64> {
    headers.get(INDEX)?.to_str().ok()?.parse().ok().filter(|index| *index > 0)
}

fn refused(answer: &Answer) -> CallError {
    let text = String::from_utf8_lossy(&answer.body);
    let body = text.trim().chars().take(REFUSAL_CHARS).collect();
    CallError::Refused { status: answer.status.as_u16(), body }
}

/// Where the agent is, what it is called there, and what its paths begin with.
fn place(consul: &config::Consul) -> Result<(Place, String, String), DiscoveryError> {
    let url = consul.url.as_str();
    let wrong =
        |reason: &str| DiscoveryError::Url { url: url.to_owned(), reason: reason.to_owned() };
    if let Some(path) = url.strip_prefix("unix://") {
        if !path.starts_with('/') {
            return Err(wrong("the path of a socket begins with a slash"));
        }
        return Ok((Place::Unix(path.into()), "localhost".into(), String::new()));
    }
    let uri: Uri = url.parse().map_err(|error| wrong(&format!("{error}")))?;
    let encrypted = match uri.scheme_str() {
        Some("http") => false,
        Some("https") => true,
        _ => return Err(wrong("it has no scheme that is known")),
    };
    let authority = uri.authority().ok_or_else(|| wrong("it has no host"))?;
    if authority.as_str().contains('@') {
        return Err(wrong("a login does not belong into the address; give it as CONSUL_HTTP_AUTH"));
    }
    let host = authority.host().trim_matches(['[', ']']).to_owned();
    if host.is_empty() {
        return Err(wrong("it has no host"));
    }
    let port = authority.port_u16().unwrap_or(if encrypted { 443 } else { 80 });
    let tls = if encrypted { Some(tls::connector(consul, &host)?) } else { None };
    let prefix = uri.path().trim_end_matches('/').to_owned();
    Ok((Place::Tcp { host, port, tls }, authority.to_string(), prefix))
}

fn headers(consul: &config::Consul, authority: &str) -> Result<HeaderMap, DiscoveryError> {
    let value = |what, text: &str| {
        let mut value: HeaderValue = text.parse().map_err(|_| DiscoveryError::Header { what })?;
        value.set_sensitive(true);
        Ok::<_, DiscoveryError>(value)
    };
    let mut headers = HeaderMap::new();
    headers.insert(HOST, value("its address", authority)?);
    if let Some(token) = token(consul)? {
        headers.insert("x-consul-token", value("the token", &token)?);
    }
    if let Some((user, password)) = &consul.basic {
        let login = BASE64.encode(format!("{user}:{}", password.0).as_bytes());
        headers.insert(AUTHORIZATION, value("the login", &format!("Basic {login}"))?);
    }
    Ok(headers)
}

/// A name as a part of a path or a query.
pub(super) fn escape(text: &str) -> String {
    escape_keeping(text, b"")
}

/// A key: its slashes stay.
pub(super) fn escape_path(text: &str) -> String {
    escape_keeping(text, b"/")
}

fn escape_keeping(text: &str, kept: &[u8]) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || kept.contains(&byte) {
            escaped.push(byte.into());
        } else {
            // Writing to a text cannot fail.
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

//! The client of the control socket: one request, one answer, within a time.
//!
//! It also understands the server of ContainerPilot itself.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use regrow_ids::{GoDuration, chain};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::route::Yielded;

/// Longest time of a request.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Longest time of a reload: somewhat more than the server has.
const RELOAD_TIMEOUT: Duration = Duration::from_secs(65);
/// Largest answer.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// The request came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens.
    #[error("connect to the control socket {}: {source}; is the supervisor running?", socket.display())]
    Connect {
        /// Its path.
        socket: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The conversation broke off.
    #[error("ask the control socket {}: {reason}", socket.display())]
    Broken {
        /// Its path.
        socket: PathBuf,
        /// What broke.
        reason: String,
    },
    /// There was no answer in time.
    #[error("ask the control socket {}: no answer in {} s", socket.display(), after.as_secs())]
    TimedOut {
        /// Its path.
        socket: PathBuf,
        /// After this time.
        after: Duration,
    },
    /// The server finds fault with what it was sent, or with the configuration that it shall load.
    #[error("unprocessable entity received by control server{}", because(reason))]
    Unprocessable {
        /// What the server says about it; empty if nothing.
        reason: String,
    },
    /// The server did not do it.
    #[error("control server answered {status}{}", because(reason))]
    Refused {
        /// Status of HTTP.
        status: u16,
        /// What the server says about it.
        reason: String,
    },
}

fn because(reason: &str) -> String {
    if reason.is_empty() { String::new() } else { format!(": {reason}") }
}

/// Has the configuration read again.
///
/// # Errors
/// As [`ClientError`] says: [`ClientError::Unprocessable`] where the new one is wrong; then the
/// supervisor goes on with the old one.
pub async fn reload(socket: &Path) -> Result<(), ClientError> {
    let call = Call { socket, path: "/v3/reload" };
    call.post(Bytes::new(), RELOAD_TIMEOUT).await.map(drop)
}

/// Begins (true) or ends maintenance.
///
/// # Errors
/// As [`ClientError`] says.
pub async fn maintenance(socket: &Path, on: bool) -> Result<(), ClientError> {
    let path = if on { "/v3/maintenance/enable" } else { "/v3/maintenance/disable" };
    Call { socket, path }.post(Bytes::new(), TIMEOUT).await.map(drop)
}

/// Sets variables for processes that start later.
///
/// # Errors
/// As [`ClientError`] says.
pub async fn putenv(
    socket: &Path,
    variables: &BTreeMap<String, String>,
) -> Result<(), ClientError> {
    let call = Call { socket, path: "/v3/environ" };
    call.post(json(variables), TIMEOUT).await.map(drop)
}

/// Hands values to telemetry; of a name that comes twice the last value counts.
///
/// # Errors
/// As [`ClientError`] says.
pub async fn putmetric(socket: &Path, values: &[(String, String)]) -> Result<(), ClientError> {
    let values: BTreeMap<&String, &String> = values.iter().map(|(name, v)| (name, v)).collect();
    let call = Call { socket, path: "/v3/metric" };
    call.post(json(&values), TIMEOUT).await.map(drop)
}

/// Has a lock left to others: its jobs stop, it is given back, and not competed for in this time
/// after that. Returns when that has begun.
///
/// # Errors
/// As [`ClientError`] says: [`ClientError::Unprocessable`] where the supervisor has no such lock.
pub async fn yield_lock(socket: &Path, lock: &str, time: GoDuration) -> Result<(), ClientError> {
    let body = json(&Yielded { lock: lock.to_owned(), time });
    Call { socket, path: "/v3/lock/yield" }.post(body, TIMEOUT).await.map(drop)
}

/// Asks whether the supervisor is there.
///
/// # Errors
/// As [`ClientError`] says.
pub async fn ping(socket: &Path) -> Result<(), ClientError> {
    Call { socket, path: "/v3/ping" }.get().await.map(drop)
}

/// How everything is: JSON. ContainerPilot itself answers 404.
///
/// # Errors
/// As [`ClientError`] says.
pub async fn status(socket: &Path) -> Result<String, ClientError> {
    Call { socket, path: "/v3/status" }.get().await
}

/// Maps of texts have no way to fail.
fn json<T: serde::Serialize>(value: &T) -> Bytes {
    serde_json::to_vec(value).unwrap_or_default().into()
}

struct Call<'a> {
    socket: &'a Path,
    path: &'a str,
}

impl Call<'_> {
    async fn get(&self) -> Result<String, ClientError> {
        self.within(TIMEOUT, Method::GET, Bytes::new()).await
    }

    async fn post(&self, body: Bytes, limit: Duration) -> Result<String, ClientError> {
        self.within(limit, Method::POST, body).await
    }

    async fn within(
        &self,
        limit: Duration,
        method: Method,
        body: Bytes,
    ) -> Result<String, ClientError> {
        let (status, text) = timeout(limit, self.exchange(method, body))
            .await
            .unwrap_or_else(|_| Err(ClientError::TimedOut { socket: self.at(), after: limit }))?;
        if status.is_success() {
            return Ok(text);
        }
        let reason = text.trim().to_owned();
        // The name of the status alone says nothing new.
        let named = status.canonical_reason() == Some(reason.as_str());
        let reason = if named { String::new() } else { reason };
        Err(match status {
            StatusCode::UNPROCESSABLE_ENTITY => ClientError::Unprocessable { reason },
            status => ClientError::Refused { status: status.as_u16(), reason },
        })
    }

    async fn exchange(
        &self,
        method: Method,
        body: Bytes,
    ) -> Result<(StatusCode, String), ClientError> {
        let stream = UnixStream::connect(self.socket)
            .await
            .map_err(|source| ClientError::Connect { socket: self.at(), source })?;
        let broken = |error: hyper::Error| self.broken(chain(&error));
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        let connection = tokio::spawn(connection);
        let _ended = AbortOnDrop(connection);
        let request = Request::builder()
            .method(method)
            .uri(self.path)
            .header(HOST, "control")
            .header(CONNECTION, "close")
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(|error| self.broken(error.to_string()))?;
        let response = sender.send_request(request).await.map_err(broken)?;
        let status = response.status();
        let answer = Limited::new(response.into_body(), ANSWER_BYTES_MAX)
            .collect()
            .await
            .map_err(|error| self.broken(format!("read the answer: {error}")))?;
        Ok((status, String::from_utf8_lossy(&answer.to_bytes()).into_owned()))
    }

    fn at(&self) -> PathBuf {
        self.socket.to_owned()
    }

    fn broken(&self, reason: String) -> ClientError {
        ClientError::Broken { socket: self.at(), reason }
    }
}

/// Ends the driver of a connection together with the one who asked.
struct AbortOnDrop<T>(tokio::task::JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

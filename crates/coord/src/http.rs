//! HTTP to one of several servers of the same cluster, with a deadline and a bound on answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use regrow_ids::chain;
use reqwest::{Client, RequestBuilder, Response, StatusCode, header::HeaderMap};
use rustls::{ClientConfig, RootCertStore};

use crate::error::{CoordError, Invalid};

/// Largest answer that is read: a whole range of large values fits, a stream of garbage does not.
const ANSWER_BYTES: usize = 64 << 20;

/// A server that says nothing for this long while a watch is open is asked for a sign of life by
/// the kernel, as often again until it is given up.
const PROBE_EVERY: Duration = Duration::from_secs(5);

/// Servers that all answer for the same cluster.
pub(crate) struct Http {
    client: Client,
    servers: Vec<String>,
    /// The one that is asked first: the last that answered.
    current: AtomicUsize,
    deadline: Duration,
}

/// Why there is no answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// No server was reached.
    NotSent(String),
    /// One was asked and did not answer.
    NoAnswer(String),
}

impl Failure {
    /// The error of a call that only reads.
    pub(crate) fn of_read(self, doing: &'static str) -> CoordError {
        let (Self::NotSent(reason) | Self::NoAnswer(reason)) = self;
        CoordError::Unavailable { doing, reason }
    }

    /// The error of a call that writes.
    pub(crate) fn of_write(self, doing: &'static str) -> CoordError {
        match self {
            Self::NotSent(reason) => CoordError::Unavailable { doing, reason },
            Self::NoAnswer(reason) => CoordError::Unknown { doing, reason },
        }
    }
}

/// An answer that was read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Builds the request for the server at a base URL.
pub(crate) trait Build: Fn(&Client, &str) -> RequestBuilder + Send + Sync {}

impl<F: Fn(&Client, &str) -> RequestBuilder + Send + Sync> Build for F {}

fn plain() -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth())
}

fn check(servers: &[String], tls: bool) -> Result<Vec<String>, String> {
    if servers.is_empty() {
        return Err("there is no server; name at least one as http://HOST:PORT".into());
    }
    let check = |server: &String| {
        let url = reqwest::Url::parse(server).map_err(|error| {
            format!("{server:?} is no URL ({error}); expected http://HOST:PORT")
        })?;
        match url.scheme() {
            "http" => Ok(()),
            "https" if tls => Ok(()),
            "https" => Err(format!("{server} needs TLS settings; give the CA to trust")),
            other => Err(format!("{server} has the scheme {other}; expected http or https")),
        }?;
        Ok(server.trim_end_matches('/').to_owned())
    };
    servers.iter().map(check).collect()
}

impl Http {
    /// For the servers of a cluster; TLS settings where some are `https`.
    pub(crate) fn new(
        backend: &str,
        servers: &[String],
        tls: Option<ClientConfig>,
        deadline: Duration,
    ) -> Result<Self, Invalid> {
        let settings = |reason: String| Invalid::Settings { backend: backend.to_owned(), reason };
        let socket = match servers {
            [only] => only.strip_prefix("unix://").map(ToOwned::to_owned),
            _ => None,
        };
        let servers = match socket {
            // Who listens on a socket of its own asks for no name.
            Some(_) => vec!["http://localhost".to_owned()],
            None => check(servers, tls.is_some()).map_err(settings)?,
        };
        let config = tls.map_or_else(plain, Ok).map_err(|error| settings(error.to_string()))?;
        let builder = match socket {
            Some(path) => Client::builder().unix_socket(path),
            None => Client::builder(),
        };
        let client = builder
            .tls_backend_preconfigured(config)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(deadline / 2)
            .tcp_keepalive(PROBE_EVERY)
            .tcp_keepalive_interval(PROBE_EVERY)
            .tcp_keepalive_retries(2)
            .build()
            .map_err(|error| settings(chain(&error)))?;
        Ok(Self { client, servers, current: AtomicUsize::new(0), deadline })
    }

    /// Asks and reads the whole answer, within a time.
    pub(crate) async fn ask_within(
        &self,
        limit: Duration,
        build: impl Build,
    ) -> Result<Answer, Failure> {
        let asked = async {
            let response = self.send(build).await?;
            let (status, headers) = (response.status(), response.headers().clone());
            let body = body(response).await.map_err(Failure::NoAnswer)?;
            Ok(Answer { status, headers, body })
        };
        self.within(limit, asked).await
    }

    /// Asks and reads the whole answer, within the deadline.
    pub(crate) async fn ask(&self, build: impl Build) -> Result<Answer, Failure> {
        self.ask_within(self.deadline, build).await
    }

    /// Asks and leaves the body to be read as it comes.
    pub(crate) async fn open(&self, build: impl Build) -> Result<Response, Failure> {
        self.within(self.deadline, self.send(build)).await
    }

    async fn within<T>(
        &self,
        limit: Duration,
        asked: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let result = tokio::time::timeout(limit, asked).await;
        let late = || Failure::NoAnswer(format!("no answer within {limit:?}"));
        let result = result.unwrap_or_else(|_| Err(late()));
        if result.is_err() {
            self.current.fetch_add(1, Ordering::Relaxed);
        }
        result
    }

    async fn send(&self, build: impl Build) -> Result<Response, Failure> {
        let first = self.current.load(Ordering::Relaxed);
        let mut reason = "no server".to_owned();
        for step in 0..self.servers.len() {
            let at = first.wrapping_add(step) % self.servers.len();
            let Some(server) = self.servers.get(at) else { continue };
            match build(&self.client, server).send().await {
                Ok(response) => {
                    self.current.store(at, Ordering::Relaxed);
                    return Ok(response);
                }
                Err(error) if error.is_connect() || error.is_builder() => reason = chain(&error),
                Err(error) => return Err(Failure::NoAnswer(chain(&error))),
            }
        }
        Err(Failure::NotSent(reason))
    }
}

async fn body(mut response: Response) -> Result<Bytes, String> {
    let mut whole = BytesMut::new();
    while let Some(part) = response.chunk().await.map_err(|error| chain(&error))? {
        if whole.len() + part.len() > ANSWER_BYTES {
            return Err(format!("the answer has more than {ANSWER_BYTES} bytes; ask for less"));
        }
        whole.extend_from_slice(&part);
    }
    Ok(whole.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(servers: &[&str]) -> String {
        let servers: Vec<_> = servers.iter().map(|server| (*server).to_owned()).collect();
        let made = Http::new("etcd", &servers, None, Duration::from_secs(1));
        made.err().expect("refused").to_string()
    }

    #[test]
    fn settings_are_checked_before_anything_is_sent() {
        assert!(refused(&[]).contains("no server"));
        assert!(refused(&["127.0.0.1:1"]).contains("http"));
        assert!(refused(&["ftp://127.0.0.1"]).contains("scheme ftp"));
        assert!(refused(&["http://127.0.0.1:1", "https://127.0.0.1:1"]).contains("CA"));
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_was_not_asked() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
        let server = format!("http://{}", socket.local_addr().expect("address"));
        drop(socket);
        let http = Http::new("etcd", &[server], None, Duration::from_secs(30)).expect("settings");
        let failed = http.ask(|client: &Client, url: &str| client.get(url)).await;
        assert!(matches!(failed, Err(Failure::NotSent(_))), "{failed:?}");
    }

    #[tokio::test]
    async fn a_server_that_says_nothing_may_have_done_it() {
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let server = format!("http://{}", silent.local_addr().expect("address"));
        let limit = Duration::from_secs(1);
        let http = Http::new("etcd", &[server], None, limit).expect("settings");
        let failed = http.ask(|client: &Client, url: &str| client.get(url)).await;
        assert!(matches!(failed, Err(Failure::NoAnswer(_))), "{failed:?}");
    }
}

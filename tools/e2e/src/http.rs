//! A small HTTP client that sits on a machine of the net.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;

use crate::net::Portal;

/// Pause before a request is repeated.
const AGAIN: Duration = Duration::from_millis(50);

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// `X-Consul-Index`, where there is one.
    pub index: Option<u64>,
    /// Its body.
    pub body: Bytes,
}

impl Answer {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    /// The request never left.
    #[error("not sent: {0}")]
    NotSent(String),
    /// It may have been executed.
    #[error("sent, not answered: {0}")]
    Unknown(String),
}

/// One HTTP/1.1 connection that is kept, and made again where it broke: a client that does one thing
/// at a time.
pub struct Http {
    portal: Portal,
    to: SocketAddr,
    sender: Option<SendRequest<Full<Bytes>>>,
}

impl Http {
    /// A client inside a place; connects when it is first used.
    pub fn new(portal: Portal, to: SocketAddr) -> Self {
        Self { portal, to, sender: None }
    }

    /// Connects where it is not connected.
    ///
    /// # Errors
    /// Nobody listens.
    pub async fn connect(&mut self) -> Result<()> {
        if self.sender.as_ref().is_some_and(|sender| !sender.is_closed()) {
            return Ok(());
        }
        let stream = self.portal.connect(self.to).await?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        self.sender = Some(sender);
        Ok(())
    }

    /// Sends a request until it is answered with anything but a fault of the server: a change of leader
    /// on a busy machine is no failure. For requests that may be repeated.
    ///
    /// # Errors
    /// There is no such answer in time; the text holds the last one.
    pub async fn settled(
        &mut self,
        method: Method,
        path: &str,
        body: impl Into<Bytes>,
        within: Duration,
    ) -> Result<Answer> {
        let (end, body) = (Instant::now() + within, body.into());
        loop {
            let last = match self.call(method.clone(), path, body.clone(), within).await {
                Ok(answer) if !answer.status.is_server_error() => return Ok(answer),
                Ok(answer) => format!("{}: {}", answer.status, answer.text()),
                Err(error) => error.to_string(),
            };
            if Instant::now() > end {
                bail!("{method} {path}: no answer within {within:?}; the last: {last}");
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Sends a request and reads the answer.
    ///
    /// # Errors
    /// [`NoAnswer`]; the connection is given up then.
    pub async fn call(
        &mut self,
        method: Method,
        path: &str,
        body: impl Into<Bytes>,
        within: Duration,
    ) -> Result<Answer, NoAnswer> {
        let not_sent = |error: String| NoAnswer::NotSent(error);
        self.connect().await.map_err(|error| not_sent(format!("{error:#}")))?;
        // Taken out, so that it is dropped with everything under way where the time is over.
        let Some(mut sender) = self.sender.take() else {
            return Err(not_sent("no connection".into()));
        };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("Host", "node")
            .body(Full::new(body.into()))
            .map_err(|error| not_sent(error.to_string()))?;
        let exchange = async {
            sender.ready().await?;
            let answer = sender.send_request(request).await?;
            let status = answer.status();
            let index = answer.headers().get("X-Consul-Index");
            let index = index.and_then(|text| text.to_str().ok()?.parse().ok());
            let body = answer.into_body().collect().await?.to_bytes();
            Ok::<_, hyper::Error>((Answer { status, index, body }, sender))
        };
        match tokio::time::timeout(within, exchange).await {
            Err(_) => Err(NoAnswer::Unknown(format!("nothing within {within:?}"))),
            Ok(Err(error)) => Err(NoAnswer::Unknown(format!("{error:?}"))),
            Ok(Ok((answer, sender))) => {
                self.sender = Some(sender);
                Ok(answer)
            }
        }
    }
}

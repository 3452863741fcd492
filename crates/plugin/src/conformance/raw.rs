//! HTTP by hand: the checks look at what a client library would hide.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use crate::client::Io;
use crate::discovery::Endpoint;

/// Largest answer that a check reads.
const MAX_ANSWER_BYTES: usize = 80 << 20;

/// Pause after the queue of a listener was full.
const FULL_PAUSE: Duration = Duration::from_millis(5);

/// An HTTP answer.
#[derive(Debug)]
pub(super) struct Http {
    pub(super) status: u16,
    headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Http {
    pub(super) fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value.as_str())
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// One connection to the plugin.
pub(super) struct Connection {
    stream: Box<dyn Io>,
    read: Vec<u8>,
}

type Result<T> = std::result::Result<T, String>;

impl Connection {
    pub(super) async fn open(endpoint: &Endpoint) -> Result<Self> {
        let stream: Box<dyn Io> = match endpoint {
            Endpoint::Unix(path) => loop {
                match UnixStream::connect(path).await {
                    Ok(stream) => break Box::new(stream),
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                        tokio::time::sleep(FULL_PAUSE).await;
                    }
                    Err(error) => return Err(format!("connect: {error}")),
                }
            },
            Endpoint::Tcp(address) | Endpoint::Http { authority: address, .. } => {
                let stream = TcpStream::connect(address).await;
                Box::new(stream.map_err(|error| format!("connect: {error}"))?)
            }
        };
        Ok(Self { stream, read: Vec::new() })
    }

    pub(super) async fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes).await.map_err(|error| format!("send: {error}"))?;
        self.stream.flush().await.map_err(|error| format!("send: {error}"))
    }

    /// Reads one answer.
    pub(super) async fn answer(&mut self) -> Result<Http> {
        let mut http = self.head().await?;
        if http.header("transfer-encoding").eq_ignore_ascii_case("chunked") {
            http.body = self.chunks().await?;
        } else if let Ok(length) = http.header("content-length").parse::<usize>() {
            if length > MAX_ANSWER_BYTES {
                return Err(format!("the answer announces {length} bytes"));
            }
            while self.read.len() < length {
                self.more().await?;
            }
            http.body = self.read.drain(..length).collect();
        } else {
            // Neither: the end of the connection is the end of the body.
            while self.more().await.is_ok() {}
            http.body = std::mem::take(&mut self.read);
        }
        Ok(http)
    }

    /// Reads the head of an answer only.
    pub(super) async fn head(&mut self) -> Result<Http> {
        let end = loop {
            if let Some(end) = find(&self.read, b"\r\n\r\n") {
                break end;
            }
            self.more().await?;
        };
        let head: Vec<u8> = self.read.drain(..end + 4).collect();
        let text = String::from_utf8_lossy(&head);
        let mut lines = text.lines();
        let first = lines.next().unwrap_or("");
        let status = first
            .strip_prefix("HTTP/1.")
            .and_then(|rest| rest.split_whitespace().nth(1))
            .and_then(|status| status.parse().ok())
            .ok_or_else(|| format!("the answer begins with {first:?}"))?;
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        Ok(Http { status, headers, body: Vec::new() })
    }

    async fn chunks(&mut self) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = loop {
                match find(&self.read, b"\r\n") {
                    Some(end) => break self.read.drain(..end + 2).collect::<Vec<u8>>(),
                    None => self.more().await?,
                }
            };
            let text = String::from_utf8_lossy(&line);
            let size = text.split(';').next().unwrap_or("").trim();
            let size = usize::from_str_radix(size, 16)
                .map_err(|_| format!("a chunk begins with {text:?}"))?;
            if body.len() + size > MAX_ANSWER_BYTES {
                return Err("the answer has no end".to_owned());
            }
            while self.read.len() < size + 2 {
                self.more().await?;
            }
            body.extend(self.read.drain(..size));
            self.read.drain(..2);
            if size == 0 {
                return Ok(body);
            }
        }
    }

    async fn more(&mut self) -> Result<()> {
        if self.read.len() > MAX_ANSWER_BYTES {
            return Err("the answer has no end".to_owned());
        }
        match self.stream.read_buf(&mut self.read).await {
            Ok(0) => Err("the connection was closed before the answer was whole".to_owned()),
            Ok(_) => Ok(()),
            Err(error) => Err(format!("read the answer: {error}")),
        }
    }

    /// True when the peer closes within a time without sending more.
    pub(super) async fn closes_within(&mut self, time: Duration) -> bool {
        let read = tokio::time::timeout(time, self.stream.read_buf(&mut self.read)).await;
        matches!(read, Ok(Ok(0) | Err(_)))
    }
}

fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}

//! Stands before a good plugin and makes it bad.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

use crate::support::{Raw, read_answer};

/// What came in.
pub struct Seen {
    pub head: String,
    pub body: String,
    /// True when the sender stopped in the middle.
    pub partial: bool,
    /// Number of the connection.
    pub number: usize,
}

impl Seen {
    pub fn has(&self, text: &str) -> bool {
        self.head.contains(text) || self.body.contains(text)
    }
}

/// What to do about it.
pub enum Act {
    /// Nothing special.
    Forward,
    /// Forward, and change the answer's body.
    Map(Box<dyn FnOnce(String) -> String + Send>),
    /// Forward something else.
    Instead(String),
    /// Forward something else first.
    Also(String),
    /// Answer with this result.
    Result(&'static str),
    /// Answer with this error.
    Error(&'static str),
    /// Answer with this status and no body.
    Status(u16),
    /// Answer with this body.
    Body(String),
    /// Forward and close the connection after the answer.
    HangUp,
    /// Forward and keep the connection although asked to close it.
    Stay,
    /// Close the connection without an answer.
    Close,
    /// Answer nobody any more.
    Die,
}

pub type Rule = Box<dyn Fn(&Seen) -> Act + Send + Sync>;

pub struct Proxy {
    path: PathBuf,
}

struct Shared {
    good: PathBuf,
    rule: Rule,
    dead: AtomicBool,
    connections: AtomicUsize,
}

impl Proxy {
    /// Stands before the plugin `good` of a directory.
    pub fn start(directory: &Path, rule: Rule) -> Self {
        let path = directory.join("bad");
        let listener = UnixListener::bind(&path).expect("bind");
        let shared = Arc::new(Shared {
            good: directory.join("good"),
            rule,
            dead: AtomicBool::new(false),
            connections: AtomicUsize::new(0),
        });
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let number = shared.connections.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(serve(stream, Arc::clone(&shared), number));
            }
        });
        Self { path }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

async fn serve(mut stream: UnixStream, shared: Arc<Shared>, number: usize) {
    let mut pending = Vec::new();
    while !shared.dead.load(Ordering::Relaxed) {
        let Some((head, body, partial)) = request(&mut stream, &mut pending).await else { return };
        let seen = Seen { head, body, partial, number };
        if partial {
            if matches!((shared.rule)(&seen), Act::Die) {
                shared.dead.store(true, Ordering::Relaxed);
            }
            return;
        }
        let mut close = seen.head.contains("Connection: close");
        let id =
            seen.body.rsplit_once("\"id\":").map_or("null", |(_, id)| id.trim_end_matches('}'));
        let plain = |status, body: String| Raw { status, head: String::new(), body };
        let answer = match (shared.rule)(&seen) {
            Act::Forward => forward(&shared.good, &seen.head, &seen.body).await,
            Act::Map(map) => {
                let answer = forward(&shared.good, &seen.head, &seen.body).await;
                Raw { body: map(answer.body), ..answer }
            }
            Act::Instead(body) => forward(&shared.good, &seen.head, &body).await,
            Act::Also(body) => {
                forward(&shared.good, "POST / HTTP/1.1\r\nHost: h", &body).await;
                forward(&shared.good, &seen.head, &seen.body).await
            }
            Act::Result(result) => {
                plain(200, format!("{{\"jsonrpc\":\"2.0\",\"result\":{result},\"id\":{id}}}\n"))
            }
            Act::Error(text) => plain(
                200,
                format!(
                    "{{\"jsonrpc\":\"2.0\",\"error\":{{\"code\":-32000,\"message\":{text:?},\
                     \"data\":null}},\"id\":{id}}}\n"
                ),
            ),
            Act::Status(status) => plain(status, String::new()),
            Act::Body(body) => plain(200, body.replace("ID", id)),
            Act::HangUp => {
                close = true;
                forward(&shared.good, &seen.head, &seen.body).await
            }
            Act::Stay => {
                close = false;
                forward(&shared.good, &seen.head, &seen.body).await
            }
            Act::Close => return,
            Act::Die => {
                shared.dead.store(true, Ordering::Relaxed);
                return;
            }
        };
        let text = format!(
            "HTTP/1.1 {} X\r\nContent-Length: {}\r\n\r\n{}",
            answer.status,
            answer.body.len(),
            answer.body
        );
        if stream.write_all(text.as_bytes()).await.is_err() || close {
            return;
        }
    }
}

/// One request: head, body, and whether it was broken off.
async fn request(stream: &mut UnixStream, pending: &mut Vec<u8>) -> Option<(String, String, bool)> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let head = loop {
        if let Some(end) = pending.windows(4).position(|four| four == b"\r\n\r\n") {
            let head: Vec<u8> = pending.drain(..end + 4).collect();
            break text(&head[..end]);
        }
        if stream.read_buf(pending).await.ok()? == 0 {
            return (!pending.is_empty()).then(|| (text(pending), String::new(), true));
        }
    };
    if head.contains("Transfer-Encoding: chunked") {
        while !pending.ends_with(b"0\r\n\r\n") {
            if stream.read_buf(pending).await.ok()? == 0 {
                return Some((head, text(pending), true));
            }
        }
        let all = text(pending);
        pending.clear();
        let body: String = all.split("\r\n").skip(1).step_by(2).collect();
        return Some((head, body, false));
    }
    let length = head
        .lines()
        .find_map(|line| {
            line.strip_prefix("Content-Length: ").or(line.strip_prefix("content-length: "))
        })
        .and_then(|length| length.parse::<usize>().ok())
        .unwrap_or(0);
    while pending.len() < length {
        if stream.read_buf(pending).await.ok()? == 0 {
            return Some((head, text(pending), true));
        }
    }
    let body: Vec<u8> = pending.drain(..length).collect();
    Some((head, text(&body), false))
}

async fn forward(good: &Path, head: &str, body: &str) -> Raw {
    let mut stream = UnixStream::connect(good).await.expect("the good plugin answers");
    let mut lines: Vec<String> = head
        .lines()
        .filter(|line| {
            let line = line.to_ascii_lowercase();
            !line.starts_with("content-length") && !line.starts_with("transfer-encoding")
        })
        .map(str::to_owned)
        .collect();
    lines.push(format!("Content-Length: {}", body.len()));
    let request = format!("{}\r\n\r\n{body}", lines.join("\r\n"));
    stream.write_all(request.as_bytes()).await.expect("write");
    let answered = tokio::time::timeout(Duration::from_secs(5), read_answer(&mut stream)).await;
    answered.unwrap_or(Raw { status: 504, head: String::new(), body: String::new() })
}

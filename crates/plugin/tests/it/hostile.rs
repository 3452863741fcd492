//! Plugins that misbehave (P2): a clear error, in time, within bounds, and nobody else is hurt.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use regrow_codec::Any;
use regrow_plugin::spi::{InstanceSpec, Tags};
use regrow_plugin::{Client, Effect, Endpoint, PluginError, Timeouts};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

use crate::support::{client, directory, in_time, memory_plugin, name, start};

/// Limit of those who wait for an answer that never comes.
const LIMIT: Duration = Duration::from_millis(600);
/// Longest time for an error that does not have to be waited for.
const SOON: Duration = Duration::from_secs(20);

/// A plugin that handles each connection as it likes.
struct Bad {
    _dir: tempfile::TempDir,
    path: PathBuf,
    requests: Arc<AtomicUsize>,
}

impl Bad {
    fn start<F>(handle: impl Fn(Peer) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let dir = directory();
        let path = dir.path().join("bad");
        let listener = UnixListener::bind(&path).expect("bind");
        let requests = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&requests);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.expect("accept");
                let peer = Peer { stream, requests: Arc::clone(&counted) };
                tokio::spawn(handle(peer));
            }
        });
        Self { _dir: dir, path, requests }
    }

    /// A plugin that answers each request with the same text; `ID` in it becomes the right id.
    fn answering(answer: impl Into<String>) -> Self {
        let answer: Arc<str> = answer.into().into();
        Self::start(move |mut peer| {
            let answer = Arc::clone(&answer);
            async move {
                while let Some((id, _)) = peer.request().await {
                    let body = answer.replace("ID", &id);
                    peer.answer(&body).await;
                }
            }
        })
    }

    /// One that is not held up by a busy machine: only what the plugin does decides.
    fn client(&self) -> Client {
        limited(&self.path, SOON)
    }

    /// One that has not got long.
    fn hasty(&self) -> Client {
        limited(&self.path, LIMIT)
    }

    async fn error(&self) -> PluginError {
        let error = self.client().hello().await.expect_err("it misbehaves");
        assert!(!matches!(error, PluginError::TimedOut { .. }), "{error}");
        error
    }
}

fn limited(path: &Path, limit: Duration) -> Client {
    let timeouts = Timeouts { call: limit, slow: limit, connect: limit };
    Client::with(Endpoint::Unix(path.to_owned()), timeouts)
}

struct Peer {
    stream: UnixStream,
    requests: Arc<AtomicUsize>,
}

impl Peer {
    /// Reads a request and returns its id and method.
    async fn request(&mut self) -> Option<(String, String)> {
        let mut bytes = Vec::new();
        let mut piece = [0; 8192];
        while !bytes.ends_with(b"}") {
            let read = self.stream.read(&mut piece).await.ok().filter(|read| *read > 0)?;
            bytes.extend_from_slice(&piece[..read]);
        }
        self.requests.fetch_add(1, Ordering::Relaxed);
        let text = String::from_utf8(bytes).expect("text");
        let id = text.rsplit_once("\"id\":").expect("an id").1.trim_end_matches('}').to_owned();
        let method = text.split("\"method\":\"").nth(1).and_then(|rest| rest.split('"').next());
        Some((id, method.expect("a method").to_owned()))
    }

    async fn answer(&mut self, body: &str) {
        let length = body.len();
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}");
        let _ = self.stream.write_all(answer.as_bytes()).await;
    }

    async fn write(&mut self, text: &str) {
        let _ = self.stream.write_all(text.as_bytes()).await;
    }
}

const HELLO: &str = r#"{"jsonrpc":"2.0","result":{"Objects":{"Instance/0.6.1":[{"Name":".","ProxyFor":""}]}},"id":ID}"#;

#[tokio::test]
async fn one_that_hangs_costs_the_time_limit() {
    let bad = Bad::start(|mut peer| async move {
        peer.request().await;
        std::future::pending::<()>().await;
    });
    in_time(LIMIT, LIMIT.mul_f64(1.1), || async {
        let start = Instant::now();
        let error = bad.hasty().hello().await.expect_err("no answer");
        let took = start.elapsed();
        assert_eq!(error.to_string(), "call Handshake.Hello of plugin bad: no answer within 600ms");
        assert_eq!(error.effect(), Effect::Unknown);
        took
    })
    .await;
}

#[tokio::test]
async fn one_that_accepts_nobody_hangs_the_same_way() {
    let dir = directory();
    let path = dir.path().join("bad");
    let _listener = std::os::unix::net::UnixListener::bind(&path).expect("bind");
    let error = limited(&path, LIMIT).hello().await.expect_err("nobody accepts");
    assert!(matches!(error, PluginError::TimedOut { .. }), "{error}");
}

#[tokio::test]
async fn slow_bytes_cost_the_time_limit() {
    let bad = Bad::start(|mut peer| async move {
        peer.request().await;
        for byte in "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"
            .chars()
            .chain(std::iter::repeat_n(' ', 100_000))
        {
            peer.write(&byte.to_string()).await;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    in_time(LIMIT, LIMIT.mul_f64(1.1), || async {
        let start = Instant::now();
        let error = bad.hasty().hello().await.expect_err("too slow");
        let took = start.elapsed();
        assert!(matches!(error, PluginError::TimedOut { .. }), "{error}");
        took
    })
    .await;
}

#[tokio::test]
async fn one_that_closes_early_is_broken() {
    for head in [
        "",
        "HTTP/1.1 200",
        "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{\"jsonrpc\"",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"jso",
    ] {
        let bad = Bad::start(move |mut peer| async move {
            peer.request().await;
            peer.write(head).await;
        });
        let error = bad.error().await;
        assert!(matches!(error, PluginError::Broken { .. }), "{head}: {error:?}");
        assert!(error.to_string().contains("call Handshake.Hello of plugin bad"), "{error}");
    }
}

#[tokio::test]
async fn one_that_speaks_something_else_is_broken() {
    let long_head = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(2 << 20));
    for text in ["SSH-2.0-OpenSSH_9.2\r\n", "\0\0\0\0\0\0\0\0\0\0", &long_head] {
        let text = text.to_owned();
        let bad = Bad::start(move |mut peer| {
            let text = text.clone();
            async move {
                peer.request().await;
                peer.write(&text).await;
                std::future::pending::<()>().await;
            }
        });
        let error = bad.error().await;
        assert!(matches!(error, PluginError::Broken { .. }), "{error:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_sends_a_gibibyte_is_stopped_within_bounds() {
    for announced in [true, false] {
        let bad = Bad::start(move |mut peer| async move {
            peer.request().await;
            let chunk = "x".repeat(1 << 20);
            if announced {
                peer.write(&format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 1u64 << 30))
                    .await;
            } else {
                peer.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
            }
            for _ in 0..1024 {
                let text = if announced { chunk.clone() } else { format!("100000\r\n{chunk}\r\n") };
                if peer.stream.write_all(text.as_bytes()).await.is_err() {
                    return;
                }
            }
        });
        let timeouts = Timeouts::default();
        let client = Client::with(Endpoint::Unix(bad.path.clone()), timeouts);
        let before = resident_kib("VmRSS");
        let error = client.hello().await.expect_err("too large");
        assert!(error.to_string().contains("larger than 68157440 bytes"), "{error}");
        let grown = resident_kib("VmHWM").saturating_sub(before) >> 10;
        assert!(grown <= 65 + 32, "{grown} MiB");
    }
}

pub fn resident_kib(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("status");
    let line = status.lines().find(|line| line.starts_with(field)).expect("a line");
    line.split_whitespace().nth(1).expect("a number").parse().expect("a number")
}

#[tokio::test]
async fn deep_nesting_is_refused() {
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    for answer in [
        deep.clone(),
        format!(r#"{{"jsonrpc":"2.0","result":{{"Objects":{{}},"X":{deep}}},"id":ID}}"#),
    ] {
        let error = Bad::answering(answer).error().await;
        assert!(error.to_string().contains("nested deeper than 128 levels"), "{error}");
    }
}

#[tokio::test]
async fn answers_that_are_none_are_named() {
    for (answer, text) in [
        ("", "the answer is empty"),
        ("\n", "the answer is empty"),
        ("<html>", "read the answer: expected value (line 1, column 1)"),
        (r#"{"jsonrpc":"2.0","result":{}"#, "read the answer: EOF"),
        (r#"{"jsonrpc":"2.0","result":null,"id":ID}"#, "result is null"),
        (r#"{"jsonrpc":"2.0","id":ID}"#, "result is null"),
        (r#"{"jsonrpc":"2.0","result":{},"id":5}"#, "the answer has id 5, the call had"),
        (r#"{"jsonrpc":"2.0","result":{}}"#, "the answer has id null, the call had"),
        (r#"{"jsonrpc":"2.0","result":[],"id":ID}"#, "at /result: invalid type: sequence"),
        (
            r#"{"jsonrpc":"2.0","result":{"Objects":{"Instance/0.6.1":[{"Name":7}]}},"id":ID}"#,
            "at /result/Objects/Instance~10.6.1/0/Name: invalid type: integer",
        ),
    ] {
        let error = Bad::answering(answer).error().await;
        assert!(matches!(error, PluginError::Protocol(_)), "{answer}: {error:?}");
        assert!(error.to_string().starts_with("call Handshake.Hello of plugin bad: "), "{error}");
        assert!(error.to_string().contains(text), "{answer}: {error}");
    }
}

#[tokio::test]
async fn errors_are_shown_as_they_came() {
    for (answer, text) in [
        (
            r#"{"error":{"code":-32000,"message":"no-plugin:zzz","data":null},"id":ID}"#,
            "no-plugin:zzz",
        ),
        (r#"{"error":{"code":-32700,"message":"cannot read that"},"id":null}"#, "cannot read that"),
        (r#"{"error":{"code":-5},"result":{},"id":ID}"#, "error -5 without a message"),
    ] {
        assert_eq!(Bad::answering(answer).error().await, PluginError::Refused(text.into()));
    }
    for (status, text) in [
        ("500 Oops", "HTTP 500 Internal Server Error: sorry"),
        ("404 Not Found", "HTTP 404 Not Found: sorry"),
        ("502 Bad Gateway", "connection broke: HTTP 502 Bad Gateway: sorry"),
    ] {
        let bad = Bad::start(move |mut peer| async move {
            peer.request().await;
            peer.write(&format!("HTTP/1.1 {status}\r\nContent-Length: 6\r\n\r\nsorry\n")).await;
        });
        let error = bad.error().await.to_string();
        assert!(error.contains(text), "{error}");
    }
}

#[tokio::test]
async fn versions_must_match() {
    for (offered, text) in [
        (
            "Instance/0.7.0",
            "Plugin supports Instance interface version 0.7.0, client requires 0.6.1",
        ),
        ("Flavor/0.1.1", "Plugin does not support interface Instance"),
    ] {
        let bad = Bad::answering(HELLO.replace("Instance/0.6.1", offered));
        let error = bad.client().instance(&name("bad")).await.err().expect("a mismatch");
        assert_eq!(error, PluginError::Protocol(text.into()));
    }
}

#[tokio::test]
async fn answers_that_are_swapped_are_noticed() {
    // Two calls meet here and get each other's answer.
    let (swap, _) = tokio::sync::broadcast::channel::<String>(8);
    let both = Arc::new(tokio::sync::Barrier::new(2));
    let bad = Bad::start(move |mut peer| {
        let (swap, both) = (swap.clone(), Arc::clone(&both));
        async move {
            let mut others = swap.subscribe();
            let Some((own, _)) = peer.request().await else { return };
            both.wait().await;
            let _ = swap.send(own.clone());
            while let Ok(other) = others.recv().await {
                if other != own {
                    return peer.answer(&HELLO.replace("ID", &other)).await;
                }
            }
        }
    });
    let client = bad.client();
    let (one, two) = tokio::join!(client.hello(), client.hello());
    for result in [one, two] {
        let error = result.expect_err("swapped").to_string();
        assert!(error.contains("mixes up its answers"), "{error}");
    }
}

#[tokio::test]
async fn nobody_there_means_that_nothing_happened() {
    let dir = directory();
    let path = dir.path().join("gone");
    let error = limited(&path, SOON).hello().await.expect_err("nobody");
    assert!(matches!(error, PluginError::Unreachable { .. }), "{error:?}");
    assert_eq!(error.effect(), Effect::None);
    drop(std::os::unix::net::UnixListener::bind(&path));
    let error = limited(&path, SOON).hello().await.expect_err("a leftover");
    assert!(error.to_string().contains("Connection refused"), "{error}");
    assert!(error.to_string().contains("check that it runs"), "{error}");
}

/// Answers the first request of each connection and closes when the second comes.
fn forgetful() -> Bad {
    Bad::start(|mut peer| async move {
        if let Some((id, method)) = peer.request().await {
            let result = match method.as_str() {
                "Instance.DescribeInstances" => "{\"Descriptions\":null}",
                "Instance.Provision" => "{\"ID\":\"i\"}",
                _ => return peer.answer(&HELLO.replace("ID", &id)).await,
            };
            peer.answer(&format!(r#"{{"result":{result},"id":{id}}}"#)).await;
            peer.request().await;
        }
    })
}

#[tokio::test]
async fn a_read_is_repeated_when_a_kept_connection_was_dead() {
    let bad = Bad::start(|mut peer| async move {
        let Some((id, _)) = peer.request().await else { return };
        peer.answer(&HELLO.replace("ID", &id)).await;
        peer.request().await;
    });
    let client = bad.client();
    client.hello().await.expect("the first");
    client.hello().await.expect("the second is repeated");
    assert_eq!(bad.requests.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn a_change_is_sent_once() {
    let bad = forgetful();
    let instances = bad.client().instance(&name("bad")).await.expect("instance");
    // The handshake has used the connection.
    tokio::time::sleep(Duration::from_millis(50)).await;
    let mut made = 0;
    let mut broken = 0;
    for _ in 0..10 {
        match instances.provision(&InstanceSpec::default()).await {
            Ok(_) => made += 1,
            Err(PluginError::Broken { .. }) => broken += 1,
            Err(other) => panic!("{other:?}"),
        }
    }
    assert!(broken > 0);
    // One for the handshake; whatever came of a provision, it was sent once.
    assert_eq!(bad.requests.load(Ordering::Relaxed), 1 + made + broken);
}

#[tokio::test]
async fn calls_beyond_the_connections_wait_and_then_say_why() {
    let bad = Bad::start(|mut peer| async move {
        peer.request().await;
        std::future::pending::<()>().await;
    });
    let hour = Duration::from_secs(3_600);
    let timeouts = Timeouts { call: hour, slow: hour, connect: Duration::from_millis(300) };
    let client = Client::with(Endpoint::Unix(bad.path.clone()), timeouts);
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..40 {
        let client = client.clone();
        calls.spawn(async move { client.hello().await.expect_err("it hangs") });
    }
    for _ in 0..8 {
        match calls.join_next().await.expect("a call").expect("no panic") {
            PluginError::Unreachable { reason, .. } => {
                assert_eq!(reason, "all 32 connections have been busy for 300ms");
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(calls.len(), 32);
    assert!(calls.try_join_next().is_none(), "the others wait for their answers");
    while bad.requests.load(Ordering::Relaxed) < 32 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(bad.requests.load(Ordering::Relaxed), 32);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_good_do_not_suffer_with_the_bad() {
    let dir = directory();
    let running = start(memory_plugin("good"), dir.path()).await;
    let bad = Bad::start(|mut peer| async move {
        peer.request().await;
        std::future::pending::<()>().await;
    });
    let hour = Duration::from_secs(3_600);
    let timeouts = Timeouts { call: hour, slow: hour, connect: hour };
    let suffering = Client::with(Endpoint::Unix(bad.path.clone()), timeouts);
    let calls: Vec<_> = (0..32)
        .map(|_| {
            let client = suffering.clone();
            tokio::spawn(async move { client.hello().await })
        })
        .collect();
    let instances = client(&running).instance(&name("good")).await.expect("instance");
    let mut longest = Duration::ZERO;
    for _ in 0..200 {
        let start = Instant::now();
        instances.describe_instances(&Tags::new(), false).await.expect("list");
        instances.validate(&Any::default()).await.expect("valid");
        longest = longest.max(start.elapsed());
    }
    // Not one call waited for the others, which wait all the time.
    println!("the longest pair of calls took {longest:?}");
    assert!(calls.iter().all(|call| !call.is_finished()));
    calls.iter().for_each(|call| call.abort());
}

//! JSON-RPC over HTTP, from both sides.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use regrow_codec::Any;
use regrow_flavors::{Templates, vanilla};
use regrow_ids::InstanceId;
use regrow_plugin::client::{Dial, Io};
use regrow_plugin::spi::{
    Description, DestroyReason, Flavor, Instance, InstanceSpec, Metadata, Result, Tags, Updatable,
};
use regrow_plugin::tree::ReadOnlyTree;
use regrow_plugin::{
    Client, Endpoint, FixedObjects, Listen, Plugin, PluginError, Running, Timeouts, serve,
};
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::runtime::Runtime;

use super::template::bounded;
use crate::scratch::{choice, folder, in_virtual_time, must, runtime};

/// Far above what an answer takes on a busy machine.
const HANG: Duration = Duration::from_secs(60);
/// Beyond every time limit of a client, in virtual time.
const CLIENT_HANG: Duration = Duration::from_secs(3_600);
/// Events of a stream that are read.
const MAX_EVENTS: usize = 64;

/// Instances that know nothing and refuse nothing.
struct Echo;

#[async_trait]
impl Instance for Echo {
    async fn validate(&self, properties: &Any) -> Result<()> {
        if properties.is_null() { Err(PluginError::refused("nothing")) } else { Ok(()) }
    }

    async fn provision(&self, spec: &InstanceSpec) -> Result<InstanceId> {
        Ok(InstanceId::from(spec.init.as_str()))
    }

    async fn label(&self, _: &InstanceId, _: &Tags) -> Result<()> {
        Ok(())
    }

    async fn destroy(&self, instance: &InstanceId, _: DestroyReason) -> Result<()> {
        if instance.is_empty() { Err(PluginError::refused("nobody")) } else { Ok(()) }
    }

    async fn describe_instances(&self, tags: &Tags, _: bool) -> Result<Vec<Arc<Description>>> {
        let tags = tags.clone();
        Ok(vec![Arc::new(Description { id: "echo".into(), tags, ..Description::default() })])
    }
}

fn plugin() -> Plugin {
    let root = Arc::new(json!({"a": {"b": [1, "c"]}}));
    // It cannot be changed: what one input does must not be seen by the next.
    let tree = ReadOnlyTree::new(move || Arc::clone(&root));
    let flavor = vanilla::Vanilla::new(Templates::new(bounded()));
    Plugin::instance("world", Echo)
        .with_metadata(FixedObjects::single(Arc::new(tree.clone()) as Arc<dyn Metadata>))
        .with_updatables(FixedObjects::single(Arc::new(tree) as Arc<dyn Updatable>))
        .with_flavors(FixedObjects::single(Arc::new(flavor) as Arc<dyn Flavor>))
}

/// A served plugin, for as long as its thread.
struct World {
    _running: Running,
    runtime: Runtime,
    socket: PathBuf,
    _dir: TempDir,
}

impl World {
    fn new() -> Self {
        let (dir, runtime) = (folder(), runtime());
        let running = runtime.block_on(serve(plugin(), Listen::unix(dir.path())));
        let socket = dir.path().join("world");
        Self { _running: must(running, "serve"), runtime, socket, _dir: dir }
    }

    /// The head of the answer and what of the rest comes with `Content-Length`; empty when the
    /// connection was closed without one.
    fn ask(&self, request: &[u8]) -> (String, Vec<u8>) {
        let asked = async {
            let mut stream = must(UnixStream::connect(&self.socket).await, "connect");
            // The server may have answered and gone before it was told everything.
            let _ = stream.write_all(request).await;
            let _ = stream.shutdown().await;
            read_answer(&mut stream).await
        };
        let answered = self.runtime.block_on(async { tokio::time::timeout(HANG, asked).await });
        must(answered, "no answer")
    }
}

thread_local! {
    static WORLD: World = World::new();
}

async fn read_answer(stream: &mut UnixStream) -> (String, Vec<u8>) {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let body = bytes.split_off(end + 4);
            let head = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length = length.map_or(0, |length| must(length.parse(), length));
            return (head, read_body(stream, body, length).await);
        }
        match stream.read_buf(&mut bytes).await {
            Ok(1..) => {}
            _ => return (String::from_utf8_lossy(&bytes).into_owned(), Vec::new()),
        }
    }
}

async fn read_body(stream: &mut UnixStream, mut body: Vec<u8>, length: usize) -> Vec<u8> {
    while body.len() < length {
        match stream.read_buf(&mut body).await {
            Ok(1..) => {}
            _ => break,
        }
    }
    body.truncate(length);
    body
}

/// Every body is answered with one answer, or with nothing; never with a panic.
pub fn bodies(data: &[u8]) {
    let mut request = format!(
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        data.len()
    )
    .into_bytes();
    request.extend_from_slice(data);
    let (head, body) = WORLD.with(|world| world.ask(&request));
    assert!(head.starts_with("http/1.1 200 "), "{head}");
    if body.is_empty() {
        // A batch, or a call that wants no answer. Texts that nobody reads may be any bytes.
        return assert!(serde_json::from_slice::<IgnoredAny>(data).is_ok(), "no answer");
    }
    let answer: Value = must(serde_json::from_slice(&body), "read the answer");
    assert_eq!(answer["jsonrpc"], "2.0", "{answer}");
    assert!(answer.get("id").is_some(), "{answer}");
    assert_ne!(answer.get("result").is_some(), answer.get("error").is_some(), "{answer}");
    if let Some(error) = answer.get("error") {
        let message = error["message"].as_str().unwrap_or_default();
        assert!(!message.is_empty() && !message.contains("the plugin panicked"), "{answer}");
    }
}

/// Every request is answered in HTTP, or its connection is closed; the next one is served.
pub fn requests(data: &[u8]) {
    WORLD.with(|world| {
        let (head, _) = world.ask(data);
        assert!(head.is_empty() || head.starts_with("http/1."), "{head}");
        let (head, _) = world.ask(b"GET /info/api.json HTTP/1.1\r\nHost: h\r\n\r\n");
        assert!(head.starts_with("http/1.1 200 "), "{head}");
    });
}

/// A peer that answers every connection with the same bytes.
struct Liar(Vec<u8>);

#[async_trait]
impl Dial for Liar {
    async fn dial(&self) -> std::io::Result<Box<dyn Io>> {
        let (ours, mut theirs) = tokio::io::duplex(64 << 10);
        let answer = self.0.clone();
        tokio::spawn(async move {
            let mut request = [0; 4096];
            let _ = theirs.read(&mut request).await;
            let _ = theirs.write_all(&answer).await;
        });
        Ok(Box::new(ours))
    }
}

/// Whatever a peer says, each call of a client ends, in time, and an error has a text.
pub fn answers(data: &[u8]) {
    let (call, rest) = choice(data, 8);
    let (form, rest) = choice(rest, 2);
    let answer = if form == 0 {
        rest.to_vec()
    } else {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length:";
        let mut answer = format!("{head} {}\r\n\r\n", rest.len()).into_bytes();
        answer.extend_from_slice(rest);
        answer
    };
    in_virtual_time(async {
        let endpoint = Endpoint::Tcp("peer:1".to_owned());
        let client = Client::over(endpoint, Timeouts::default(), Arc::new(Liar(answer)));
        let called = tokio::time::timeout(CLIENT_HANG, ask(&client, call)).await;
        if let Err(fault) = must(called, "the client waits for ever") {
            assert!(!fault.to_string().is_empty());
        }
    });
}

async fn ask(client: &Client, call: u8) -> Result<()> {
    let name = "peer".into();
    match call {
        0 => drop(client.hello().await?),
        1 => drop(client.api().await?),
        2 => drop(client.functions().await?),
        3 => drop(client.options().await?),
        4 => drop(client.call_raw("Instance.Validate", &Any::default()).await?),
        5 => {
            let instance = client.instance(&name).await?;
            for one in instance.describe_instances(&Tags::new(), true).await? {
                assert!(one.matches(&one.tags));
            }
            instance.provision(&InstanceSpec::default()).await?;
        }
        6 => {
            let metadata = client.metadata(&name).await?;
            metadata.keys("a").await?;
            metadata.get("a").await?;
        }
        _ => {
            let events = client.subscribe("instances/").await?.take(MAX_EVENTS);
            let events: Vec<_> = events.collect().await;
            assert!(events.iter().all(|event| event.topic.len() <= 1 << 20));
        }
    }
    Ok(())
}

//! Small plugins, and raw HTTP without a client library.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use regrow_codec::Any;
use regrow_ids::{InstanceId, PluginName};
use regrow_plugin::spi::{
    Description, DestroyReason, EventStream, Events, Instance, InstanceSpec, Result, Tags, tags,
};
use regrow_plugin::{Client, FixedObjects, Listen, Plugin, PluginError, Running, Timeouts, serve};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::broadcast;

/// Runs a timed try until it takes less than `most`, at most ten times: a busy machine may hold up
/// any one of them, but hardly all. None may take less than `least`.
pub async fn in_time<F: Future<Output = Duration>>(
    least: Duration,
    most: Duration,
    attempt: impl Fn() -> F,
) {
    let mut tries = Vec::new();
    while tries.len() < 10 {
        let took = attempt().await;
        assert!(took >= least, "{took:?}");
        if took < most {
            return;
        }
        tries.push(took);
    }
    panic!("longer than {most:?} each time: {tries:?}");
}

/// A directory that plugins can be served in under any umask: theirs must be nobody else's.
pub fn directory() -> tempfile::TempDir {
    let mode = std::fs::Permissions::from_mode(0o700);
    tempfile::Builder::new().permissions(mode).tempdir().expect("directory")
}

/// Serves a plugin in a directory.
pub async fn start(plugin: Plugin, directory: &Path) -> Running {
    serve(plugin, Listen::unix(directory)).await.expect("serve")
}

/// A client with limits that suit a test.
pub fn client(running: &Running) -> Client {
    Client::with(running.endpoint().clone(), timeouts())
}

/// Limits that nothing here meets: they only keep a failed test from hanging.
pub fn timeouts() -> Timeouts {
    let call = Duration::from_secs(30);
    Timeouts { call, slow: call, connect: call }
}

pub fn name(text: &str) -> PluginName {
    PluginName::new(text)
}

pub fn tags<const N: usize>(pairs: [(&str, &str); N]) -> Tags {
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// Instances that live in memory.
pub struct Memory {
    instances: Mutex<BTreeMap<InstanceId, Arc<Description>>>,
    events: broadcast::Sender<Arc<regrow_plugin::spi::Event>>,
    watched: bool,
    made: AtomicUsize,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            instances: Mutex::default(),
            events: broadcast::Sender::new(16),
            watched: false,
            made: AtomicUsize::new(0),
        }
    }
}

impl Memory {
    pub fn watched() -> Self {
        Self { watched: true, ..Self::default() }
    }

    pub fn with(count: usize) -> Self {
        let memory = Self::default();
        for n in 0..count {
            memory.add(&format!("instance-{n:019}"), &tags([("infrakit.group", "workers")]));
        }
        memory
    }

    pub fn add(&self, id: &str, tags: &Tags) {
        let id = InstanceId::from(id);
        let description =
            Description { id: id.clone(), tags: tags.clone(), ..Description::default() };
        self.instances.lock().expect("lock").insert(id, Arc::new(description));
    }

    /// Tells as our providers do.
    pub fn tell(&self, kind: &str, id: &str) {
        let _ = self.events.send(Arc::new(regrow_plugin::spi::Event {
            // A topic of its own: where hints are mounted is the server's business.
            topic: format!("instance/{kind}"),
            kind: kind.into(),
            id: id.into(),
            ..Default::default()
        }));
    }

    /// Waits until more listen than did. A watch subscribes when it is first read.
    pub async fn until_more_listen_than(&self, before: usize) {
        let wait = async {
            while self.listeners() <= before {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), wait).await.expect("somebody listens");
    }

    pub fn listeners(&self) -> usize {
        self.events.receiver_count()
    }

    pub fn lose(&self, id: &str) {
        self.instances.lock().expect("lock").remove(&InstanceId::from(id));
        self.tell(regrow_plugin::topics::LOST, id);
    }
}

impl Memory {
    fn told(&self) -> EventStream {
        let events = tokio_stream::wrappers::BroadcastStream::new(self.events.subscribe());
        Box::pin(events.filter_map(|event| async { event.ok() }))
    }
}

/// The same events under their own topics.
#[async_trait]
impl Events for Memory {
    async fn list(&self, _topic: &str) -> Result<Vec<String>> {
        Ok(vec!["instance".into()])
    }

    async fn subscribe(&self, topic: &str) -> Result<EventStream> {
        let topic = topic.to_owned();
        Ok(Box::pin(self.told().filter(move |event| {
            let wanted = regrow_plugin::topics::matches(&topic, &event.topic);
            async move { wanted }
        })))
    }
}

#[async_trait]
impl Instance for Memory {
    async fn validate(&self, properties: &Any) -> Result<()> {
        match properties.to_value() {
            serde_json::Value::String(text) if !text.is_empty() => Err(PluginError::refused(text)),
            _ => Ok(()),
        }
    }

    async fn provision(&self, spec: &InstanceSpec) -> Result<InstanceId> {
        let mut instances = self.instances.lock().expect("lock");
        if let Some(key) = spec.tags.get(tags::STEP_KEY)
            && let Some(same) =
                instances.values().find(|one| one.tags.get(tags::STEP_KEY) == Some(key))
        {
            return Ok(same.id.clone());
        }
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let id = InstanceId::from(format!("made-{number}"));
        let description = Description {
            id: id.clone(),
            logical_id: spec.logical_id.clone(),
            tags: spec.tags.clone(),
            properties: Any::from_serialize(spec),
        };
        instances.insert(id.clone(), Arc::new(description));
        Ok(id)
    }

    async fn label(&self, instance: &InstanceId, labels: &Tags) -> Result<()> {
        let mut instances = self.instances.lock().expect("lock");
        let found = instances
            .get_mut(instance)
            .ok_or_else(|| PluginError::refused(format!("no instance {instance}")))?;
        Arc::make_mut(found).tags.extend(labels.clone());
        Ok(())
    }

    async fn destroy(&self, instance: &InstanceId, _reason: DestroyReason) -> Result<()> {
        let removed = self.instances.lock().expect("lock").remove(instance);
        removed.map(drop).ok_or_else(|| PluginError::refused(format!("no instance {instance}")))
    }

    async fn describe_instances(
        &self,
        tags: &Tags,
        properties: bool,
    ) -> Result<Vec<Arc<Description>>> {
        let instances = self.instances.lock().expect("lock");
        let matching = instances.values().filter(|one| one.matches(tags));
        if properties {
            return Ok(matching.cloned().collect());
        }
        let bare = |one: &Arc<Description>| {
            if one.properties.is_null() {
                return Arc::clone(one);
            }
            Arc::new(Description { properties: Any::default(), ..Description::clone(one) })
        };
        Ok(matching.map(bare).collect())
    }

    fn watch(&self) -> Option<EventStream> {
        self.watched.then(|| self.told())
    }

    fn example_properties(&self) -> Any {
        Any::from(serde_json::json!({"Note": "example"}))
    }
}

/// A plugin with one object of memory.
pub fn memory_plugin(name: &str) -> Plugin {
    Plugin::instance(name, Memory::default())
}

/// A plugin with named objects of memory.
pub fn typed_plugin(name: &str, objects: &[&str]) -> Plugin {
    let empty = FixedObjects::default();
    let set = objects.iter().fold(empty, |set, object| {
        set.with(*object, Arc::new(Memory::default()) as Arc<dyn Instance>)
    });
    Plugin::new(name).with_instances(set)
}

/// An HTTP answer.
#[derive(Debug)]
pub struct Raw {
    pub status: u16,
    pub head: String,
    pub body: String,
}

/// Sends bytes on a new connection and reads one answer.
pub async fn raw(path: &Path, request: &[u8]) -> Raw {
    let mut stream = UnixStream::connect(path).await.expect("connect");
    stream.write_all(request).await.expect("write");
    read_answer(&mut stream).await
}

/// Reads one answer with a `Content-Length`.
pub async fn read_answer<S: AsyncRead + Unpin>(stream: &mut S) -> Raw {
    let mut bytes = Vec::with_capacity(16 << 10);
    let end = loop {
        match find(&bytes, b"\r\n\r\n") {
            Some(end) => break end,
            None => more(stream, &mut bytes).await,
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let length = head
        .to_ascii_lowercase()
        .lines()
        .find_map(|line| line.strip_prefix("content-length: ").map(str::to_owned))
        .map_or(0, |length| length.trim().parse::<usize>().expect("a length"));
    let whole = end + 4 + length;
    bytes.reserve(whole.saturating_sub(bytes.len()));
    while bytes.len() < whole {
        more(stream, &mut bytes).await;
    }
    let status = head[9..12].parse().expect("a status");
    bytes.truncate(whole);
    let body = String::from_utf8(bytes.split_off(end + 4)).expect("text");
    Raw { status, head, body }
}

async fn more<S: AsyncRead + Unpin>(stream: &mut S, bytes: &mut Vec<u8>) {
    let read = stream.read_buf(bytes).await.expect("read");
    assert!(read > 0, "closed after {:?}", String::from_utf8_lossy(bytes));
}

fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}

/// A POST with a JSON body.
pub fn post(body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\
         Content-Type: application/json\r\n\r\n{body}"
    )
    .into_bytes()
}

/// Posts a JSON body and returns the body of the answer.
pub async fn rpc(path: &Path, body: &str) -> String {
    let answer = raw(path, &post(body)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body
}

//! Events: the stream on the wire, and hints about instances.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use regrow_plugin::spi::{EventStream, Events, Instance};
use regrow_plugin::{Directory, FixedObjects, Lookup, Plugin, SocketPlugins};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::support::{Memory, client, directory, name, rpc, start, timeouts, typed_plugin};
use crate::told::Told;

const PATIENCE: Duration = Duration::from_secs(30);

async fn next(events: &mut EventStream) -> Arc<regrow_plugin::spi::Event> {
    timeout(PATIENCE, events.next()).await.expect("in time").expect("an event")
}

fn watched(name: &str, object: &str) -> (Arc<Memory>, Plugin) {
    let memory = Arc::new(Memory::watched());
    let objects = FixedObjects::default().with(object, Arc::clone(&memory) as Arc<dyn Instance>);
    (memory, Plugin::new(name).with_instances(objects))
}

#[tokio::test]
async fn the_stream_reads_as_captured() {
    let dir = directory();
    let told = Arc::new(Told) as Arc<dyn Events>;
    let plugin = Plugin::new("time").with_events(FixedObjects::single(told));
    let _running = start(plugin, dir.path()).await;
    for (topic, expected) in
        [("streams/msec/500", true), ("/streams/", true), ("", true), ("streams", false)]
    {
        let answer = read_all(&dir.path().join("time"), topic).await;
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        let head = head.to_ascii_lowercase();
        for line in [
            "http/1.1 200 ok",
            "content-type: text/event-stream",
            "cache-control: no-cache",
            "connection: keep-alive",
            "access-control-allow-origin: *",
            "transfer-encoding: chunked",
        ] {
            assert!(head.contains(line), "{head}");
        }
        let event = "data: {\"Topic\":\"streams/msec/500\",\"Type\":\"time\",\"ID\":\"500ms\",\
                     \"Message\":\"\",\"Timestamp\":\"2026-11-21T19:38:54.813078004Z\",\
                     \"Received\":\"0001-01-01T00:00:00Z\",\"Data\":500000000}\n\n";
        assert_eq!(body.contains(event), expected, "{topic}: {body}");
    }
}

/// Reads a stream that ends.
async fn read_all(path: &Path, topic: &str) -> String {
    let mut stream = UnixStream::connect(path).await.expect("connect");
    let request = format!("GET /events?topic={topic} HTTP/1.1\r\nHost: h\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("write");
    let mut text = String::new();
    let mut piece = [0; 4096];
    while !text.ends_with("0\r\n\r\n") {
        let read = timeout(PATIENCE, stream.read(&mut piece)).await.expect("in time");
        let read = read.expect("read");
        assert!(read > 0, "{text}");
        text.push_str(std::str::from_utf8(&piece[..read]).expect("text"));
    }
    text
}

#[tokio::test]
async fn a_watched_instance_object_tells_over_the_wire() {
    let dir = directory();
    for object in [".", "compute"] {
        let (memory, plugin) = watched("simulator", object);
        let running = start(plugin, dir.path()).await;
        let path = dir.path().join("simulator");
        let hello = r#"{"jsonrpc":"2.0","method":"Handshake.Hello","id":1}"#;
        assert!(rpc(&path, hello).await.contains(r#""Event/0.1.1":[{"Name":".","ProxyFor":""}]"#));
        let list =
            r#"{"jsonrpc":"2.0","method":"Event.List","params":{"Topic":"instances"},"id":1}"#;
        let nodes = format!(r#"{{"Nodes":["{object}"]}}"#);
        assert!(rpc(&path, list).await.contains(&nodes));

        let plugins = SocketPlugins::with(Directory::new(dir.path()), timeouts());
        let instances = plugins.instance(&name("simulator")).await.expect("instance");
        let mut events = instances.watch().expect("it can tell");
        let before = memory.listeners();
        let lose = async {
            memory.until_more_listen_than(before).await;
            memory.lose("i-7");
        };
        let (event, ()) = tokio::join!(next(&mut events), lose);
        assert_eq!((event.kind.as_str(), event.id.as_str()), ("lost", "i-7"));
        assert_eq!(event.topic, format!("instances/{object}"));
        assert!(!event.received.is_empty());

        // The end of the stream wakes the reader, and it finds the next process by itself.
        running.stop(Duration::from_secs(1)).await;
        let woken = next(&mut events).await;
        assert_eq!((woken.kind.as_str(), woken.id.as_str()), ("changed", ""));
        let (memory, plugin) = watched("simulator", object);
        let running = start(plugin, dir.path()).await;
        assert_eq!(next(&mut events).await.kind, "changed");
        memory.until_more_listen_than(0).await;
        memory.lose("i-8");
        assert_eq!(next(&mut events).await.id, "i-8");
        running.stop(Duration::from_secs(1)).await;
    }
}

#[tokio::test]
async fn hints_stand_under_their_object_whatever_topic_they_came_with() {
    let dir = directory();
    // As a provider does: it publishes the same events itself, under topics by what happened.
    let (memory, plugin) = watched("simulator", "compute");
    let own = FixedObjects::single(Arc::clone(&memory) as Arc<dyn Events>);
    let running = start(plugin.with_events(own), dir.path()).await;
    let client = client(&running);
    let instances = client.instance(&name("simulator/compute")).await.expect("instance");
    let mut watch = instances.watch().expect("it can tell");
    let mut raw = client.subscribe("instances/compute").await.expect("subscribe");
    memory.until_more_listen_than(0).await;
    let listening = memory.listeners();
    let mut by_kind = client.subscribe("instance/").await.expect("subscribe");
    memory.until_more_listen_than(listening).await;
    let listening = memory.listeners();
    // Each reader gets each event once, under the topic that it asked for.
    for (number, kind) in ["created", "destroyed", "lost", "changed"].into_iter().enumerate() {
        let id = format!("i-{number}");
        let told = async {
            memory.until_more_listen_than(listening).await;
            memory.tell(kind, &id);
        };
        let (event, ()) = tokio::join!(next(&mut watch), told);
        assert_eq!((event.topic.as_str(), event.kind.as_str()), ("instances/compute", kind));
        assert_eq!(event.id, id);
        assert_eq!(next(&mut raw).await.id, id);
        let event = next(&mut by_kind).await;
        assert_eq!((event.topic.as_str(), event.id.as_str()), (&*format!("instance/{kind}"), &*id));
    }
}

#[tokio::test]
async fn who_cannot_tell_is_not_watched() {
    let dir = directory();
    let running = start(typed_plugin("file", &["a", "b"]), dir.path()).await;
    let instances = client(&running).instance(&name("file/a")).await.expect("instance");
    assert!(instances.watch().is_none());
    let hello = client(&running).hello().await.expect("hello");
    assert_eq!(hello.objects.len(), 1);
}

#[tokio::test]
async fn own_events_and_hints_go_together() {
    let dir = directory();
    let (memory, plugin) = watched("x", ".");
    let told = || Arc::new(Told) as Arc<dyn Events>;
    let objects = FixedObjects::default().with("clock", told());
    let running = start(plugin.with_events(objects), dir.path()).await;
    let client = client(&running);
    let root = client.events(&name("x")).await.expect("events");
    assert_eq!(root.list("").await.expect("list"), ["clock", "instances"]);
    let clock = client.events(&name("x/clock")).await.expect("events");
    assert_eq!(clock.list("streams").await.expect("list"), ["hr", "min", "msec", "sec"]);
    let mut ticks = clock.subscribe("streams/msec/500").await.expect("subscribe");
    assert_eq!(next(&mut ticks).await.topic, "streams/msec/500");
    assert!(timeout(PATIENCE, ticks.next()).await.expect("in time").is_none(), "it ends");
    let mut all = root.subscribe("").await.expect("subscribe");
    assert_eq!(next(&mut all).await.topic, "clock/streams/msec/500");
    memory.until_more_listen_than(0).await;
    memory.lose("i-1");
    assert_eq!(next(&mut all).await.id, "i-1");
}

#[tokio::test]
async fn a_subscriber_that_does_not_read_stalls_nobody() {
    let dir = directory();
    let (memory, plugin) = watched("x", ".");
    let running = start(plugin, dir.path()).await;
    let mut silent = UnixStream::connect(dir.path().join("x")).await.expect("connect");
    silent.write_all(b"GET /events?topic=/ HTTP/1.1\r\nHost: h\r\n\r\n").await.expect("write");
    memory.until_more_listen_than(0).await;
    let listening = memory.listeners();
    let mut reader = client(&running).subscribe("instances/.").await.expect("subscribe");
    memory.until_more_listen_than(listening).await;
    let padding = "x".repeat(1000);
    // Far more than the sockets and queues in between can hold.
    for n in 0..5_000 {
        memory.lose(&format!("{n}-{padding}"));
        let event = next(&mut reader).await;
        assert!(event.id.starts_with(&format!("{n}-")));
    }
    drop(silent);
}

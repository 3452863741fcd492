//! How often a client introduces itself, and what it notices of a plugin's restart.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use regrow_plugin::spi::{Flavor, Instance, Tags};
use regrow_plugin::{
    Client, Directory, Endpoint, FixedObjects, Lookup, Objects, Plugin, PluginError, Running,
    SocketPlugins, Timeouts,
};

use crate::support::{Memory, client, directory, memory_plugin, name, rpc, start, timeouts};
use crate::told::Told;

/// A plugin that counts how often it is asked what it offers.
struct Counted(Arc<AtomicUsize>);

impl Objects<dyn Instance> for Counted {
    fn names(&self) -> Vec<String> {
        self.0.fetch_add(1, Ordering::Relaxed);
        vec![".".to_owned()]
    }

    fn get(&self, name: &str) -> Option<Arc<dyn Instance>> {
        (name == ".").then(|| Arc::new(Memory::default()) as Arc<dyn Instance>)
    }
}

async fn counted(directory: &Path) -> (Running, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let plugin = Plugin::new("file").with_instances(Counted(Arc::clone(&count)));
    let running = start(plugin, directory).await;
    // The server itself has a look when it starts.
    count.store(0, Ordering::Relaxed);
    (running, count)
}

#[tokio::test]
async fn one_handshake_serves_many_lookups() {
    let dir = directory();
    let (running, count) = counted(dir.path()).await;
    let plugins = SocketPlugins::with(Directory::new(dir.path()), timeouts());
    for _ in 0..50 {
        let instances = plugins.instance(&name("file")).await.expect("lookup");
        instances.describe_instances(&Tags::new(), false).await.expect("list");
    }
    assert_eq!(count.load(Ordering::Relaxed), 1);
    // A proxy that is kept outlives a restart; a new lookup meets the new process.
    let kept = plugins.instance(&name("file")).await.expect("lookup");
    running.stop(Duration::from_secs(1)).await;
    let gone = kept.describe_instances(&Tags::new(), false).await.expect_err("stopped");
    assert!(matches!(gone, PluginError::Unreachable { .. }), "{gone:?}");
    let (_running, count) = counted(dir.path()).await;
    kept.describe_instances(&Tags::new(), false).await.expect("list");
    plugins.instance(&name("file")).await.expect("lookup");
    plugins.instance(&name("file")).await.expect("lookup");
    assert_eq!(count.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_restarted_plugin_may_offer_something_else() {
    let dir = directory();
    let plugins = SocketPlugins::with(Directory::new(dir.path()), timeouts());
    let running = start(memory_plugin("x"), dir.path()).await;
    plugins.instance(&name("x")).await.expect("an instance plugin");
    running.stop(Duration::from_secs(1)).await;
    let flavor = FixedObjects::single(Arc::new(Told) as Arc<dyn Flavor>);
    let _running = start(Plugin::new("x").with_flavors(flavor), dir.path()).await;
    plugins.flavor(&name("x")).await.expect("a flavor plugin");
    let error = plugins.instance(&name("x")).await.err().expect("no more");
    assert_eq!(error.to_string(), "Plugin does not support interface Instance");
}

#[tokio::test]
async fn who_waits_for_a_greeting_waits_for_one_time_limit() {
    const LIMIT: Duration = Duration::from_secs(1);
    let dir = directory();
    let path = dir.path().join("file");
    // Connections are made, and nobody ever answers.
    let listener = std::os::unix::net::UnixListener::bind(&path).expect("bind");
    let limits = Timeouts { call: LIMIT, slow: LIMIT, connect: LIMIT };
    let client = Client::with(Endpoint::Unix(path.clone()), limits);
    let start_time = Instant::now();
    let name = name("file");
    let calls = futures::future::join_all((0..20).map(|_| client.instance(&name)));
    for ended in calls.await {
        let error = ended.err().expect("nobody answers");
        assert!(matches!(error, PluginError::TimedOut { .. }), "{error}");
    }
    let took = start_time.elapsed();
    assert!(took < LIMIT * 10, "{took:?}");
    // A failure is no memory: who comes later asks anew.
    drop(listener);
    let _running = start(memory_plugin("file"), dir.path()).await;
    // On a busy machine an answer may take longer than the limit, but not every time.
    while let Err(error) = client.instance(&name).await {
        assert!(matches!(error, PluginError::TimedOut { .. }), "{error}");
    }
}

/// Objects that come and go, as the groups of a manager.
#[derive(Default)]
struct Changing(Mutex<BTreeMap<String, Arc<dyn Instance>>>);

impl Objects<dyn Instance> for Changing {
    fn names(&self) -> Vec<String> {
        self.0.lock().expect("lock").keys().cloned().collect()
    }

    fn get(&self, name: &str) -> Option<Arc<dyn Instance>> {
        self.0.lock().expect("lock").get(name).cloned()
    }
}

#[tokio::test]
async fn objects_come_and_go() {
    let dir = directory();
    let objects = Arc::new(Changing::default());
    let plugin = Plugin::new("x").with_instances(Arc::clone(&objects));
    let running = start(plugin, dir.path()).await;
    let client = client(&running);
    let hello = r#"{"jsonrpc":"2.0","method":"Handshake.Hello","id":1}"#;
    let said = rpc(&dir.path().join("x"), hello).await;
    assert!(said.contains(r#""Instance/0.6.1":[]"#), "{said}");
    let object = client.instance(&name("x/a")).await.expect("the interface is there");
    let error = object.describe_instances(&Tags::new(), false).await;
    assert_eq!(error, Err(PluginError::Refused("no-plugin:a".into())));
    objects.0.lock().expect("lock").insert("a".into(), Arc::new(Memory::with(3)));
    assert_eq!(object.describe_instances(&Tags::new(), false).await.expect("list").len(), 3);
    let names = client.hello().await.expect("hello");
    assert_eq!(names.names(regrow_plugin::spi::Interface::Instance), ["a"]);
}

//! Blocked reads: none misses an update, none goes back, all end.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use regrow_catalog::machine::{Command, KvOp, KvVerb, command};
use regrow_catalog::query::{self, Client, ReadOptions};
use regrow_consensus::{
    Consistency, Leadership, Outcome, ProposeError, ReadError, Replica, Snapshot, Status,
};
use tokio::sync::watch;

use crate::client;
use crate::machine::service;
use crate::world::{World, catalog, replica};

/// Far beyond what anything here takes; a missed wake-up would take the wait of its read, which is
/// longer still.
const PATIENCE: Duration = Duration::from_secs(120);

fn set(key: impl Into<String>, value: impl Into<Vec<u8>>) -> Command {
    Command::Kv(KvOp::new(KvVerb::Set, key).value(value))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn readers_of_a_prefix_miss_nothing_that_writers_write() {
    const WRITERS: usize = 4;
    const WRITES: usize = 150;
    let catalog = catalog().await;
    let mut tasks = tokio::task::JoinSet::new();
    for reader in 0..3 {
        let client = catalog.client().clone();
        tasks.spawn(async move {
            let read = query::kv::under("w/");
            let last = WRITES.to_string().into_bytes();
            let mut how = ReadOptions { index: 1, wait: PATIENCE * 5, ..ReadOptions::default() };
            loop {
                let answer = client.ask(&read, &how).await.expect("an answer");
                assert!(answer.index > how.index, "reader {reader}: woken, or goes back");
                how.index = answer.index;
                let done = answer.value.iter().filter(|entry| entry.value == last).count();
                if done == WRITERS {
                    return;
                }
            }
        });
    }
    for writer in 0..WRITERS {
        let client = catalog.client().clone();
        tasks.spawn(async move {
            for number in 1..=WRITES {
                let command = set(format!("w/{writer}"), number.to_string());
                client.execute(&command).await.expect("written");
                tokio::task::yield_now().await;
            }
        });
    }
    tokio::time::timeout(PATIENCE, async {
        while tasks.join_next().await.transpose().expect("a task").is_some() {}
    })
    .await
    .expect("a wake-up was missed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_blocked_reads_wake_for_their_own_key_only() {
    let catalog = catalog().await;
    catalog.client().execute(&set("mine", "0")).await.expect("written");
    let index = catalog
        .client()
        .ask(&query::kv::entry("mine"), &ReadOptions::default())
        .await
        .expect("an answer")
        .index;
    let before = catalog.client().hub().waiting();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..1000 {
        let client = catalog.client().clone();
        tasks.spawn(async move {
            let how = ReadOptions { index, wait: PATIENCE * 5, ..ReadOptions::default() };
            client.ask(&query::kv::entry("mine"), &how).await.expect("an answer")
        });
    }
    let waiting = || catalog.client().hub().waiting() - before;
    poll("all wait", || waiting() == 1000).await;
    for number in 0..20 {
        catalog.client().execute(&set(format!("other/{number}"), "x")).await.expect("written");
    }
    assert_eq!(waiting(), 1000, "others' keys end no wait");
    catalog.client().execute(&set("mine", "1")).await.expect("written");
    tokio::time::timeout(PATIENCE, async {
        while let Some(answer) = tasks.join_next().await {
            let answer = answer.expect("a reader");
            assert_eq!(answer.value.expect("the key").value, b"1");
            assert!(answer.index > index);
        }
    })
    .await
    .expect("a wake-up was missed");
    assert_eq!(waiting(), 0, "who has its answer waits no more");
}

/// A replica on which something is written while a reader looks: after its snapshot was taken and
/// before it has it.
struct Meddling {
    inner: Arc<dyn Replica>,
    command: Mutex<Option<Vec<u8>>>,
}

#[async_trait::async_trait]
impl Replica for Meddling {
    async fn propose(&self, command: Vec<u8>) -> Result<Outcome, ProposeError> {
        self.inner.propose(command).await
    }

    async fn read(&self, consistency: Consistency) -> Result<Snapshot, ReadError> {
        let snapshot = self.inner.read(consistency).await?;
        let command = self.command.lock().expect("a lock").take();
        if let Some(command) = command {
            self.inner.propose(command).await.expect("written");
        }
        Ok(snapshot)
    }

    fn leadership(&self) -> watch::Receiver<Leadership> {
        self.inner.leadership()
    }

    fn applied(&self) -> watch::Receiver<u64> {
        self.inner.applied()
    }

    fn status(&self) -> Status {
        self.inner.status()
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_written_while_a_reader_looks_wakes_it() {
    for read in [query::kv::entry("k").map(Vec::from_iter), query::kv::under("k")] {
        let (inner, hub) = replica();
        Client::new(inner.clone(), hub.clone()).execute(&set("k", "0")).await.expect("written");
        let command = Mutex::new(Some(command::encode(&set("k", "1"))));
        let client = Client::new(Arc::new(Meddling { inner, command }), hub);
        let how = ReadOptions { index: 1, ..ReadOptions::default() };
        let began = tokio::time::Instant::now();
        let answer = client.ask(&read, &how).await.expect("an answer");
        assert_eq!(answer.value[0].value, b"1");
        assert_eq!(began.elapsed(), Duration::ZERO, "it waited for nothing");
    }
}

async fn poll(what: &str, holds: impl Fn() -> bool) {
    let wait = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect(what);
}

#[tokio::test]
async fn a_client_that_goes_away_waits_no_more() {
    use tokio::io::AsyncWriteExt as _;
    let world = World::start().await;
    let hub = world.catalog.client().hub();
    let before = hub.waiting();
    let mut stream = tokio::net::TcpStream::connect(world.address).await.expect("a connection");
    let request = b"GET /v1/kv/a?index=1000000&wait=10m HTTP/1.1\r\nHost: x\r\n\r\n";
    stream.write_all(request).await.expect("sent");
    poll("it waits", || hub.waiting() == before + 1).await;
    drop(stream);
    poll("it waits no more", || hub.waiting() == before).await;
}

#[tokio::test]
async fn a_blocked_health_query_ends_when_an_instance_comes() {
    let world = World::start().await;
    let target = "/v1/health/service/web?passing";
    let first = client::get(world.address, target).await;
    assert_eq!(first.text(), "[]");
    let index = first.index();
    let agent = world.catalog.agent().clone();
    let before = world.catalog.client().hub().waiting();
    let waiting = tokio::spawn({
        let address = world.address;
        async move { client::get(address, &format!("{target}&index={index}&wait=10m")).await }
    });
    let hub = world.catalog.client().hub();
    poll("it waits", || hub.waiting() > before).await;
    agent.register(service("w", "web"), Vec::new(), false).await.expect("registered");
    let answer = tokio::time::timeout(PATIENCE, waiting).await.expect("woken").expect("an answer");
    assert!(answer.index() > index);
    assert_eq!(answer.json()[0]["Service"]["ID"], "w");
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_after_its_time_with_the_same_index() {
    let catalog = catalog().await;
    catalog.client().execute(&set("k", "v")).await.expect("written");
    let read = query::kv::entry("k");
    let now = catalog.client().ask(&read, &ReadOptions::default()).await.expect("an answer");
    let wait = Duration::from_secs(16);
    for index in [now.index, now.index + 1_000_000] {
        let how = ReadOptions { index, wait, ..ReadOptions::default() };
        let began = tokio::time::Instant::now();
        let answer = catalog.client().ask(&read, &how).await.expect("an answer");
        assert_eq!(answer, now);
        assert!(
            began.elapsed() >= wait && began.elapsed() <= wait * 17 / 16 + Duration::from_millis(5)
        );
    }
}

/// The bound is loose, for any machine may run this; the figure that it prints is for the record.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn how_soon_a_blocked_read_wakes() {
    let catalog = catalog().await;
    let mut laps = Vec::new();
    let read = query::kv::entry("k");
    for number in 0..200u32 {
        catalog.client().execute(&set("k", number.to_string())).await.expect("written");
        let index = catalog.client().ask(&read, &ReadOptions::default()).await.expect("read").index;
        let client = catalog.client().clone();
        let before = client.hub().waiting();
        let waiting = tokio::spawn({
            let client = client.clone();
            async move {
                let how = ReadOptions { index, wait: PATIENCE, ..ReadOptions::default() };
                client.ask(&query::kv::entry("k"), &how).await.expect("an answer");
                std::time::Instant::now()
            }
        });
        poll("it waits", || client.hub().waiting() > before).await;
        let began = std::time::Instant::now();
        client.execute(&set("k", format!("{number}+"))).await.expect("written");
        laps.push(waiting.await.expect("woken").duration_since(began));
    }
    laps.sort();
    println!("wake-up: p50 {:?}, p95 {:?}, max {:?}", laps[100], laps[190], laps[199]);
    assert!(laps[100] < Duration::from_secs(1), "a wake-up is a wait: {:?}", laps[100]);
}

//! What the supervisor says to a catalog and learns from it, with our own catalog, which answers as
//! Consul does, as a process that is killed and comes back without its state.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use regrow_supervise::config::{Consul, Lock, Service, Status, Watch, Watched};
use regrow_supervise::discovery::{Announcer, Client, Locking, Watching};
use regrow_supervise::event::Code;
use regrow_supervise::machine::{Input, JobId};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::WITHIN;
use crate::catalog::Catalog;

const JOB: JobId = JobId(1);
const TTL: Duration = Duration::from_secs(90);
/// Longer than any test: whoever polls at this pace sees nothing.
const NEVER: Duration = Duration::from_secs(3_600);

fn consul(catalog: &Catalog) -> Consul {
    Consul { url: catalog.url().to_owned(), verify: true, ..Consul::default() }
}

fn service(address: &str) -> Result<Arc<Service>> {
    Ok(Arc::new(Service {
        id: "app-host1".into(),
        name: "app".into(),
        port: 8080,
        address: address.parse().context("an address")?,
        tags: vec!["blue".into()],
        meta: vec![("version".into(), "7".into())],
        initial_status: None,
        enable_tag_override: false,
        deregister_critical_after: None,
    }))
}

fn watch(name: &str, what: Watched) -> Watch {
    Watch { name: name.into(), what, interval: NEVER, dc: None }
}

/// A supervisor's part that talks to the catalog.
struct Side {
    announcer: Announcer,
    _watching: Watching,
    events: UnboundedReceiver<Input>,
}

impl Side {
    fn start(consul: &Consul) -> Result<Self> {
        let client = Client::new(consul)?;
        let (sender, events) = unbounded_channel();
        let watches = [
            watch("app", Watched::Service { service: "app".into(), tag: None }),
            watch("key", Watched::Key("app/config".into())),
        ];
        let _watching = Watching::start(&client, &watches, &sender, |_, _| ());
        Ok(Self { announcer: Announcer::start(client, sender), _watching, events })
    }

    async fn input(&mut self) -> Result<Input> {
        let input = tokio::time::timeout(WITHIN, self.events.recv()).await;
        input.context("no input in time")?.context("it ended")
    }

    /// The next two events of a watch.
    async fn events(&mut self, source: &str) -> Result<(Code, Code)> {
        let mut codes = Vec::new();
        while codes.len() < 2 {
            if let Input::Published(event) = self.input().await?
                && &*event.source == source
            {
                codes.push(event.code);
            }
        }
        Ok((codes[0], codes[1]))
    }
}

async fn put(catalog: &Catalog, path: &str, body: &str) -> Result<String> {
    ask(catalog, "PUT", path, body).await
}

async fn ask(catalog: &Catalog, method: &str, path: &str, body: &str) -> Result<String> {
    let address = catalog.url().trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).await?;
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    ensure!(answer.starts_with("HTTP/1.1 200"), "{method} {path}: {answer}");
    Ok(answer)
}

/// Waits until the agent has the service.
async fn listed(catalog: &Catalog) -> Result<()> {
    let end = Instant::now() + WITHIN;
    while Instant::now() < end {
        if ask(catalog, "GET", "/v1/agent/services", "").await?.contains("app-host1") {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    bail!("the agent does not have the service")
}

/// Waits until the first heartbeat has come: one on its way would announce the service again before
/// anybody saw that it was gone.
async fn beaten(catalog: &Catalog) -> Result<()> {
    let end = Instant::now() + WITHIN;
    while Instant::now() < end {
        if ask(catalog, "GET", "/v1/agent/checks", "").await?.contains(r#""Output":"ok""#) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    bail!("no heartbeat came")
}

/// Complaints 8 and 13 and the order of withdrawing, on a catalog.
#[tokio::test]
async fn a_service_comes_back_after_the_agent_forgot_it_or_began_anew() -> Result<()> {
    const CHANGED: (Code, Code) = (Code::Changed, Code::Healthy);
    const GONE: (Code, Code) = (Code::Changed, Code::Unhealthy);
    let mut catalog = Catalog::start().await?;
    let mut side = Side::start(&consul(&catalog))?;
    side.announcer.announce(JOB, service("10.0.0.7")?, TTL, Status::Passing);
    side.announcer.heartbeat(JOB, Status::Passing, "ok".into());
    ensure!(side.events("watch.app").await? == CHANGED);

    beaten(&catalog).await?;
    put(&catalog, "/v1/agent/service/deregister/app-host1", "").await?;
    ensure!(side.events("watch.app").await? == GONE);
    side.announcer.heartbeat(JOB, Status::Passing, "ok".into());
    ensure!(side.events("watch.app").await? == CHANGED);

    side.announcer.heartbeat(JOB, Status::Critical, "no disk".into());
    ensure!(side.events("watch.app").await? == GONE);
    side.announcer.heartbeat(JOB, Status::Passing, "ok".into());
    ensure!(side.events("watch.app").await? == CHANGED);

    // The same one at another address.
    side.announcer.announce(JOB, service("10.0.0.8")?, TTL, Status::Passing);
    ensure!(side.events("watch.app").await? == CHANGED);

    // What the announcer did not hear an answer to it says again, so nobody needs to see the gap.
    catalog.restart().await?;
    side.announcer.heartbeat(JOB, Status::Passing, "ok".into());
    listed(&catalog).await?;

    side.announcer.withdraw(JOB);
    let (mut withdrawn, mut last) = (false, None);
    while !withdrawn || last != Some(Code::Unhealthy) {
        match side.input().await? {
            Input::Withdrawn { job } => withdrawn = job == JOB,
            Input::Published(event) => last = Some(event.code),
            other => bail!("{other:?}"),
        }
    }
    let left = ask(&catalog, "GET", "/v1/agent/services", "").await?;
    ensure!(!left.contains("app-host1"), "{left}");
    Ok(())
}

#[tokio::test]
async fn a_key_is_watched_and_read() -> Result<()> {
    let catalog = Catalog::start().await?;
    let mut side = Side::start(&consul(&catalog))?;
    let client = Client::new(&consul(&catalog))?;
    ensure!(client.value("app/config").await?.is_none());
    for value in ["one", "two"] {
        put(&catalog, "/v1/kv/app/config", value).await?;
        ensure!(side.events("watch.key").await? == (Code::Changed, Code::Healthy));
        ensure!(client.value("app/config").await?.as_deref() == Some(value.as_bytes()));
    }
    Ok(())
}

/// A supervisor that wants the lock.
fn locking(
    consul: &Consul,
    identity: &str,
    held: Option<u64>,
    sender: &UnboundedSender<Input>,
) -> Result<Locking> {
    let ttl = Duration::from_secs(15);
    let locks = [Lock { name: "db/primary".into(), ttl, stop_before: ttl / 3 }];
    let held: BTreeMap<Arc<str>, u64> =
        held.map(|fence| ("db/primary".into(), fence)).into_iter().collect();
    let mut locking = Locking::start(consul, &locks, identity, &held, sender)?;
    locking.want(|_| true);
    Ok(locking)
}

async fn acquired(inputs: &mut UnboundedReceiver<Input>) -> Result<u64> {
    let input = tokio::time::timeout(WITHIN, inputs.recv()).await.context("no lock in time")?;
    match input {
        Some(Input::Acquired { fence, .. }) => Ok(fence),
        other => bail!("{other:?} instead of the lock"),
    }
}

/// Story 2: a lock goes over when it is given back, and a worker that follows one that died keeps it.
#[tokio::test]
async fn a_lock_goes_over_and_survives_a_worker() -> Result<()> {
    let catalog = Catalog::start().await?;
    let consul = consul(&catalog);
    let (sender, mut inputs) = unbounded_channel();
    // A worker that dies: nothing of it runs any more, so nothing is given back.
    let dead =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let entered = dead.enter();
    let first = locking(&consul, "one", None, &sender)?;
    drop(entered);
    let fence = acquired(&mut inputs).await?;
    dead.shutdown_background();
    drop(first);
    let first = locking(&consul, "one", Some(fence), &sender)?;
    ensure!(acquired(&mut inputs).await? == fence, "another fence");

    let (sender, mut others) = unbounded_channel();
    let _second = locking(&consul, "two", None, &sender)?;
    first.release("db/primary", fence);
    let released = Instant::now();
    ensure!(acquired(&mut others).await? > fence, "the fence does not grow");
    println!("another has it {} ms after it was given back", released.elapsed().as_millis());
    Ok(())
}

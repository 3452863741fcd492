//! Measures calls on the loopback device: `cargo run --release -p regrow-wire --example calls`.
//!
//! Two nodes in one process, mutual TLS 1.3, bodies of 1 KiB in both directions, with 1 and with
//! 64 calls in flight on one connection. Prints calls per second and the times of single calls.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use regrow_pki::{
    Authority, Certificates, Clock, ClusterId, Credential, DEFAULT_LIFE, Member, NodeIdentity,
    NodeKey, NodeNumber, Role,
};
use regrow_wire::{Caller, Client, Fault, Keys, Method, Peer, Router, Server};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// How long each measurement takes.
const TIME: Duration = Duration::from_secs(5);
/// Bytes of a body.
const BODY: usize = 1024;

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<(), Failure> {
    let authority = Authority::new(ClusterId::random(), SystemTime::now())?;
    let echo =
        |_: Caller, body: Bytes, _: tokio::time::Instant| async move { Ok::<_, Fault>(body) };
    let server = Server::new(keys(&authority, 1)?, Router::new().on(Method::ControlPropose, echo));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let peer = Peer::server(listener.local_addr()?.to_string(), NodeNumber::new(1));
    let stop = CancellationToken::new();
    let serving = tokio::spawn({
        let stop = stop.clone();
        async move { server.serve(listener, stop).await }
    });
    let client = Client::new(keys(&authority, 2)?);
    for in_flight in [1, 8, 64] {
        measure(&client, &peer, in_flight).await?;
    }
    stop.cancel();
    Ok(serving.await?)
}

fn keys(authority: &Authority, node: u64) -> Result<Keys, Failure> {
    let key = NodeKey::generate()?;
    let identity = NodeIdentity {
        cluster: authority.cluster(),
        role: Role::Server,
        node: NodeNumber::new(node),
    };
    let leaf = authority.issue(&key.request()?, &identity, SystemTime::now(), DEFAULT_LIFE)?;
    Ok(Keys::new(Member {
        credential: Credential::new(key, Certificates::new([leaf]))?,
        roots: Certificates::new([authority.certificate().to_vec()]),
        refused: Arc::new(|_| false),
        clock: Clock::new(SystemTime::now),
    })?)
}

/// Calls from so many tasks at once, and prints what came of it.
async fn measure(client: &Client, peer: &Peer, in_flight: usize) -> Result<(), Failure> {
    let start = Instant::now();
    let tasks: Vec<_> = (0..in_flight)
        .map(|_| tokio::spawn(call_until(client.clone(), peer.clone(), start + TIME)))
        .collect();
    let mut times = Vec::new();
    for task in tasks {
        times.extend(task.await??);
    }
    let elapsed = start.elapsed();
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    let rate = times.len() as f64 / elapsed.as_secs_f64();
    println!(
        "{in_flight:>3} in flight: {rate:>8.0} calls/s, p50 {:?}, p99 {:?}, p99.9 {:?}",
        at(0.5),
        at(0.99),
        at(0.999)
    );
    Ok(())
}

async fn call_until(client: Client, peer: Peer, end: Instant) -> Result<Vec<Duration>, Failure> {
    let body = Bytes::from(vec![7; BODY]);
    let mut times = Vec::new();
    while Instant::now() < end {
        let start = Instant::now();
        let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
        client.call(&peer, Method::ControlPropose, body.clone(), deadline).await?;
        times.push(start.elapsed());
    }
    Ok(times)
}

//! How fast a list of 1,000 members goes over the socket. Prints a figure; the bound is loose, for
//! a build without optimization on a busy machine.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use regrow_plugin::Plugin;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;

use crate::support::{Memory, directory, post, read_answer, start};

const CONNECTIONS: usize = 8;
const MEMBERS: usize = 1_000;
const TIME: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_members_on_eight_connections() {
    let dir = directory();
    let _running = start(Plugin::instance("many", Memory::with(MEMBERS)), dir.path()).await;
    let calls = Arc::new(AtomicUsize::new(0));
    let begin = Instant::now();
    let clients = (0..CONNECTIONS).map(|_| {
        let (path, calls) = (dir.path().join("many"), Arc::clone(&calls));
        tokio::spawn(async move {
            let list = r#"{"jsonrpc":"2.0","method":"Instance.DescribeInstances","params":{"Tags":{"infrakit.group":"workers"}},"id":7}"#;
            let mut stream = UnixStream::connect(&path).await.expect("connect");
            while begin.elapsed() < TIME {
                stream.write_all(&post(list)).await.expect("write");
                let answer = read_answer(&mut stream).await;
                assert!(answer.body.len() > MEMBERS * 80, "{}", answer.body.len());
                calls.fetch_add(1, Ordering::Relaxed);
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.expect("no panic");
    }
    let rate = calls.load(Ordering::Relaxed) as f64 / begin.elapsed().as_secs_f64();
    println!("DescribeInstances of {MEMBERS} members: {rate:.0}/s on {CONNECTIONS} connections");
    assert!(rate > 20.0, "{rate}");
}

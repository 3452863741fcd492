//! The backend on Consul against a server that is written by hand: how long calls take, and what they
//! ask for. What the answers mean is checked by the kit on a catalog (`tools/e2e`).

use std::sync::{Arc, Mutex};
use std::time::Duration;

use regrow_coord::{Consul, ConsulSettings, CoordError, Coordinator, Key, Prefix, Txn};
use regrow_ids::Revision;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

/// Answers reads with "there is no such key" after a while, and transactions or not.
struct Server {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn start(read_after: Duration, transacts: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let url = format!("http://{}", listener.local_addr().expect("address"));
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let log = asked.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, log.clone(), read_after, transacts));
            }
        });
        Self { url, asked }
    }

    fn client(&self, deadline: Duration) -> Consul {
        let settings = ConsulSettings {
            endpoints: vec![self.url.clone()],
            prefix: Prefix::new("regrow/").expect("prefix"),
            token: None,
            login: None,
            deadline,
            tls: None,
        };
        Consul::new(settings).expect("settings")
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("lock").clone()
    }
}

async fn serve(
    stream: TcpStream,
    log: Arc<Mutex<Vec<String>>>,
    read_after: Duration,
    transacts: bool,
) -> Option<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let (mut line, mut length) = (String::new(), 0);
        stream.read_line(&mut line).await.ok().filter(|read| *read > 0)?;
        log.lock().expect("lock").push(line.trim_end().to_owned());
        loop {
            let mut header = String::new();
            stream.read_line(&mut header).await.ok()?;
            let header = header.trim_end().to_ascii_lowercase();
            if header.is_empty() {
                break;
            }
            if let Some(value) = header.strip_prefix("content-length:") {
                length = value.trim().parse().ok()?;
            }
        }
        stream.read_exact(&mut vec![0; length]).await.ok()?;
        let reads = line.starts_with("GET");
        let (status, body) = if reads { ("404 Not Found", "") } else { ("200 OK", "{}") };
        if reads {
            tokio::time::sleep(read_after).await;
        } else if !transacts {
            std::future::pending::<()>().await;
        }
        let head = format!("HTTP/1.1 {status}\r\nX-Consul-Index: 7\r\nContent-Length: ");
        let answer = format!("{head}{}\r\n\r\n{body}", body.len());
        stream.write_all(answer.as_bytes()).await.ok()?;
    }
}

fn key(text: &str) -> Key {
    Key::new(text).expect("key")
}

#[tokio::test]
async fn all_steps_of_a_transaction_share_one_deadline() {
    let (read_after, deadline) = (Duration::from_secs(5), Duration::from_secs(10));
    let server = Server::start(read_after, false).await;
    let began = Instant::now();
    let done = server.client(deadline).transact(&Txn::new().put(key("a"), "1")).await;
    assert!(matches!(done, Err(CoordError::Unknown { .. })), "{done:?}");
    // Each step with a deadline of its own would take the time of both.
    assert!(began.elapsed() < read_after + deadline, "{:?}", began.elapsed());
}

#[tokio::test]
async fn the_revision_of_a_deletion_costs_no_list_of_all_keys() {
    let server = Server::start(Duration::ZERO, true).await;
    let txn = Txn::new().delete(key("a")).delete(key("b"));
    let reply = server.client(Duration::from_secs(60)).transact(&txn).await.expect("done");
    assert_eq!(reply.revision, Revision::new(7));
    let asked = server.asked();
    let reads: Vec<_> = asked.iter().filter(|line| line.starts_with("GET")).collect();
    assert_eq!(reads.len(), 1, "{asked:?}");
    assert!(reads.iter().all(|line| !line.contains("recurse")), "{asked:?}");
}

//! The catalog's HTTP interface, and the file of what a node registered.

use std::sync::Arc;
use std::time::Duration;

use regrow_catalog::Catalog;
use regrow_catalog::agent::AgentOptions;
use regrow_catalog::http::HttpOptions;
use regrow_catalog::machine::CatalogMachine;
use regrow_consensus::{LocalReplica, Machines, Scope, Scoped};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use super::codec::sealed;
use crate::scratch::{choice, folder, in_virtual_time, must, runtime, text, write};

/// Far above what an answer takes on a busy machine.
const HANG: Duration = Duration::from_secs(60);
/// Stands before the query of each request: nobody is to wait for what never comes. The first of
/// two values counts.
const SHORT_WAIT: &str = "wait=1ms";
/// Most requests of one input.
const MAX_REQUESTS: usize = 4;
/// Kind and version of the file of registrations.
const REGISTRATIONS: (u16, u16) = (16, 2);

fn options() -> AgentOptions {
    AgentOptions::new("n1")
}

/// A catalog alone in memory.
async fn catalog(options: AgentOptions) -> Result<Catalog, regrow_catalog::StartError> {
    let machine = Arc::new(CatalogMachine::new());
    let (hub, scope) = (machine.hub(), Scope::new(7));
    let Some(scope) = scope else { panic!("a scope is not zero") };
    let machines = must(Machines::new().with(scope, machine), "one machine");
    let replica = must(LocalReplica::start(machines), "start a replica");
    Catalog::start(Arc::new(Scoped::new(replica, scope)), hub, options).await
}

thread_local! {
    static RUNTIME: Runtime = runtime();
}

/// Requests over a socket, each on a connection of its own: a line with method, path and query, then
/// the body; a line with a dot parts them. Each is answered, in the form that its head promises, and
/// the catalog serves the next.
pub fn catalog_requests(data: &[u8]) {
    let text = text(data);
    RUNTIME.with(|runtime| {
        runtime.block_on(async {
            let catalog = must(catalog(options()).await, "start a catalog");
            let listener = must(TcpListener::bind("127.0.0.1:0").await, "listen");
            let address = must(listener.local_addr(), "know the port");
            let stop = CancellationToken::new();
            let serving = (catalog.clone(), stop.clone());
            let served = tokio::spawn(async move {
                serving.0.serve_http(listener, HttpOptions::default(), serving.1).await;
            });
            let plain = ["GET /v1/status/leader", "GET /v1/kv/?recurse"];
            let asked = text.split("\n.\n").take(MAX_REQUESTS).chain(plain);
            for request in asked {
                let stream = must(TcpStream::connect(address).await, "connect");
                let answer = tokio::time::timeout(HANG, ask(stream, request)).await;
                is_an_answer(request, &must(answer, "no answer"));
            }
            stop.cancel();
            must(served.await, "serve HTTP");
        });
    });
}

async fn ask(mut stream: TcpStream, request: &str) -> Vec<u8> {
    let (line, body) = request.split_once('\n').unwrap_or((request, ""));
    let (method, target) = line.split_once(' ').unwrap_or(("GET", line));
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let head = format!(
        "{method} {path}?{SHORT_WAIT}&{query} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    // The server may have answered and gone before it was told everything.
    let _ = stream.write_all(&[head.as_bytes(), body.as_bytes()].concat()).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    answer
}

fn is_an_answer(request: &str, answer: &[u8]) {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let (head, body) = answer.split_at(end.map_or(answer.len(), |end| end + 4));
    let head = text(head).to_ascii_lowercase();
    assert!(head.starts_with("http/1.") && end.is_some(), "{request:?} is answered by {head:?}");
    let status = head.get(9..12).unwrap_or_default();
    let failed = matches!(status, "400" | "500" | "501");
    // What is no HTTP is refused by the server below without a word.
    assert!(!failed || !body.is_empty() || !head.contains("content-type"), "{request:?}: {head}");
    assert!(!text(body).contains("panicked"), "{request:?}: {}", text(body));
    let json = head.contains("content-type: application/json");
    if json && !body.is_empty() && !head.contains("transfer-encoding") {
        must(serde_json::from_slice::<Value>(body), "read the JSON of an answer");
    }
}

/// What a node registered is taken up again, or refused by the file's name and left as it was.
pub fn registrations(data: &[u8]) {
    const NAME: &str = "registrations.rec";
    let (how, rest) = choice(data, 2);
    let (kind, version) = REGISTRATIONS;
    let bytes = if how == 0 { rest.to_vec() } else { sealed(kind, version, rest) };
    let dir = folder();
    write(dir.path(), NAME, &bytes);
    let options = AgentOptions { state: Some(dir.path().to_owned()), ..options() };
    in_virtual_time(async {
        match catalog(options.clone()).await {
            Ok(first) => {
                let local = first.agent().local();
                drop(first);
                let again = must(catalog(options).await, "start again");
                assert_eq!(again.agent().local(), local);
            }
            Err(fault) => {
                assert!(fault.to_string().contains(NAME), "{fault}");
                let left = must(std::fs::read(dir.path().join(NAME)), "read the file");
                assert_eq!(left, bytes);
            }
        }
    });
}

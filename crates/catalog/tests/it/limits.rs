//! Limits and bad input over HTTP: a clear answer, and the next request is served.

use regrow_catalog::http::HttpOptions;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::client;
use crate::world::{World, catalog};

/// Sends bytes and reads what comes until the other side ends, or the head and `enough` bytes.
async fn raw(world: &World, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(world.address).await.expect("a connection");
    stream.write_all(request).await.expect("sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("an answer");
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn too_many_connections_of_one_address_are_answered_429() {
    let options = HttpOptions { connections_per_address: 2, ..HttpOptions::default() };
    let world = World::with(catalog().await, options).await;
    let mut kept = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(world.address).await.expect("a connection");
        stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("sent");
        let mut start = [0; 15];
        stream.read_exact(&mut start).await.expect("an answer");
        assert_eq!(&start, b"HTTP/1.1 200 OK");
        kept.push(stream);
    }
    let mut third = TcpStream::connect(world.address).await.expect("a connection");
    let mut answer = String::new();
    third.read_to_string(&mut answer).await.expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 429 Too Many Requests\r\n"), "{answer}");
    kept.clear();
    // The places are free as soon as the server has noticed.
    let served = async {
        loop {
            let mut stream = TcpStream::connect(world.address).await.expect("a connection");
            let request = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
            let _ = stream.write_all(request).await;
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer).await;
            if answer.starts_with(b"HTTP/1.1 200 OK") {
                return;
            }
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), served).await.expect("served again");
}

#[tokio::test]
async fn an_oversize_body_without_a_length_is_refused() {
    let world = World::start().await;
    let mut request =
        b"PUT /v1/kv/a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for _ in 0..9 {
        request.extend_from_slice(b"10000\r\n");
        request.extend_from_slice(&[b'x'; 0x10000]);
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"0\r\n\r\n");
    let answer = raw(&world, &request).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert!(answer.contains("too large, max size: 524288 bytes."), "{answer}");
    assert_eq!(client::get(world.address, "/v1/kv/a").await.status, 404);
}

#[tokio::test]
async fn a_client_that_asks_first_is_told_before_it_sends() {
    let world = World::start().await;
    let head = b"PUT /v1/kv/a HTTP/1.1\r\nHost: x\r\nContent-Length: 600000\r\nExpect: 100-continue\r\n\r\n";
    let answer = raw(&world, head).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

#[tokio::test]
async fn broken_json_and_wrong_types_are_bad_requests() {
    let world = World::start().await;
    let paths = [
        "/v1/agent/service/register",
        "/v1/agent/check/register",
        "/v1/agent/check/update/x",
        "/v1/session/create",
        "/v1/catalog/register",
        "/v1/catalog/deregister",
        "/v1/txn",
    ];
    let bodies = [
        "{",
        "[",
        "nope",
        "7",
        "\"x\"",
        "{\"Name\":7,\"Node\":7,\"Status\":7}",
        "{\"Name\":{}}x",
        "\u{1}",
        "{\"Check\":[1]}{",
    ];
    for path in paths {
        for body in bodies {
            let answer = client::put(world.address, path, body).await;
            assert_eq!(answer.status, 400, "{path} {body:?}: {}", answer.text());
            assert!(
                answer.text().starts_with("Request decode failed: ")
                    || answer.text().starts_with("Failed to parse body: "),
                "{path} {body:?}: {}",
                answer.text()
            );
        }
    }
    let value = r#"[{"KV":{"Verb":"set","Key":"a","Value":"%%"}}]"#;
    let answer = client::put(world.address, "/v1/txn", value).await;
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert!(answer.text().starts_with("Failed to parse body: illegal base64"), "{}", answer.text());
    let deep = "[".repeat(100_000);
    assert_eq!(client::put(world.address, "/v1/txn", deep).await.status, 400);
}

#[tokio::test]
async fn what_is_no_http_ends_the_connection_and_nothing_else() {
    let world = World::start().await;
    let _ = raw(&world, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n").await;
    let long = format!("GET /v1/kv/{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(200_000));
    let mut stream = TcpStream::connect(world.address).await.expect("a connection");
    let _ = stream.write_all(long.as_bytes()).await;
    drop(stream);
    assert_eq!(client::get(world.address, "/v1/status/leader").await.status, 200);
}

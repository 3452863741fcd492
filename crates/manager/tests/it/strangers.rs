//! What the port for remote clients does not do for web pages, greedy peers and false leaders.

use std::time::Duration;

use regrow_manager::MuxOptions;
use regrow_manager::leader::{LeaderSource as _, MemoryLeader, parse_location};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::proxy::{Pem, local, node, request, send};

#[tokio::test]
async fn web_pages_are_kept_out() {
    let options = MuxOptions { advertise: "node1.example.com:24999".into(), ..local() };
    let node = node(MemoryLeader::leading(), options).await;
    for (header, value, code) in [
        ("origin", "https://evil.example.com", 403),
        ("origin", "null", 403),
        ("sec-fetch-site", "cross-site", 403),
        ("sec-fetch-site", "same-site", 403),
        ("sec-fetch-site", "none", 200),
        ("host", "evil.example.com:24864", 403),
        ("host", "node1.example.com:1", 200),
        ("host", "127.0.0.1:24864", 200),
        ("host", "[::1]", 200),
    ] {
        let mut asked = request("POST", "/echo/");
        asked.headers_mut().insert(header, value.parse().expect("value"));
        let (found, text) = send(node.mux.address(), asked).await;
        assert_eq!(found, code, "{header}: {value}: {text}");
    }
    let mut asked = request("OPTIONS", "/");
    asked.headers_mut().insert("origin", "https://evil.example.com".parse().expect("value"));
    assert_eq!(send(node.mux.address(), asked).await.0, 403);
}

#[tokio::test]
async fn answers_let_no_page_read_them() {
    let node = node(MemoryLeader::leading(), local()).await;
    let stream = TcpStream::connect(node.mux.address()).await.expect("connect");
    let answer = crate::proxy::send_over(stream, request("POST", "/echo/")).await.expect("answer");
    assert_eq!(answer.headers().get("x-echo").expect("others pass"), "1");
    assert!(!answer.headers().contains_key("access-control-allow-origin"));
}

#[tokio::test]
async fn a_mark_that_the_client_wants_removed_stays() {
    // Two replicas each of which takes the other for the leader.
    let one = node(MemoryLeader::default(), local()).await;
    let two = node(MemoryLeader::default(), local()).await;
    for (from, to) in [(&one, &two), (&two, &one)] {
        let location = parse_location(&format!("http://{}", to.mux.address()), "test");
        from.leader.set_location(&location.expect("location")).await.expect("set");
    }
    let mut asked = request("POST", "/echo/");
    asked.headers_mut().insert("connection", "x-regrow-forwarded".parse().expect("value"));
    let (code, text) = send(one.mux.address(), asked).await;
    assert!(code == 503 && text.contains("does not lead either"), "{code} {text}");
}

#[tokio::test]
async fn a_replica_with_tls_forwards_nothing_in_plain_text() {
    let pem = Pem::new();
    let leader = node(MemoryLeader::leading(), local()).await;
    let options = MuxOptions { tls: Some(pem.files(false)), ..local() };
    let follower = node(MemoryLeader::default(), options).await;
    let location = parse_location(&format!("http://{}", leader.mux.address()), "test");
    follower.leader.set_location(&location.expect("location")).await.expect("set");
    let (code, text) = pem.send(follower.mux.address(), true).await.expect("answer");
    assert!(code == 502 && text.contains("without TLS"), "{code} {text}");
}

#[tokio::test]
async fn one_peer_gets_so_many_connections_and_no_more() {
    let node = node(MemoryLeader::leading(), local()).await;
    let mut streams = Vec::new();
    for _ in 0..256 {
        streams.push(TcpStream::connect(node.mux.address()).await.expect("connect"));
    }
    let mut further = TcpStream::connect(node.mux.address()).await.expect("connect");
    let closed = tokio::time::timeout(Duration::from_secs(10), further.read(&mut [0; 1])).await;
    assert!(matches!(closed.expect("closed"), Ok(0) | Err(_)));
    drop(streams.split_off(128));
    // The places are free once the ends have been noticed.
    for _ in 0..1000 {
        let mut stream = TcpStream::connect(node.mux.address()).await.expect("connect");
        let head = b"OPTIONS / HTTP/1.1\r\nHost: localhost\r\n\r\n";
        let mut first = [0; 1];
        if stream.write_all(head).await.is_ok() && stream.read_exact(&mut first).await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the places were never free again");
}

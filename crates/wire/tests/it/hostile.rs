//! What somebody may try who does not keep to the protocol, with and without a certificate.

use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use regrow_pki::Role;
use regrow_wire::frame::{Head, Kind, Versions};
use regrow_wire::{FaultCode, Method, Router, ServerLimits, StreamMethod};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::raw::{Outcome, Raw};
use crate::world::{Counter, Running, World, echo, every_method, soon, within};

const PING: u16 = Method::Ping.row().number;
const JOIN: u16 = Method::Join.row().number;

/// Limits under which what is too slow shows soon.
fn impatient() -> ServerLimits {
    let soon = Duration::from_millis(300);
    ServerLimits { frame: soon, idle: soon, stranger_life: soon, ..Default::default() }
}

/// Waits until the server has hung up.
async fn hung_up(tcp: &mut TcpStream) {
    let mut sink = [0; 4096];
    within("the server to hang up", async {
        while tcp.read(&mut sink).await.is_ok_and(|read| read > 0) {}
    })
    .await;
}

/// A node that keeps to the rules is still served.
async fn serves(world: &World, server: &Running) {
    let client = world.client(Role::Worker, 9);
    let reply = client.call(&server.peer(), Method::Ping, Bytes::from("still"), soon()).await;
    assert_eq!(reply.expect("a reply"), "still");
}

#[tokio::test]
async fn what_is_not_tls_is_hung_up_on() {
    let world = World::new();
    let server = world.serve(Router::new().on(Method::Ping, echo)).await;
    for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0; 3000], &[0x16, 3, 1, 0xff, 0xff, 1]] {
        let mut tcp = TcpStream::connect(server.address).await.expect("a connection");
        let _ = tcp.write_all(bytes).await;
        // The last one is the beginning of a record: its end never comes.
        tcp.shutdown().await.ok();
        hung_up(&mut tcp).await;
    }
    serves(&world, &server).await;
    server.stop().await;
}

#[tokio::test]
async fn who_says_nothing_is_hung_up_on() {
    let world = World::new();
    let limits = ServerLimits { handshake: Duration::from_millis(300), ..Default::default() };
    let server = world.serve_with(Router::new(), limits).await;
    let mut silent = TcpStream::connect(server.address).await.expect("a connection");
    hung_up(&mut silent).await;
    // TLS, and then no hello.
    if let Some(mut raw) = Raw::connect(server.address, None).await {
        assert!(raw.read().await.is_none());
    }
    server.stop().await;
}

#[tokio::test]
async fn a_hello_of_something_else_ends_the_connection() {
    let world = World::new();
    let shown = world.credential(Role::Server, 2, world.clock().now());
    let server = world.serve(Router::new().on(Method::Ping, echo)).await;
    let newer = Versions { min: 2, max: 9 }.encode();
    let cases: [(Head, &[u8], Outcome); 4] = [
        (
            Head::new(Kind::Hello, 0, newer.len() as u32),
            &newer,
            Outcome::Fault(FaultCode::Unavailable),
        ),
        (Head::new(Kind::Hello, 0, 10), b"regrew\x01\0\x01\0", Outcome::Closed),
        (
            Head { kind: Kind::Hello, method: 0, request: 0, deadline_ms: 0, size: 65 },
            &[0; 65],
            Outcome::Closed,
        ),
        (
            Head { kind: Kind::Request, method: PING, request: 1, deadline_ms: 1000, size: 0 },
            b"",
            Outcome::Closed,
        ),
    ];
    for (head, body, expected) in cases {
        let mut raw = Raw::connect(server.address, Some(&shown)).await.expect("a handshake");
        raw.frame(head, body).await;
        assert_eq!(raw.outcome().await, expected, "{head:?}");
        assert!(raw.read().await.is_none(), "hung up after {head:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn half_a_frame_is_not_waited_for() {
    let world = World::new();
    let shown = world.credential(Role::Server, 2, world.clock().now());
    let counter = Counter::default();
    let limits = ServerLimits { frame: Duration::from_millis(300), ..Default::default() };
    let server = world.serve_with(every_method(&counter), limits).await;
    let head = Head { kind: Kind::Request, method: PING, request: 1, deadline_ms: 1000, size: 9 };
    let whole = [&head.encode()[..], b"123456789"].concat();
    for cut in [1, 19, 20, 28] {
        let mut raw = Raw::greeted(server.address, Some(&shown)).await.expect("a greeting");
        raw.write(&whole[..cut]).await;
        assert!(raw.read().await.is_none(), "hung up after {cut} bytes");
    }
    assert_eq!(counter.get(), 0);
    server.stop().await;
}

#[tokio::test]
async fn a_byte_now_and_then_does_not_keep_a_frame_alive() {
    let world = World::new();
    let shown = world.credential(Role::Server, 2, world.clock().now());
    let limits = ServerLimits { frame: Duration::from_millis(300), ..Default::default() };
    let server = world.serve_with(Router::new().on(Method::Ping, echo), limits).await;
    let mut raw = Raw::greeted(server.address, Some(&shown)).await.expect("a greeting");
    let head =
        Head { kind: Kind::Request, method: PING, request: 1, deadline_ms: 1000, size: 60_000 };
    raw.write(&head.encode()).await;
    // Each byte comes well within the limit, the whole frame never would.
    let dripping = async {
        loop {
            tokio::select! {
                read = raw.0.read_u8() => break read.is_err(),
                () = tokio::time::sleep(Duration::from_millis(20)) => {}
            }
            if raw.0.write_all(b"x").await.is_err() || raw.0.flush().await.is_err() {
                break true;
            }
        }
    };
    assert!(within("the server to hang up", dripping).await);
    server.stop().await;
}

#[tokio::test]
async fn a_quiet_connection_is_closed() {
    let world = World::new();
    let shown = world.credential(Role::Server, 2, world.clock().now());
    let limits = ServerLimits { idle: Duration::from_millis(300), ..Default::default() };
    let server = world.serve_with(Router::new().on(Method::Ping, echo), limits).await;
    let mut raw = Raw::greeted(server.address, Some(&shown)).await.expect("a greeting");
    assert!(raw.read().await.is_none());
    server.stop().await;
}

#[tokio::test]
async fn a_node_that_sends_too_much_is_told_and_goes_on() {
    let world = World::new();
    let shown = world.credential(Role::Server, 2, world.clock().now());
    let counter = Counter::default();
    let server = world.serve(every_method(&counter)).await;
    let mut raw = Raw::greeted(server.address, Some(&shown)).await.expect("a greeting");
    let limit = Method::Ping.row().request_limit as usize;
    raw.request(PING, 1, &vec![0; limit + 1]).await;
    assert_eq!(raw.outcome().await, Outcome::Fault(FaultCode::TooLarge));
    raw.request(9999, 2, b"a method of a newer version").await;
    assert_eq!(raw.outcome().await, Outcome::Fault(FaultCode::UnknownMethod));
    raw.request(PING, 3, b"").await;
    assert_eq!(raw.outcome().await, Outcome::Reply);
    // Above what is read at all, the connection ends, and the body is not waited for.
    let head =
        Head { kind: Kind::Request, method: PING, request: 4, deadline_ms: 1, size: 17 << 20 };
    raw.frame(head, b"").await;
    assert_eq!(raw.outcome().await, Outcome::Fault(FaultCode::TooLarge));
    assert!(raw.read().await.is_none());
    assert_eq!(counter.get(), 1);
    server.stop().await;
}

#[tokio::test]
async fn a_stranger_gets_tiny_frames_and_one_mistake() {
    let world = World::new();
    let counter = Counter::default();
    let server = world.serve(every_method(&counter)).await;
    let size = Method::Join.row().request_limit + 1;
    let too_large = Head { kind: Kind::Request, method: JOIN, request: 1, deadline_ms: 1000, size };
    let unknown = Head { method: 9999, size: 0, ..too_large };
    let forbidden = Head { method: PING, size: 0, ..too_large };
    let stream = Head { method: StreamMethod::RaftSnapshot.row().number, size: 0, ..too_large };
    for (head, code) in [
        (too_large, FaultCode::TooLarge),
        (unknown, FaultCode::UnknownMethod),
        (forbidden, FaultCode::Forbidden),
        (stream, FaultCode::Forbidden),
    ] {
        let mut raw = Raw::greeted(server.address, None).await.expect("a greeting");
        raw.frame(head, b"").await;
        assert_eq!(raw.outcome().await, Outcome::Fault(code), "{head:?}");
        assert!(raw.read().await.is_none(), "hung up after {head:?}");
    }
    assert_eq!(counter.get(), 0);
    server.stop().await;
}

#[tokio::test]
async fn frames_without_place_end_the_connection() {
    let world = World::new();
    let shown = world.credential(Role::Server, 2, world.clock().now());
    let server = world.serve(Router::new().on(Method::Ping, echo)).await;
    for kind in [Kind::Hello, Kind::Reply, Kind::Error, Kind::Chunk, Kind::End, Kind::Pong] {
        let mut raw = Raw::greeted(server.address, Some(&shown)).await.expect("a greeting");
        raw.frame(Head::new(kind, 1, 0), b"").await;
        assert!(raw.read().await.is_none(), "hung up after {kind:?}");
    }
    // A cancel of nothing is a late one, and a ping is answered.
    let mut raw = Raw::greeted(server.address, Some(&shown)).await.expect("a greeting");
    raw.frame(Head::new(Kind::Cancel, 77, 0), b"").await;
    raw.frame(Head::new(Kind::Ping, 5, 0), b"").await;
    let (head, _) = raw.read().await.expect("a pong");
    assert_eq!((head.kind, head.request), (Kind::Pong, 5));
    // A stream is not opened in the middle.
    raw.request(StreamMethod::RaftSnapshot.row().number, 6, b"").await;
    assert_eq!(raw.outcome().await, Outcome::Fault(FaultCode::BadRequest));
    server.stop().await;
}

#[tokio::test]
async fn a_number_in_use_or_no_deadline_is_refused() {
    let (world, slow) = (World::new(), crate::world::Barrier::new());
    let shown = world.credential(Role::Server, 2, world.clock().now());
    let server = world.serve(Router::new().on(Method::Ping, slow.clone())).await;
    let mut raw = Raw::greeted(server.address, Some(&shown)).await.expect("a greeting");
    raw.frame(Head { kind: Kind::Request, method: PING, request: 1, deadline_ms: 0, size: 0 }, b"")
        .await;
    assert_eq!(raw.outcome().await, Outcome::Fault(FaultCode::Late));
    raw.request(PING, 7, b"").await;
    raw.request(PING, 7, b"").await;
    assert!(raw.read().await.is_none());
    assert!(slow.entered.get() <= 1);
    server.stop().await;
}

#[tokio::test]
async fn a_flood_of_strangers_is_bounded_and_nodes_are_served() {
    let world = World::new();
    let router = Router::new().on(Method::Ping, echo);
    // No time-out frees a place: only leaving does.
    let hour = Duration::from_secs(3600);
    let limits = ServerLimits { strangers_per_address: 8, handshake: hour, ..Default::default() };
    let server = world.serve_with(router, limits).await;
    // A node that is connected before does not notice.
    let client = world.client(Role::Worker, 9);
    assert!(client.call(&server.peer(), Method::Ping, Bytes::new(), soon()).await.is_ok());
    let mut held = Vec::new();
    for _ in 0..8 {
        held.push(TcpStream::connect(server.address).await.expect("a connection"));
    }
    let mut ninth = TcpStream::connect(server.address).await.expect("a connection");
    hung_up(&mut ninth).await;
    assert!(client.call(&server.peer(), Method::Ping, Bytes::new(), soon()).await.is_ok());
    // Their places are free again when they leave.
    drop(held);
    within("a free place", async {
        let fresh = world.client(Role::Worker, 10);
        while fresh.call(&server.peer(), Method::Ping, Bytes::new(), soon()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    server.stop().await;
}

#[test]
fn random_bytes_after_the_handshake_stop_nothing() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let world = World::new();
    let shown = world.credential(Role::Server, 2, world.clock().now());
    let server =
        runtime.block_on(world.serve_with(Router::new().on(Method::Ping, echo), impatient()));
    let strategy = (any::<bool>(), any::<bool>(), prop::collection::vec(any::<u8>(), 1..200));
    let mut runner =
        TestRunner::new(Config { cases: 64, failure_persistence: None, ..Config::default() });
    let result = runner.run(&strategy, |(node, greeted, bytes)| {
        runtime.block_on(async {
            let shown = node.then_some(&shown);
            let raw = if greeted {
                Raw::greeted(server.address, shown).await
            } else {
                Raw::connect(server.address, shown).await
            };
            if let Some(mut raw) = raw {
                raw.write(&bytes).await;
                let _ = raw.0.shutdown().await;
                let mut sink = Vec::new();
                let _ = within("the end", raw.0.read_to_end(&mut sink)).await;
            }
        });
        Ok(())
    });
    result.expect("no panic, no hang");
    runtime.block_on(async {
        within("service", async {
            let client = world.client(Role::Worker, 9);
            while client.call(&server.peer(), Method::Ping, Bytes::new(), soon()).await.is_err() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
        server.stop().await;
    });
}

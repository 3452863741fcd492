//! Calls: order, deadlines, limits, loss of the connection, and what the caller is told.

use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use regrow_pki::{NodeNumber, Role};
use regrow_wire::frame::{Head, Kind, VERSIONS, Versions};
use regrow_wire::{
    CallError, Caller, Client, ClientLimits, Fault, FaultCode, Method, NotSent, Peer, Router,
    Server, ServerLimits, TcpDial, Unknown,
};
use tokio::net::TcpListener;
use tokio::time::Instant;

use crate::world::{Barrier, Counter, Memory, Switch, World, echo, soon, until, within};

fn fault(result: Result<Bytes, CallError>) -> FaultCode {
    match result {
        Err(CallError::Fault { fault, .. }) => fault.code,
        other => panic!("expected a fault, found {other:?}"),
    }
}

#[tokio::test]
async fn replies_overtake_each_other_on_one_connection() {
    let (world, slow, waiting) = (World::new(), Barrier::new(), Counter::default());
    let router = Router::new().on(Method::Ping, slow.clone()).on(Method::Heartbeat, echo);
    let server = world.serve(router).await;
    let (client, peer) = (world.client(Role::Server, 2), server.peer());
    let first = tokio::spawn({
        let (client, peer, waiting) = (client.clone(), peer.clone(), waiting.clone());
        async move {
            let reply = client.call(&peer, Method::Ping, Bytes::from("first"), soon()).await;
            waiting.count();
            reply
        }
    });
    until("the slow handler", || slow.entered.get() == 1).await;
    for number in 0..100_u32 {
        let body = Bytes::copy_from_slice(&number.to_le_bytes());
        let reply = client.call(&peer, Method::Heartbeat, body.clone(), soon()).await;
        assert_eq!(reply.expect("a reply"), body);
    }
    assert_eq!(waiting.get(), 0, "the slow one still waits");
    slow.release(1);
    assert_eq!(first.await.expect("no panic").expect("a reply"), "first");
    server.stop().await;
}

#[tokio::test]
async fn many_calls_get_their_own_replies() {
    let world = World::new();
    let server = world.serve(Router::new().on(Method::ControlPropose, echo)).await;
    let (client, peer) = (world.client(Role::Server, 2), server.peer());
    let calls = (0..500_usize).map(|number| {
        let body = Bytes::from(vec![number as u8; number * 97]);
        let (client, peer) = (&client, &peer);
        async move {
            let reply = client.call(peer, Method::ControlPropose, body.clone(), soon()).await;
            assert!(reply.expect("a reply") == body, "call {number}");
        }
    });
    join_all(calls).await;
    server.stop().await;
}

#[tokio::test]
async fn a_deadline_ends_the_call_on_both_sides() {
    let (world, slow) = (World::new(), Barrier::new());
    let router = Router::new().on(Method::Ping, slow.clone()).on(Method::Heartbeat, echo);
    let server = world.serve(router).await;
    let (client, peer) = (world.client(Role::Server, 2), server.peer());
    // Connected first, so that the deadline passes in the handler and nowhere else.
    assert!(client.call(&peer, Method::Heartbeat, Bytes::new(), soon()).await.is_ok());
    let deadline = Instant::now() + Duration::from_secs(6);
    let error = client.call(&peer, Method::Ping, Bytes::new(), deadline).await;
    let error = error.expect_err("no reply");
    assert!(error.may_have_run(), "{error}");
    let text = error.to_string();
    assert!(text.contains("wire.ping") && text.contains("server 1 ("), "{text}");
    until("the handler's end", || slow.entered.get() == 1 && slow.left.get() == 1).await;
    server.stop().await;
}

#[tokio::test]
async fn dropping_a_call_cancels_its_handler() {
    let (world, slow) = (World::new(), Barrier::new());
    let router = Router::new().on(Method::Ping, slow.clone()).on(Method::Heartbeat, echo);
    let server = world.serve(router).await;
    let (client, peer) = (world.client(Role::Server, 2), server.peer());
    let call = tokio::spawn({
        let (client, peer) = (client.clone(), peer.clone());
        // Far beyond the test's patience: only the cancel ends the handler.
        let far = Instant::now() + Duration::from_secs(600);
        async move { client.call(&peer, Method::Ping, Bytes::new(), far).await }
    });
    until("the handler", || slow.entered.get() == 1).await;
    call.abort();
    until("the handler's end", || slow.left.get() == 1).await;
    let reply = client.call(&peer, Method::Heartbeat, Bytes::from("on"), soon()).await;
    assert_eq!(reply.expect("the connection goes on"), "on");
    server.stop().await;
}

#[tokio::test]
async fn a_lost_connection_tells_what_may_have_run() {
    let (world, slow) = (World::new(), Barrier::new());
    let limits = ServerLimits { grace: Duration::ZERO, ..ServerLimits::default() };
    let server = world.serve_with(Router::new().on(Method::Ping, slow.clone()), limits).await;
    let (switch, limits) = (Switch::default(), ClientLimits::default());
    let client = Client::with(world.keys(Role::Server, 2), limits, switch.clone());
    let peer = server.peer();
    switch.point(Some(server.address));
    let call = tokio::spawn({
        let (client, peer) = (client.clone(), peer.clone());
        async move { client.call(&peer, Method::Ping, Bytes::new(), soon()).await }
    });
    until("the handler", || slow.entered.get() == 1).await;
    switch.point(None);
    server.stop().await;
    let error = call.await.expect("no panic").expect_err("no reply");
    let closed = matches!(&error, CallError::Unknown { why: Unknown::Closed(_), .. });
    assert!(closed && error.may_have_run(), "{error:?}");
    // Nobody listens now: dialling fails, then waits before it is tried again.
    let error = client.call(&peer, Method::Ping, Bytes::new(), soon()).await.expect_err("nobody");
    assert!(!error.may_have_run(), "{error:?}");
    // The peer comes back: the client finds it by itself.
    let again = world.serve(Router::new().on(Method::Ping, echo)).await;
    switch.point(Some(again.address));
    within("the way back", async {
        while client.call(&peer, Method::Ping, Bytes::new(), soon()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    again.stop().await;
}

#[tokio::test]
async fn a_failed_dial_is_not_repeated_at_once() {
    let world = World::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let hour = Duration::from_secs(3600);
    let limits = ClientLimits { back_off: hour, max_back_off: hour, ..ClientLimits::default() };
    let client = Client::with(world.keys(Role::Server, 2), limits, TcpDial);
    let peer = Peer::any_server(address.to_string());
    let call = || client.call(&peer, Method::Ping, Bytes::new(), soon());
    let first = call().await.expect_err("nobody");
    assert!(matches!(first, CallError::NotSent { why: NotSent::Dial(_), .. }), "{first:?}");
    let second = call().await.expect_err("nobody");
    let CallError::NotSent { why: NotSent::BackOff { wait, .. }, .. } = second else {
        panic!("{second:?}");
    };
    assert!(wait > hour / 3 && wait <= hour, "{wait:?}");
    // Another class of the same peer, and another peer, are not held up by it.
    let other = client.call(&peer, Method::RaftVote, Bytes::new(), soon()).await;
    let other = other.expect_err("nobody");
    assert!(matches!(other, CallError::NotSent { why: NotSent::Dial(_), .. }), "{other:?}");
}

#[tokio::test]
async fn a_stop_lets_work_end_within_its_grace() {
    let (world, slow) = (World::new(), Barrier::new());
    let limits = ServerLimits { grace: Duration::from_secs(600), ..ServerLimits::default() };
    let server = world.serve_with(Router::new().on(Method::Ping, slow.clone()), limits).await;
    let (client, peer) = (world.client(Role::Server, 2), server.peer());
    let call =
        tokio::spawn(
            async move { client.call(&peer, Method::Ping, Bytes::from("done"), soon()).await },
        );
    until("the handler", || slow.entered.get() == 1).await;
    let stopping = tokio::spawn(server.stop());
    slow.release(1);
    assert_eq!(call.await.expect("no panic").expect("a reply"), "done");
    stopping.await.expect("no panic");
}

#[tokio::test]
async fn sizes_are_checked_before_and_after() {
    let world = World::new();
    let too_long = Method::Ping.row().reply_limit as usize + 1;
    let router = Router::new()
        .on(Method::Heartbeat, echo)
        .on(Method::Ping, move |_: Caller, _, _| async move {
            Ok::<_, Fault>(Bytes::from(vec![0; too_long]))
        });
    let server = world.serve(router).await;
    let (client, peer) = (world.client(Role::Server, 2), server.peer());
    let limit = Method::Heartbeat.row().request_limit as usize;
    let call = |method, size| {
        let (client, peer) = (client.clone(), peer.clone());
        async move { client.call(&peer, method, Bytes::from(vec![7; size]), soon()).await }
    };
    assert_eq!(call(Method::Heartbeat, limit).await.expect("a reply").len(), limit);
    let error = call(Method::Heartbeat, limit + 1).await.expect_err("too large");
    assert!(matches!(error, CallError::NotSent { why: NotSent::TooLarge { .. }, .. }));
    assert_eq!(fault(call(Method::Ping, 0).await), FaultCode::ReplyTooLarge);
    assert_eq!(call(Method::Heartbeat, 1).await.expect("the connection goes on").len(), 1);
    server.stop().await;
}

#[tokio::test]
async fn a_handler_that_fails_or_panics_answers() {
    let world = World::new();
    let router = Router::new()
        .on(Method::Heartbeat, |_: Caller, _, _| async {
            Err(Fault::new(FaultCode::Unavailable, "the leader is node 3"))
        })
        .on(Method::Ping, |_: Caller, body: Bytes, _| async move {
            assert!(body.is_empty(), "the handler's own trouble");
            Ok(body)
        });
    let server = world.serve(router).await;
    let (client, peer) = (world.client(Role::Server, 2), server.peer());
    let call = |method, body: &'static str| client.call(&peer, method, Bytes::from(body), soon());
    let error = call(Method::Heartbeat, "").await.expect_err("a fault");
    assert!(!error.may_have_run());
    assert_eq!(error.fault().map(|fault| &*fault.text), Some("the leader is node 3"));
    assert_eq!(fault(call(Method::Ping, "panic").await), FaultCode::Failed);
    assert!(call(Method::Ping, "").await.is_ok(), "the connection goes on");
    assert_eq!(fault(call(Method::Renew, "").await), FaultCode::UnknownMethod);
    server.stop().await;
}

#[tokio::test]
async fn more_requests_than_allowed_are_answered_busy() {
    let (world, slow) = (World::new(), Barrier::new());
    let limits = ServerLimits { requests: 2, ..ServerLimits::default() };
    let router = Router::new().on(Method::Ping, slow.clone());
    let server = world.serve_with(router, limits).await;
    let (client, peer) = (world.client(Role::Server, 2), server.peer());
    let calls: Vec<_> = (0..2)
        .map(|_| {
            let (client, peer) = (client.clone(), peer.clone());
            tokio::spawn(
                async move { client.call(&peer, Method::Ping, Bytes::new(), soon()).await },
            )
        })
        .collect();
    until("both handlers", || slow.entered.get() == 2).await;
    let third = client.call(&peer, Method::Ping, Bytes::new(), soon()).await;
    assert_eq!(fault(third), FaultCode::Busy);
    slow.release(2);
    for call in calls {
        assert!(call.await.expect("no panic").is_ok());
    }
    server.stop().await;
}

#[tokio::test]
async fn a_client_waits_for_its_own_limit() {
    let (world, slow) = (World::new(), Barrier::new());
    let server = world.serve(Router::new().on(Method::Ping, slow.clone())).await;
    let limits = ClientLimits { requests: 1, ..ClientLimits::default() };
    let client = Client::with(world.keys(Role::Server, 2), limits, TcpDial);
    let peer = server.peer();
    let first = tokio::spawn({
        let (client, peer) = (client.clone(), peer.clone());
        async move { client.call(&peer, Method::Ping, Bytes::new(), soon()).await }
    });
    until("the handler", || slow.entered.get() == 1).await;
    let deadline = Instant::now() + Duration::from_millis(50);
    let second = client.call(&peer, Method::Ping, Bytes::new(), deadline).await;
    let late = matches!(&second, Err(CallError::NotSent { why: NotSent::Late, .. }));
    assert!(late, "{second:?}");
    slow.release(1);
    assert!(first.await.expect("no panic").is_ok());
    assert_eq!(slow.entered.get(), 1, "the second never left");
    server.stop().await;
}

#[tokio::test]
async fn a_silent_peer_is_noticed_before_the_deadline() {
    // The peer shakes hands, reads everything and never answers: a machine that hangs.
    let world = World::new();
    let (address, hanging) = world.impostor(VERSIONS, Vec::new()).await;
    let limits = ClientLimits {
        quiet: Duration::from_millis(20),
        quiet_times: 3,
        ..ClientLimits::default()
    };
    let client = Client::with(world.keys(Role::Server, 2), limits, TcpDial);
    let peer = Peer::server(address.to_string(), NodeNumber::new(1));
    let far = Instant::now() + Duration::from_secs(3600);
    let call = client.call(&peer, Method::Ping, Bytes::new(), far);
    let error = within("the end of patience", call).await.expect_err("silence");
    let closed = matches!(&error, CallError::Unknown { why: Unknown::Closed(_), .. });
    assert!(closed && error.to_string().contains("nothing came"), "{error}");
    within("the connection's end", hanging).await.expect("no panic");
}

#[tokio::test]
async fn calls_that_ran_late_do_not_hide_a_silent_peer() {
    // Heartbeats to a machine that vanished: each is given up long before the peer counts as silent,
    // and most of the time nobody waits.
    let world = World::new();
    let (address, hanging) = world.impostor(VERSIONS, Vec::new()).await;
    let limits = ClientLimits {
        quiet: Duration::from_millis(100),
        quiet_times: 3,
        ..ClientLimits::default()
    };
    let client = Client::with(world.keys(Role::Server, 2), limits, TcpDial);
    let peer = Peer::server(address.to_string(), NodeNumber::new(1));
    let beats = async {
        loop {
            let deadline = Instant::now() + Duration::from_millis(5);
            let beat = client.call(&peer, Method::Ping, Bytes::new(), deadline).await;
            assert!(beat.is_err(), "nobody answers");
            tokio::time::sleep(Duration::from_millis(40)).await;
        }
    };
    tokio::select! {
        ended = within("the connection's end", hanging) => ended.expect("no panic"),
        () = beats => {}
    }
}

#[tokio::test]
async fn a_server_of_another_version_is_told_apart() {
    let world = World::new();
    let (address, _task) = world.impostor(Versions { min: 2, max: 3 }, Vec::new()).await;
    let peer = Peer::server(address.to_string(), NodeNumber::new(1));
    let client = world.client(Role::Server, 2);
    let error = client.call(&peer, Method::Ping, Bytes::new(), soon()).await.expect_err("newer");
    assert!(!error.may_have_run() && error.to_string().contains("versions 2-3"), "{error}");
}

#[tokio::test]
async fn answers_that_are_none_end_the_connection() {
    let world = World::new();
    let reply = Head::new(Kind::Reply, 1, 0);
    let cases = [
        b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
        Head { kind: Kind::Request, ..reply }.encode().to_vec(),
        Head { kind: Kind::Hello, ..reply }.encode().to_vec(),
        Head { size: 17 << 20, ..reply }.encode().to_vec(),
        // The beginning of a reply, and then the end of the connection.
        Head { size: 9, ..reply }.encode().to_vec(),
    ];
    for (number, bytes) in cases.into_iter().enumerate() {
        let (address, _task) = world.impostor(VERSIONS, bytes).await;
        let peer = Peer::server(address.to_string(), NodeNumber::new(1));
        let client = world.client(Role::Server, 2);
        let call = client.call(&peer, Method::Ping, Bytes::new(), soon());
        let error = within("the end", call).await.expect_err("no reply");
        let closed = matches!(&error, CallError::Unknown { why: Unknown::Closed(_), .. });
        assert!(closed, "case {number}: {error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_handler_is_not_a_silent_peer() {
    let (world, slow) = (World::new(), Barrier::new());
    let router = Router::new().on(Method::Ping, slow.clone());
    let server = Server::new(world.keys(Role::Server, 1), router);
    let limits = ClientLimits::default();
    let client = Client::with(world.keys(Role::Server, 2), limits, Memory(server));
    let far = Instant::now() + Duration::from_secs(3600);
    let call = tokio::spawn(async move {
        let peer = Peer::any_server("nowhere:7400");
        client.call(&peer, Method::Ping, Bytes::from("late"), far).await
    });
    // Longer than the silence that ends a connection; the server answers pings meanwhile.
    tokio::time::sleep(limits.quiet * limits.quiet_times * 10).await;
    assert_eq!(slow.entered.get(), 1);
    slow.release(1);
    assert_eq!(call.await.expect("no panic").expect("a reply"), "late");
}

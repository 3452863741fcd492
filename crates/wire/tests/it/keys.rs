//! Renewal, rotation, removal and expiry under live connections.

use std::time::Duration;

use bytes::Bytes;
use regrow_pki::{Certificates, Credential, DEFAULT_LIFE, NodeKey, Role, Rotation, validity_of};
use regrow_wire::{
    CallError, Caller, Client, Fault, Keys, Method, NotSent, Router, Server, ServerLimits, Stream,
    StreamHandler, StreamMethod,
};

use crate::world::{Barrier, Memory, Running, World, echo, soon, until, within};

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn a_renewal_drops_no_call_and_is_used_at_once() {
    let (world, slow) = (World::new(), Barrier::new());
    let router = Router::new().on(Method::Ping, slow.clone()).on(Method::Heartbeat, echo);
    let server_keys = world.keys(Role::Server, 1);
    let address = ([127, 0, 0, 1], 0).into();
    let server =
        Running::start(server_keys.clone(), router, ServerLimits::default(), address).await;
    let client_keys = world.keys(Role::Server, 2);
    let (client, peer) = (Client::new(client_keys.clone()), server.peer());
    let call = tokio::spawn({
        let (client, peer) = (client.clone(), peer.clone());
        async move { client.call(&peer, Method::Ping, Bytes::from("old"), soon()).await }
    });
    until("the handler", || slow.entered.get() == 1).await;
    world.pass(20 * HOUR);
    let now = world.clock().now();
    for (keys, node) in [(&server_keys, 1), (&client_keys, 2)] {
        let credential = world.credential(Role::Server, node, now);
        keys.replace(world.member(credential, world.roots())).expect("replaced");
    }
    // Past the end of the first certificates: only the new ones get this call through.
    world.pass(10 * HOUR);
    let reply = client.call(&peer, Method::Heartbeat, Bytes::from("new"), soon()).await;
    assert_eq!(reply.expect("a reply"), "new");
    slow.release(1);
    assert_eq!(call.await.expect("no panic").expect("a reply"), "old");
    server.stop().await;
}

#[tokio::test]
async fn a_connection_does_not_outlive_its_certificate() {
    let world = World::new();
    let server = world.serve(Router::new().on(Method::Ping, echo)).await;
    let (client, peer) = (world.client(Role::Server, 2), server.peer());
    let call = || client.call(&peer, Method::Ping, Bytes::new(), soon());
    assert!(call().await.is_ok());
    world.pass(DEFAULT_LIFE - HOUR);
    assert!(call().await.is_ok());
    world.pass(2 * HOUR);
    let error = call().await.expect_err("expired");
    assert!(!error.may_have_run() && error.to_string().contains("expired"), "{error}");
    server.stop().await;
}

#[tokio::test]
async fn a_removed_node_is_refused_on_the_connection_it_has() {
    let world = World::new();
    let server = world.serve(Router::new().on(Method::Ping, echo)).await;
    let (gone, stays, peer) =
        (world.client(Role::Server, 7), world.client(Role::Server, 8), server.peer());
    let call = |client: &Client| {
        let (client, peer) = (client.clone(), peer.clone());
        async move { client.call(&peer, Method::Ping, Bytes::new(), soon()).await }
    };
    assert!(call(&gone).await.is_ok() && call(&stays).await.is_ok());
    world.remove(7);
    let error = call(&gone).await.expect_err("removed");
    assert!(!error.may_have_run() && error.to_string().contains("removed"), "{error}");
    within("the refusal of new connections", async {
        while !matches!(call(&gone).await, Err(CallError::NotSent { .. })) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert!(call(&stays).await.is_ok());
    // A removed node is not called either, on the connection that there is.
    world.remove(1);
    let error = call(&stays).await.expect_err("removed");
    assert!(matches!(&error, CallError::NotSent { why: NotSent::Removed, .. }), "{error}");
    server.stop().await;
}

#[tokio::test]
async fn a_stream_ends_when_its_node_is_removed() {
    /// Waits for what never comes.
    struct Wait;

    #[async_trait::async_trait]
    impl StreamHandler for Wait {
        async fn serve(&self, _: Caller, _: Bytes, stream: &mut Stream) -> Result<(), Fault> {
            let _ = stream.next().await;
            Ok(())
        }
    }

    let world = World::new();
    let server = world.serve(Router::new().on_stream(StreamMethod::ControlWatch, Wait)).await;
    let (client, peer) = (world.client(Role::Worker, 7), server.peer());
    let opened = client.open(&peer, StreamMethod::ControlWatch, Bytes::new(), soon()).await;
    let mut stream = opened.expect("a stream");
    world.remove(7);
    let error = within("the end", stream.next()).await.expect_err("removed");
    assert!(error.to_string().contains("node 7 was removed"), "{error}");
    server.stop().await;
}

#[tokio::test]
async fn bad_keys_leave_the_old_ones_in_use() {
    let world = World::new();
    let keys = world.keys(Role::Server, 1);
    let address = ([127, 0, 0, 1], 0).into();
    let router = Router::new().on(Method::Ping, echo);
    let server = Running::start(keys.clone(), router, ServerLimits::default(), address).await;
    let credential = world.credential(Role::Server, 1, world.clock().now());
    let broken = Certificates::new([b"no certificate".to_vec()]);
    assert!(keys.replace(world.member(credential, broken)).is_err());
    let client = world.client(Role::Server, 2);
    assert!(client.call(&server.peer(), Method::Ping, Bytes::new(), soon()).await.is_ok());
    server.stop().await;
}

/// New keys for a node from where the rotation stands.
fn keyed(world: &World, rotation: &Rotation, node: u64) -> Credential {
    let key = NodeKey::generate().expect("a key");
    let request = key.request().expect("a request");
    let identity = world.identity(Role::Server, node);
    let now = world.clock().now();
    let chain = rotation.issue(&request, &identity, now, DEFAULT_LIFE).expect("issued");
    Credential::new(key, chain).expect("a credential")
}

#[tokio::test]
async fn a_rotation_passes_under_live_connections() {
    let (world, slow) = (World::new(), Barrier::new());
    let now = || world.clock().now();
    let (certificate, key) = (world.authority.certificate_pem(), world.authority.key_pem());
    let authority = regrow_pki::Authority::from_pem(&certificate, &key).expect("opened");
    let mut rotation = Rotation::steady(authority);
    let keys = [1, 2].map(|node| {
        Keys::new(world.member(keyed(&world, &rotation, node), rotation.roots())).expect("keys")
    });
    let router = Router::new().on(Method::Ping, slow.clone()).on(Method::Heartbeat, echo);
    let address = ([127, 0, 0, 1], 0).into();
    let server = Running::start(keys[0].clone(), router, ServerLimits::default(), address).await;
    let (client, peer) = (Client::new(keys[1].clone()), server.peer());
    let long = tokio::spawn({
        let (client, peer) = (client.clone(), peer.clone());
        async move { client.call(&peer, Method::Ping, Bytes::from("long"), soon()).await }
    });
    until("the handler", || slow.entered.get() == 1).await;
    for step in 0..3 {
        rotation = match step {
            0 => rotation.begin(now()).expect("begun"),
            1 => rotation.switch(now(), DEFAULT_LIFE).expect("switched"),
            _ => {
                world.pass(DEFAULT_LIFE);
                rotation.finish(now(), true).expect("finished")
            }
        };
        // One node after the other, with a call between: they are never at the same state.
        for node in [0, 1] {
            let credential = keyed(&world, &rotation, node as u64 + 1);
            let end = credential.chain().iter().next().map(validity_of);
            assert!(end.is_some_and(|end| end.is_ok_and(|end| end.not_after > now())));
            keys[node].replace(world.member(credential, rotation.roots())).expect("replaced");
            let reply = client.call(&peer, Method::Heartbeat, Bytes::new(), soon()).await;
            assert!(reply.is_ok(), "step {step}, node {node}: {reply:?}");
        }
    }
    slow.release(1);
    assert_eq!(long.await.expect("no panic").expect("a reply"), "long");
    server.stop().await;
}

#[tokio::test]
async fn another_network_below_carries_calls_too() {
    let world = World::new();
    let router = Router::new().on(Method::Ping, |caller: Caller, _, _| async move {
        Ok::<_, Fault>(Bytes::from(caller.address.to_string()))
    });
    let server = Server::new(world.keys(Role::Server, 1), router);
    let client = Client::with(world.keys(Role::Worker, 2), Default::default(), Memory(server));
    let peer = regrow_wire::Peer::any_server("nowhere:7400");
    let reply = client.call(&peer, Method::Ping, Bytes::new(), soon()).await;
    assert_eq!(reply.expect("a reply"), "10.0.0.1:1");
}

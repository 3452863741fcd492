//! Joining: the secret goes to a server of the right cluster and to nobody else.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use regrow_pki::{Certificates, JoinToken, Role};
use regrow_wire::{
    CallError, Caller, Client, Fault, FaultCode, Keys, Method, Peer, Router, ServerLimits,
};
use tokio::time::Instant;

use crate::world::{Running, World, echo, soon};

/// Everything that a server was told by newcomers.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<Bytes>>>);

impl Heard {
    fn router(&self) -> Router {
        let heard = self.0.clone();
        let join = move |caller: Caller, body: Bytes, _: Instant| {
            let heard = heard.clone();
            async move {
                assert!(caller.identity.is_none());
                heard.lock().expect("a list").push(body);
                Ok::<_, Fault>(Bytes::from("welcome"))
            }
        };
        Router::new().on(Method::Join, join).on(Method::Ping, echo)
    }

    fn count(&self) -> usize {
        self.0.lock().expect("a list").len()
    }
}

async fn join(world: &World, token: &JoinToken, server: &Running) -> Result<Bytes, CallError> {
    let client = Client::joiner(token.root, &world.clock()).expect("a client");
    let peer = Peer::any_server(server.address.to_string());
    let body = Bytes::copy_from_slice(token.secret.expose());
    client.call(&peer, Method::Join, body, soon()).await
}

#[tokio::test]
async fn a_newcomer_is_heard_by_its_cluster() {
    let (world, heard) = (World::new(), Heard::default());
    let server = world.serve(heard.router()).await;
    let token = JoinToken::new(world.authority.digest(), Role::Worker);
    assert_eq!(join(&world, &token, &server).await.expect("a reply"), "welcome");
    assert_eq!(heard.count(), 1);
    server.stop().await;
}

#[tokio::test]
async fn a_man_in_the_middle_hears_nothing() {
    let (world, other, heard) = (World::new(), World::new(), Heard::default());
    let token = JoinToken::new(world.authority.digest(), Role::Worker);
    let both = Certificates::new([
        other.authority.certificate().to_vec(),
        world.authority.certificate().to_vec(),
    ]);
    let now = world.clock().now();
    let middlemen = [
        other.member(other.credential(Role::Server, 1, now), other.roots()),
        other.member(other.credential(Role::Server, 1, now), both),
        world.member(world.credential(Role::Worker, 1, now), world.roots()),
    ];
    for (number, member) in middlemen.into_iter().enumerate() {
        let keys = Keys::new(member).expect("keys");
        let address = ([127, 0, 0, 1], 0).into();
        let server = Running::start(keys, heard.router(), ServerLimits::default(), address).await;
        let error = join(&world, &token, &server).await.expect_err("refused");
        assert!(matches!(error, CallError::NotSent { .. }), "case {number}: {error:?}");
        server.stop().await;
    }
    assert_eq!(heard.count(), 0);
}

#[tokio::test]
async fn newcomers_join_and_members_do_not() {
    let (world, heard) = (World::new(), Heard::default());
    let server = world.serve(heard.router()).await;
    let peer = server.peer();
    let newcomer = Client::joiner(world.authority.digest(), &world.clock()).expect("a client");
    for (client, method) in
        [(newcomer, Method::Ping), (world.client(Role::Worker, 2), Method::Join)]
    {
        let error = client.call(&peer, method, Bytes::new(), soon()).await.expect_err("refused");
        assert_eq!(error.fault().map(|fault| fault.code), Some(FaultCode::Forbidden), "{error}");
    }
    assert_eq!(heard.count(), 0);
    server.stop().await;
}

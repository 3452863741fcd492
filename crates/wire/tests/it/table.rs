//! Every cell of method × role × state of the certificate, on both sides.

use std::time::Duration;

use bytes::Bytes;
use regrow_pki::{Credential, NodeNumber, Role};
use regrow_wire::{
    CallError, CallerKind, Client, Fault, FaultCode, Method, Peer, Row, StreamMethod,
};

use crate::raw::{Outcome, ask};
use crate::world::{Counter, Running, World, every_method, soon};

const HOUR: Duration = Duration::from_secs(3600);

/// States of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Good,
    OtherAuthority,
    Expired,
    NotYetValid,
    Removed,
}

const STATES: [State; 5] =
    [State::Good, State::OtherAuthority, State::Expired, State::NotYetValid, State::Removed];

/// The number of the node that was removed.
const REMOVED: u64 = 66;

fn credential(world: &World, other: &World, role: Role, state: State) -> Credential {
    let now = world.clock().now();
    match state {
        State::Good => world.credential(role, 1, now),
        State::OtherAuthority => other.credential(role, 1, now),
        State::Expired => world.credential(role, 1, now - 25 * HOUR),
        State::NotYetValid => world.credential(role, 1, now + 2 * HOUR),
        State::Removed => world.credential(role, REMOVED, now),
    }
}

fn rows() -> impl Iterator<Item = &'static Row> {
    let calls = Method::ALL.iter().map(|method| method.row());
    calls.chain(StreamMethod::ALL.iter().map(|method| method.row()))
}

#[tokio::test]
async fn a_server_runs_exactly_what_the_table_allows() {
    let (world, other, counter) = (World::new(), World::new(), Counter::default());
    world.remove(REMOVED);
    let server = world.serve(every_method(&counter)).await;
    let mut allowed = 0;
    for role in Role::ALL {
        for state in STATES {
            let shown = credential(&world, &other, role, state);
            for row in rows() {
                let kind = match state {
                    State::Expired => CallerKind::Lapsed,
                    _ => CallerKind::of(Some(shown.identity())),
                };
                let expected = match (state, row.accepts(kind)) {
                    (State::Good | State::Expired, true) => Outcome::Reply,
                    (State::Good | State::Expired, false) => Outcome::Fault(FaultCode::Forbidden),
                    _ => Outcome::Closed,
                };
                allowed += usize::from(expected == Outcome::Reply);
                let outcome = ask(server.address, Some(&shown), row.number).await;
                assert_eq!(outcome, expected, "{} by a {role} with {state:?}", row.name);
            }
        }
    }
    for row in rows() {
        let accepted = row.accepts(CallerKind::Stranger);
        allowed += usize::from(accepted);
        let expected = if accepted { Outcome::Reply } else { Outcome::Fault(FaultCode::Forbidden) };
        let outcome = ask(server.address, None, row.number).await;
        assert_eq!(outcome, expected, "{} by a stranger", row.name);
    }
    assert_eq!(counter.get(), allowed, "handlers that ran");
    server.stop().await;
}

#[tokio::test]
async fn a_client_calls_nobody_but_whom_it_expects() {
    let (world, other) = (World::new(), World::new());
    world.remove(REMOVED);
    let mut allowed = 0;
    for role in Role::ALL {
        for state in STATES {
            let counter = Counter::default();
            let shown = credential(&world, &other, role, state);
            let node = shown.identity().node;
            let (trust, member) = (world.roots(), &world);
            let keys = regrow_wire::Keys::new(member.member(shown, trust)).expect("keys");
            let limits = regrow_wire::ServerLimits::default();
            let router = every_method(&counter);
            let server = Running::start(keys, router, limits, ([127, 0, 0, 1], 0).into()).await;
            let good = state == State::Good && role == Role::Server;
            for expected in [NodeNumber::new(2), node] {
                let peer = Peer::server(server.address.to_string(), expected);
                let client = world.client(Role::Server, 3);
                let result = client.call(&peer, Method::Ping, Bytes::new(), soon()).await;
                let right = good && expected == node;
                allowed += usize::from(right);
                let what = format!("{role} with {state:?} as node {expected}: {result:?}");
                assert_eq!(result.is_ok(), right, "{what}");
                assert!(right || matches!(result, Err(CallError::NotSent { .. })), "{what}");
            }
            assert_eq!(counter.get(), usize::from(good), "{role} with {state:?}");
            server.stop().await;
        }
    }
    assert_eq!(allowed, 1);
}

#[tokio::test]
async fn a_handler_learns_who_calls() {
    let world = World::new();
    let router = regrow_wire::Router::new().on(
        Method::Ping,
        |caller: regrow_wire::Caller, _, _| async move {
            Ok::<_, Fault>(Bytes::from(
                caller.identity.map(|who| who.to_string()).unwrap_or_default(),
            ))
        },
    );
    let server = world.serve(router).await;
    let client: Client = world.client(Role::Worker, 12);
    let reply = client.call(&server.peer(), Method::Ping, Bytes::new(), soon()).await;
    let expected = world.identity(Role::Worker, 12).to_string();
    assert_eq!(reply.expect("a reply"), expected);
    server.stop().await;
}

//! A replica alone: order, scopes, expiry by its clock.

use std::sync::Arc;
use std::time::Duration;

use regrow_consensus::{
    Consistency, LocalReplica, Machines, MachinesError, Replica, Scope, Scoped, Span,
};

use crate::tally::{Ask, Tally, key, reply};

fn scope(byte: u8) -> Scope {
    Scope::new(byte).expect("not zero")
}

struct World {
    left: Arc<Tally>,
    right: Arc<Tally>,
    replica: Arc<LocalReplica>,
}

fn world() -> World {
    let (left, right) = (Arc::new(Tally::default()), Arc::new(Tally::default()));
    let machines = Machines::new()
        .with(scope(1), left.clone())
        .and_then(|machines| machines.with(scope(2), right.clone()))
        .expect("two scopes");
    let replica = LocalReplica::start(machines).expect("start");
    World { left, right, replica }
}

async fn value(replica: &dyn Replica, name: &str) -> Option<u64> {
    let snapshot = replica.read(Consistency::Linearizable).await.expect("read");
    snapshot.view().get(&key(name)).expect("get").map(|bytes| reply(&bytes))
}

#[tokio::test(start_paused = true)]
async fn machines_share_a_replica_and_not_their_tables() {
    let world = world();
    let left = Scoped::new(world.replica.clone(), scope(1));
    let right = Scoped::new(world.replica.clone(), scope(2));
    let first = left.propose(Ask::Add("a".into(), 2).bytes()).await.expect("propose");
    let second = right.propose(Ask::Add("a".into(), 5).bytes()).await.expect("propose");
    let third = left.propose(Ask::Add("a".into(), 1).bytes()).await.expect("propose");
    assert_eq!((first.index, second.index, third.index), (1, 2, 3));
    assert_eq!((reply(&first.reply), reply(&second.reply), reply(&third.reply)), (2, 5, 3));
    assert_eq!((value(&left, "a").await, value(&right, "a").await), (Some(3), Some(5)));
    let told = world.left.told.lock().expect("lock").clone();
    assert_eq!(told.iter().map(|change| change.index).collect::<Vec<_>>(), [1, 3]);
    assert!(told.iter().all(|change| change.key == key("a")), "{told:?}");
    assert_eq!(world.right.told.lock().expect("lock").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_expires_goes_soon_after_its_time_and_never_before() {
    let world = world();
    let left = Scoped::new(world.replica.clone(), scope(1));
    left.propose(Ask::Keep("x".into(), 1_000).bytes()).await.expect("propose");
    let kept = async || {
        let snapshot = left.read(Consistency::Stale).await.expect("read");
        snapshot.view().list(&Span::prefix(b"d/"), 9).expect("list").len()
    };
    tokio::time::sleep(Duration::from_millis(999)).await;
    assert_eq!(kept().await, 1);
    tokio::time::sleep(Duration::from_millis(201)).await;
    assert_eq!(kept().await, 0);
}

#[tokio::test]
async fn a_command_for_nobody_stops_the_replica() {
    let world = world();
    let error = world.replica.propose(vec![9, 0]).await.expect_err("nobody");
    assert!(error.to_string().contains("no machine Some(9)"), "{error}");
}

#[test]
fn a_scope_is_given_once() {
    let twice = Machines::new()
        .with(scope(1), Arc::new(Tally::default()))
        .and_then(|machines| machines.with(scope(1), Arc::new(Tally::default())));
    assert_eq!(twice.err(), Some(MachinesError::Taken(1)));
    assert_eq!(Scope::new(0), None);
}

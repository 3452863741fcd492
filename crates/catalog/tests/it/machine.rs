//! The machine alone: services, checks, what follows from them, and what it refuses.

use std::time::Duration;

use regrow_catalog::machine::{
    Command, KvOp, KvVerb, NodePart, Refusal, Registration, Removal, Reply, VALUE_BYTES_MAX,
    command,
};
use regrow_catalog::model::{
    Behavior, CheckDefinition, CheckSpec, Event, Node, Service, Session, SessionId, Status,
};
use regrow_catalog::query::{registry, sessions};
use regrow_consensus::TableError;

use crate::lone::Lone;

pub fn node(name: &str) -> Node {
    Node { name: name.to_owned(), address: "10.0.0.1".to_owned(), ..Node::default() }
}

pub fn service(id: &str, name: &str) -> Service {
    Service { id: id.to_owned(), name: name.to_owned(), port: 80, ..Service::default() }
}

pub fn ttl_check(id: &str, service: &str, ttl: u64) -> CheckSpec {
    let ttl = Some(Duration::from_secs(ttl));
    CheckSpec {
        id: id.to_owned(),
        name: id.to_owned(),
        service_id: service.to_owned(),
        status: Some(Status::Passing),
        output: Some(String::new()),
        definition: CheckDefinition { ttl, ..CheckDefinition::default() },
        ..CheckSpec::default()
    }
}

pub fn register(node: Node, service: Option<Service>, checks: Vec<CheckSpec>) -> Command {
    let node = NodePart::Set(node);
    Command::Register(Registration { node, service, checks, replace_checks: false })
}

pub fn session(id: u128, checks: &[&str]) -> Session {
    Session {
        id: SessionId(id),
        name: String::new(),
        node: "n".to_owned(),
        lock_delay: Duration::ZERO,
        behavior: Behavior::Release,
        ttl: None,
        ttl_text: String::new(),
        grace_percent: 10,
        node_checks: checks.iter().map(|check| (*check).to_owned()).collect(),
        service_checks: Vec::new(),
    }
}

fn web() -> Lone {
    let mut lone = Lone::default();
    let checks = vec![ttl_check("c", "w", 10)];
    lone.run(&register(node("n"), Some(service("w", "web")), checks)).expect("a service");
    lone
}

fn status(lone: &Lone) -> (Status, String, u64) {
    let found = lone.look(&registry::instances("web"));
    let check = found.value[0].checks.last().expect("a check").value.clone();
    (check.status, check.output, found.index)
}

#[test]
fn what_changes_nothing_moves_no_index() {
    let mut lone = web();
    let before = status(&lone).2;
    let checks = vec![CheckSpec { status: None, output: None, ..ttl_check("c", "w", 10) }];
    lone.run(&register(node("n"), Some(service("w", "web")), checks)).expect("the same");
    assert_eq!(status(&lone).2, before);
    lone.run(&Command::UpdateCheck {
        node: "n".into(),
        id: "c".into(),
        status: Status::Passing,
        output: "other".into(),
    })
    .expect("an update");
    assert_eq!(status(&lone), (Status::Passing, "other".into(), before), "seen, and not woken");
}

#[test]
fn a_ttl_runs_from_the_last_update_and_ends_critical() {
    let mut lone = web();
    lone.pass(Duration::from_secs(8));
    let update = Command::UpdateCheck {
        node: "n".into(),
        id: "c".into(),
        status: Status::Warning,
        output: "hm".into(),
    };
    lone.run(&update).expect("an update");
    lone.pass(Duration::from_millis(9_900));
    let (found, _, before) = status(&lone);
    assert_eq!(found, Status::Warning, "a TTL is not cut short");
    lone.pass(Duration::from_millis(100));
    let (found, output, index) = status(&lone);
    assert_eq!((found, output.as_str()), (Status::Critical, "TTL expired"));
    assert!(index > before);
}

#[test]
fn another_service_does_not_wake_this_one_and_its_node_does() {
    let mut lone = web();
    let before = status(&lone).2;
    lone.run(&register(node("n"), Some(service("d", "db")), Vec::new())).expect("another");
    assert_eq!(status(&lone).2, before);
    lone.run(&Command::NodeAlive { node: "n".into(), alive: false }).expect("a dead node");
    assert!(status(&lone).2 > before);
    let found = lone.look(&registry::instances("web")).value;
    assert_eq!(found[0].status(), Status::Critical);
    assert_eq!(found[0].checks[0].value.id, "serfHealth", "the node's checks come first");
}

#[test]
fn the_index_of_a_service_never_goes_back_when_it_goes_and_comes() {
    let mut lone = web();
    let mut before = 0;
    let removal = Command::Remove(Removal::Service { node: "n".into(), id: "w".into() });
    let steps = [
        removal,
        register(node("n"), Some(service("d", "db")), Vec::new()),
        register(node("n"), Some(service("w", "web")), Vec::new()),
        register(node("n"), Some(service("w", "renamed")), Vec::new()),
        Command::Remove(Removal::Node { node: "n".into() }),
    ];
    for step in steps {
        lone.run(&step).expect("a step");
        let index = lone.look(&registry::instances("web")).index;
        assert!(index >= before, "{index} after {before}: {step:?}");
        before = index;
    }
    assert!(lone.look(&registry::services()).value.is_empty());
}

#[test]
fn sessions_end_with_their_check_and_their_node() {
    let ends = [
        Command::UpdateCheck {
            node: "n".into(),
            id: "c".into(),
            status: Status::Critical,
            output: String::new(),
        },
        Command::Remove(Removal::Check { node: "n".into(), id: "c".into() }),
        Command::Remove(Removal::Service { node: "n".into(), id: "w".into() }),
        Command::Remove(Removal::Node { node: "n".into() }),
    ];
    for end in ends {
        let mut lone = web();
        lone.run(&Command::CreateSession(session(1, &["c"]))).expect("a session");
        let lock = KvOp::new(KvVerb::Lock, "k").session(SessionId(1));
        assert_eq!(lone.run(&Command::Kv(lock)), Ok(Reply::Kv(None)));
        lone.run(&end).expect("an end");
        assert_eq!(lone.look(&sessions::all()).value, [], "{end:?}");
        let entry = lone.look(&regrow_catalog::query::kv::entry("k")).value.expect("the key");
        assert_eq!((entry.session, entry.lock_index), (None, 1));
    }
}

#[test]
fn a_session_outlives_a_warning_and_checks_of_others() {
    let mut lone = web();
    lone.run(&Command::CreateSession(session(1, &["c"]))).expect("a session");
    for (id, status) in [("c", Status::Warning), ("d", Status::Critical)] {
        let check = CheckSpec { status: Some(status), ..ttl_check(id, "w", 100) };
        lone.run(&register(node("n"), None, vec![check])).expect("a check");
    }
    assert_eq!(lone.look(&sessions::all()).value.len(), 1);
}

#[test]
fn a_service_that_is_critical_for_too_long_goes_away_with_a_note() {
    let mut lone = web();
    let mut check = ttl_check("c", "w", 10);
    check.definition.deregister_critical_after = Some(Duration::from_secs(60));
    lone.run(&register(node("n"), Some(service("w", "web")), vec![check])).expect("a check");
    lone.pass(Duration::from_millis(69_900));
    assert_eq!(status(&lone).0, Status::Critical);
    lone.pass(Duration::from_millis(200));
    assert!(lone.look(&registry::instances("web")).value.is_empty());
    let entry = lone.look(&registry::node_entry("n")).value;
    assert_eq!(entry.reaped.into_iter().collect::<Vec<_>>(), ["w"]);
}

#[test]
fn a_service_that_recovers_in_time_stays() {
    let mut lone = web();
    let mut check = ttl_check("c", "w", 1000);
    check.definition.deregister_critical_after = Some(Duration::from_secs(60));
    lone.run(&register(node("n"), Some(service("w", "web")), vec![check])).expect("a check");
    for status in [Status::Critical, Status::Passing, Status::Critical] {
        let (node, id) = ("n".into(), "c".into());
        lone.run(&Command::UpdateCheck { node, id, status, output: String::new() }).expect("said");
        lone.pass(Duration::from_secs(40));
    }
    assert_eq!(lone.look(&registry::instances("web")).value.len(), 1);
}

#[test]
fn refused_commands_change_nothing() {
    let mut lone = web();
    let before = lone.tables.0.clone();
    let bad_check = CheckSpec { service_id: "zzz".into(), ..ttl_check("x", "", 10) };
    let long = "x".repeat(2000);
    let refused = [
        register(node("other"), Some(service("s", "s")), vec![bad_check]),
        register(node("a\0b"), None, Vec::new()),
        register(node("other"), Some(service(&long, "s")), Vec::new()),
        register(node("other"), Some(service("s", "")), Vec::new()),
        Command::CreateSession(session(1, &["nope"])),
        Command::NodeAlive { node: "nope".into(), alive: true },
        Command::Kv(KvOp::new(KvVerb::Set, "k").value(vec![0; VALUE_BYTES_MAX + 1])),
        Command::Kv(KvOp::new(KvVerb::Lock, "k").session(SessionId(5))),
        Command::Kv(KvOp::new(KvVerb::Set, "k".repeat(9000))),
    ];
    for command in refused {
        lone.run(&command).expect_err("refused");
        assert_eq!(lone.tables.0, before);
    }
    assert_eq!(lone.apply(&[1, 200]), Err(Refusal::Malformed { bytes: 2 }));
    assert_eq!(lone.tables.0, before);
}

#[test]
fn a_command_of_another_version_stops_the_replica() {
    let mut lone = web();
    let before = lone.tables.0.clone();
    let mut newer = command::encode(&Command::Expire);
    assert!(command::is_known(&newer) && command::is_known(&[1, 200]));
    newer[0] = 3;
    for unknown in [newer.as_slice(), &[], &[0]] {
        assert!(!command::is_known(unknown), "{unknown:?} is not carried to the log");
        let stopped = lone.try_apply(unknown).expect_err("stopped");
        assert!(matches!(stopped, TableError::Damaged { .. }), "{stopped}");
    }
    assert_eq!(lone.tables.0, before);
}

#[test]
fn a_transaction_sees_its_own_deeds_and_is_one_index() {
    let mut lone = Lone::default();
    for (key, value) in [("t/a", "1"), ("t/b", "2"), ("t/d", "4")] {
        lone.run(&Command::Kv(KvOp::new(KvVerb::Set, key).value(value))).expect("a key");
    }
    let ops = vec![
        KvOp::new(KvVerb::Delete, "t/b"),
        KvOp::new(KvVerb::Set, "t/c").value("3"),
        KvOp::new(KvVerb::Set, "t/e").value("5"),
        KvOp::new(KvVerb::Set, "t/a").value("one"),
        KvOp::new(KvVerb::GetTree, "t/"),
        KvOp::new(KvVerb::DeleteTree, "t/"),
        KvOp::new(KvVerb::GetTree, "t/"),
    ];
    let reply = lone.run(&Command::Txn(ops)).expect("a reply");
    let Reply::Txn(Ok(entries)) = reply else { panic!("{reply:?}") };
    // Three writes, then the tree.
    let tree: Vec<_> =
        entries[3..].iter().map(|entry| (entry.key.as_str(), entry.value.as_slice())).collect();
    assert_eq!(
        tree,
        [
            ("t/a", b"one".as_slice()),
            ("t/c", b"3".as_slice()),
            ("t/d", b"4".as_slice()),
            ("t/e", b"5".as_slice()),
        ]
    );
    assert!(lone.look(&regrow_catalog::query::kv::under("")).value.is_empty());
}

#[test]
fn the_last_256_events_are_kept() {
    let mut lone = Lone::default();
    for number in 0..300u128 {
        lone.run(&Command::FireEvent(Event {
            id: SessionId(number),
            name: "e".to_owned(),
            payload: Vec::new(),
            node_filter: String::new(),
            service_filter: String::new(),
            tag_filter: String::new(),
        }))
        .expect("an event");
    }
    let events = lone.look(&sessions::events("")).value;
    assert_eq!(events.len(), 256);
    assert_eq!(events[0].value.id, SessionId(44), "the oldest first");
}

#[test]
fn what_goes_leaves_nothing_behind() {
    let mut lone = Lone::default();
    let mut left = Vec::new();
    for round in 0..3 {
        let name = format!("web-{round}");
        let checks = vec![ttl_check("c", "w", 10), ttl_check("d", "", 10)];
        lone.run(&register(node("n"), Some(service("w", &name)), checks)).expect("a service");
        let held = Session { ttl: Some(Duration::from_secs(10)), ..session(round, &["c"]) };
        lone.run(&Command::CreateSession(held)).expect("a session");
        let key = format!("k-{round}");
        let lock = KvOp::new(KvVerb::Lock, &key).session(SessionId(round));
        assert_eq!(lone.run(&Command::Kv(lock)), Ok(Reply::Kv(None)));
        lone.run(&Command::Remove(Removal::Node { node: "n".into() })).expect("removed");
        lone.run(&Command::Kv(KvOp::new(KvVerb::Delete, &key))).expect("deleted");
        lone.pass(Duration::from_secs(16 * 60));
        left.push(lone.tables.0.keys().cloned().collect::<Vec<_>>());
    }
    assert_eq!(left[0], left[1], "rows of the second round stay");
    assert_eq!(left[1], left[2], "rows of the third round stay");
}

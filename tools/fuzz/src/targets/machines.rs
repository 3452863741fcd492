//! State machines: the commands in their logs, and the rows of their tables.

use std::sync::Arc;

use regrow_agent::nodes::{self, Nodes};
use regrow_catalog::machine::{CatalogMachine, Command, command};
use regrow_catalog::query::{Client, ReadOptions, kv, registry, sessions};
use regrow_codec::versioned;
use regrow_consensus::{At, Consistency, Edit as _, Machine, Scoped, TableError, Time};
use regrow_coord::{Bounds, Coordinator, KeyMachine, Query, Quorum, Span};

use crate::scratch::{in_virtual_time, must, pieces};
use crate::shelf::{Alone, Shelf};

/// Time between two commands, in milliseconds: leases and sessions of a few seconds end on the way.
const STEP_MILLIS: u64 = 3_000;

fn keys() -> KeyMachine {
    KeyMachine::new(Bounds::default())
}

/// Applies the pieces one by one on two replicas, and then what has expired. Both come to the same
/// replies and tables; what is refused changes nothing; only a newer program's command stops, and
/// for the catalog one without a version.
fn commands<M: Machine>(machines: [M; 2], refused: fn(&[u8]) -> bool, data: &[u8]) {
    let [one, other] = machines;
    let mut tables = Shelf::default();
    let expire = one.expire();
    let commands = pieces(data).chain((!expire.is_empty()).then_some(expire.as_slice()));
    for (command, index) in commands.zip(1..) {
        let at = At { index, time: Time::from_millis(index * STEP_MILLIS) };
        let before = tables.clone();
        let mut again = before.clone();
        let reply = one.apply(at, command, &mut tables);
        assert_eq!(other.apply(at, command, &mut again), reply);
        assert_eq!(again, tables);
        match reply {
            Ok(reply) => {
                assert!(!refused(&reply) || tables == before, "a refused command changed rows");
                let changes = tables.changes_since(&before, index);
                one.committed(at, &changes);
            }
            Err(TableError::Damaged { reason, .. }) => {
                let newer = reason.contains("start the newer program");
                assert!(newer || command.is_empty(), "{reason}");
                return assert_eq!(tables, before, "an unknown command changed rows");
            }
            Err(fault) => panic!("{fault}"),
        }
        must(one.deadline(&tables), "ask when something expires");
    }
}

/// The first piece as a command, and the others as rows of the tables: keys and values in turns.
fn rows(data: &[u8]) -> (&[u8], Shelf) {
    let mut pieces = pieces(data);
    let command = pieces.next().unwrap_or_default();
    let mut tables = Shelf::default();
    while let Some(key) = pieces.next() {
        must(tables.put(key, pieces.next().unwrap_or_default()), "fill the tables");
    }
    (command, tables)
}

/// A machine on rows that it never wrote: it works, or says what is damaged, twice the same.
fn on_rows(machine: Arc<dyn Machine>, command: &[u8], tables: &Shelf) -> Scoped {
    let at = At { index: 9, time: Time::from_millis(9_000) };
    let apply = |command: &[u8]| {
        let mut tables = tables.clone();
        let reply = machine.apply(at, command, &mut tables);
        is_table_fault(&reply);
        (reply, tables)
    };
    assert_eq!(apply(command), apply(command));
    let _ = apply(&machine.expire());
    is_table_fault(&machine.deadline(tables));
    machine.replaced(at, tables);
    Alone::scoped(machine, tables.clone())
}

fn is_table_fault<T>(result: &Result<T, TableError>) {
    if let Err(fault) = result {
        assert!(matches!(fault, TableError::Damaged { .. }), "{fault}");
    }
}

/// Commands of the coordination keys.
pub fn key_commands(data: &[u8]) {
    // No lease, or malformed.
    let refused = |reply: &[u8]| matches!(reply, [_, 3 | 4, ..]);
    commands([keys(), keys()], refused, data);
}

/// Rows of the coordination keys.
pub fn key_rows(data: &[u8]) {
    let (command, tables) = rows(data);
    let machine = Arc::new(keys());
    let replica = on_rows(machine.clone(), command, &tables);
    in_virtual_time(async {
        let quorum = Quorum::new(replica, &machine, std::time::Duration::from_secs(1));
        for limit in [1, 100] {
            match quorum.range(&Query::of(Span::all()).limit(limit)).await {
                Ok(listing) => {
                    assert!(listing.entries.len() <= limit);
                    assert!(listing.entries.is_sorted_by(|one, next| one.key < next.key));
                }
                Err(fault) => assert!(fault.to_string().contains("read "), "{fault}"),
            }
        }
    });
}

/// Commands of the nodes; each reads back as itself.
pub fn node_commands(data: &[u8]) {
    let machine = nodes::Machine::default;
    let refused = |reply: &[u8]| matches!(reply, [_, 1, ..]);
    commands([machine(), machine()], refused, data);
    for piece in pieces(data) {
        let Some((version, _)) = piece.split_first() else { continue };
        if let Ok(read) = versioned::decode::<nodes::Command>(*version, piece) {
            let bytes = must(versioned::encode(*version, &read), "encode what was decoded");
            assert_eq!(versioned::decode(*version, &bytes), Ok(read));
        }
    }
}

/// Rows of the nodes.
pub fn node_rows(data: &[u8]) {
    let (command, tables) = rows(data);
    let replica = on_rows(Arc::new(nodes::Machine::default()), command, &tables);
    in_virtual_time(async {
        let nodes = Nodes::new(Arc::new(replica));
        let stale = Consistency::Stale;
        let told = [
            nodes.cluster(stale).await.map(drop),
            nodes.list(stale).await.map(drop),
            nodes.tokens(stale).await.map(drop),
        ];
        for fault in told.into_iter().filter_map(Result::err) {
            assert!(fault.to_string().starts_with("read the nodes: "), "{fault}");
        }
    });
}

/// Commands of the catalog, applied; that they read back is the law of `catalog_commands`.
pub fn catalog_logs(data: &[u8]) {
    let refused = |reply: &[u8]| command::decode_reply(reply).is_err();
    commands([CatalogMachine::new(), CatalogMachine::new()], refused, data);
}

/// Rows of the catalog.
pub fn catalog_rows(data: &[u8]) {
    let (command, tables) = rows(data);
    let machine = CatalogMachine::new();
    let hub = machine.hub();
    let replica = on_rows(Arc::new(machine), command, &tables);
    in_virtual_time(async {
        let client = Client::new(Arc::new(replica), hub);
        let how = ReadOptions::stale();
        let told = [
            client.ask(&registry::nodes(), &how).await.map(drop),
            client.ask(&registry::services(), &how).await.map(drop),
            client.ask(&registry::node("n"), &how).await.map(drop),
            client.ask(&registry::node_entry("n"), &how).await.map(drop),
            client.ask(&registry::instances("web"), &how).await.map(drop),
            client.ask(&registry::checks(None), &how).await.map(drop),
            client.ask(&registry::checks_of_service("web"), &how).await.map(drop),
            client.ask(&kv::under(""), &how).await.map(drop),
            client.ask(&kv::names("", "/"), &how).await.map(drop),
            client.ask(&sessions::all(), &how).await.map(drop),
            client.ask(&sessions::of_node("n"), &how).await.map(drop),
            client.ask(&sessions::events(""), &how).await.map(drop),
            client.ask(&sessions::tokens(), &how).await.map(drop),
        ];
        for fault in told.into_iter().filter_map(Result::err) {
            assert!(fault.to_string().starts_with("read"), "{fault}");
        }
        let _ = client.execute(&Command::Expire).await;
    });
}

//! Stored samples of everything that is written to the log and to the tables.
//!
//! A build that cannot read them, or writes them otherwise, needs a new version of the form.
//! `REGROW_GOLDEN=update` writes them anew: only before the first release.

use std::fmt::Write as _;
use std::time::Duration;

use regrow_catalog::machine::{Command, Entry, EntryVerb, KvOp, KvVerb, Removal, TxnOp, command};
use regrow_catalog::model::{Access, Event, Policy, Resource, Rule, SessionId, Status, Token};

use crate::lone::Lone;
use crate::machine::{node, register, service, session, ttl_check};

fn commands() -> Vec<Command> {
    let mut check = ttl_check("c", "w", 10);
    check.definition.deregister_critical_after = Some(Duration::from_secs(60));
    let text = str::to_owned;
    let rule = Rule::prefix(Resource::Key, "app/", Access::Write);
    vec![
        register(node("n"), Some(service("w", "web")), vec![check]),
        Command::NodeAlive { node: text("n"), alive: true },
        Command::UpdateCheck {
            node: text("n"),
            id: text("c"),
            status: Status::Warning,
            output: text("hm"),
        },
        Command::CreateSession(session(7, &["c"])),
        Command::RenewSession(SessionId(7)),
        Command::Kv(KvOp::new(KvVerb::Lock, "k").value("v").flags(9).session(SessionId(7))),
        Command::Kv(KvOp::new(KvVerb::Set, "gone").value("v")),
        Command::Kv(KvOp::new(KvVerb::Delete, "gone")),
        Command::Txn(vec![KvOp::new(KvVerb::Cas, "k2").index(0), KvOp::new(KvVerb::Get, "k2")]),
        Command::DestroySession(SessionId(8)),
        Command::FireEvent(Event {
            id: SessionId(3),
            name: text("e"),
            payload: b"p".to_vec(),
            node_filter: String::new(),
            service_filter: String::new(),
            tag_filter: String::new(),
        }),
        Command::PutToken(Token {
            id: text("t"),
            description: text("d"),
            secret_hash: [5; 32],
            policy: Policy::Rules(vec![rule]),
        }),
        Command::RemoveToken(text("other")),
        Command::Remove(Removal::Check { node: text("n"), id: text("none") }),
        Command::Expire,
    ]
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        text.chars().map(|digit| digit.to_digit(16).expect("a hex digit") as u8).collect();
    digits.chunks(2).map(|pair| pair[0] * 16 + pair[1]).collect()
}

/// What version 1 of the form cannot say.
fn newer_commands() -> Vec<Command> {
    let text = str::to_owned;
    let op = |verb, entry| TxnOp::Entry { verb, entry, index: 0 };
    let node = node("n");
    let service = service("w", "web");
    let check = ttl_check("c", "w", 10);
    let rules = vec![
        Rule::prefix(Resource::Key, "app/", Access::Write),
        Rule::exact(Resource::Service, "web", Access::Read),
    ];
    let transaction = Command::Transact(vec![
        TxnOp::Kv(KvOp::new(KvVerb::Set, "k").value("v")),
        op(EntryVerb::Set, Entry::Node(node.clone())),
        op(EntryVerb::Cas, Entry::Service { node: text("n"), service }),
        op(EntryVerb::Set, Entry::Check { node: text("n"), check: Box::new(check) }),
        op(EntryVerb::Get, Entry::Node(node)),
    ]);
    let token = Command::PutToken(Token {
        id: text("t"),
        description: text("d"),
        secret_hash: [5; 32],
        policy: Policy::Rules(rules),
    });
    vec![transaction, token]
}

/// Compares what is written for these commands with what was stored.
fn compare(name: &str, commands: &[Command]) {
    let path = format!("{}/tests/golden/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    let mut lone = Lone::default();
    let mut text = String::new();
    for command in commands {
        let bytes = command::encode(command);
        let reply = match lone.apply(&bytes) {
            Ok(reply) => Ok(reply),
            Err(refusal) => panic!("{command:?}: {refusal}"),
        };
        let encoded = command::encode_reply(&reply);
        assert_eq!(command::decode_reply(&encoded), reply);
        let _ = writeln!(text, "command {}", hex(&bytes));
        let _ = writeln!(text, "reply {}", hex(&encoded));
    }
    for (key, value) in &lone.tables.0 {
        let _ = writeln!(text, "row {} {}", hex(key), hex(value));
    }
    if std::env::var("REGROW_GOLDEN").as_deref() == Ok("update") {
        std::fs::write(&path, &text).expect("written");
    }
    let stored = std::fs::read_to_string(&path).expect("the stored samples");
    assert_eq!(stored, text);
    let read: Vec<Command> = stored
        .lines()
        .filter_map(|line| line.strip_prefix("command "))
        .map(|line| command::decode(&unhex(line)).expect("a command"))
        .collect();
    assert_eq!(read, commands);
}

#[test]
fn stored_commands_and_rows_are_read_and_written_as_ever() {
    compare("stored-v1", &commands());
    compare("stored-v2", &newer_commands());
}

#[test]
fn a_command_says_the_first_version_that_has_it() {
    for (version, commands) in [(1, commands()), (2, newer_commands())] {
        for command in commands {
            assert_eq!(command::encode(&command)[0], version, "{command:?}");
        }
    }
    // Those who know version 1 alone would not know what this is.
    for command in newer_commands() {
        let mut older = command::encode(&command);
        older[0] = 1;
        assert!(command::decode(&older).is_err(), "{command:?}");
    }
}

//! Stored samples of what the agent writes to its tables, its log and the wire: a change of a form
//! shows here. A line of `samples/records-v1.txt` is a name and the bytes in hexadecimal digits. Lines
//! are added, and never changed: logs and folders hold what they show.

use std::fmt::Debug;

use data_encoding::HEXLOWER;
use regrow_consensus::Time;
use regrow_pki::{ClusterId, NodeNumber, Role, TokenFault, TokenId, TokenRecord};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::folder::{Folder, Identity};
use crate::messages::{self, Beat, BeatReply, JoinReply, JoinRequest, Papers};
use crate::messages::{RenewReply, RenewRequest, ReplaceRequest};
use crate::nodes::record::{self, ClusterRecord, JoinedRecord, NodeRecord, ReplacedRecord};
use crate::nodes::{Command, Refusal, Reply};

const RECORDS: &str = include_str!("samples/records-v1.txt");
const NODE: &str = include_str!("samples/node-v1.json");

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// Bytes of the stored sample with this name.
fn stored(name: &str) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let line = RECORDS.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
    Ok(HEXLOWER.decode(line.ok_or(format!("no sample {name}"))?.as_bytes())?)
}

/// What is written today is what is stored, which is read as what was meant.
fn holds<T: Serialize + DeserializeOwned + PartialEq + Debug>(name: &str, value: &T) -> Outcome {
    let written = record::encode("sample", value)?;
    assert_eq!(HEXLOWER.encode(&written), HEXLOWER.encode(&stored(name)?), "{name}");
    assert_eq!(record::decode::<T>("sample", &written)?, *value, "{name}");
    Ok(())
}

/// The same for a message.
fn carries<T: Serialize + DeserializeOwned>(name: &str, message: &T) -> Outcome {
    let written = messages::encode(message)?;
    assert_eq!(HEXLOWER.encode(&written), HEXLOWER.encode(&stored(name)?), "{name}");
    let read: T = messages::decode(&written)?;
    assert_eq!(messages::encode(&read)?, written, "{name}");
    Ok(())
}

fn id() -> Result<ClusterId, Box<dyn std::error::Error>> {
    Ok("00112233445566778899aabbccddeeff".parse()?)
}

fn cluster() -> Result<ClusterRecord, Box<dyn std::error::Error>> {
    let authority = vec![0xa0, 0xa1, 0xa2];
    Ok(ClusterRecord { id: id()?, founded_ms: 1_700_000_000_000, authority, edition: 3 })
}

fn token() -> TokenRecord {
    TokenRecord {
        id: TokenId::new(0x0102_0304),
        role: Role::Worker,
        hash: [7; 32],
        expires_ms: 1_700_000_086_400,
        uses_left: 999,
    }
}

fn commands() -> Result<Vec<(&'static str, Command)>, Box<dyn std::error::Error>> {
    let (name, address) = ("node-2".to_owned(), "10.0.0.2:7400".to_owned());
    let (number, token_id) = (NodeNumber::new(300), TokenId::new(0x0102_0304));
    let (at, called) = (|| address.clone(), || name.clone());
    let (hash, now_ms) = ([7; 32], 1_700_000_000_000);
    Ok(vec![
        ("found", Command::Found { cluster: cluster()?, name: called(), address: at() }),
        ("restored", Command::Restored { number, name: called(), address: at() }),
        ("put-token", Command::PutToken(token())),
        ("revoke-token", Command::RevokeToken(token_id)),
        ("admit", Command::Admit { token: token_id, hash, name: called(), address: at(), now_ms }),
        ("report", Command::Report { number, address: at(), trusts: 3 }),
        ("set-alive", Command::SetAlive { number, alive: true }),
        ("set-role", Command::SetRole { number, role: Role::Server }),
        ("set-draining", Command::SetDraining { number, draining: true }),
        ("remove", Command::Remove { number }),
        ("set-authority", Command::SetAuthority { edition: 3, authority: vec![0xa0, 0xa1] }),
        (
            "admit-key",
            Command::AdmitKey {
                token: token_id,
                hash,
                key: [9; 32],
                name: called(),
                address: at(),
                now_ms,
            },
        ),
        ("replace", Command::Replace { number, key: [9; 32], address: at() }),
    ])
}

fn refusals() -> Vec<(&'static str, Refusal)> {
    let number = NodeNumber::new(300);
    vec![
        ("command", Refusal::Command("why".into())),
        ("founded", Refusal::Founded),
        ("not-founded", Refusal::NotFounded),
        ("token", Refusal::Token(TokenFault::Used)),
        ("name", Refusal::Name { name: "a".into(), number }),
        ("bad-name", Refusal::BadName("a b".into())),
        ("bad-address", Refusal::BadAddress("x".into())),
        ("unknown", Refusal::Unknown(number)),
        ("removed", Refusal::Removed(number)),
        ("number", Refusal::Number(number)),
        ("edition", Refusal::Edition),
        ("last-server", Refusal::LastServer(number)),
        ("replaced", Refusal::Replaced { number, by: NodeNumber::new(301) }),
    ]
}

#[test]
fn records_in_the_tables_keep_their_form() -> Outcome {
    holds("cluster", &cluster()?)?;
    holds(
        "node",
        &NodeRecord {
            number: NodeNumber::new(300),
            name: "node-2".into(),
            role: Role::Server,
            address: "10.0.0.2:7400".into(),
            alive: true,
            since: Time::from_millis(5_000),
            draining: false,
            removed: true,
            trusts: 3,
        },
    )?;
    holds("token", &token())?;
    let (token, number) = (TokenId::new(0x0102_0304), NodeNumber::new(300));
    holds("joined", &JoinedRecord { token, number, name: "node-2".into() })?;
    holds("replaced", &ReplacedRecord { by: NodeNumber::new(301), key: [9; 32] })
}

#[test]
fn commands_and_replies_keep_their_form_and_every_kind_has_a_sample() -> Outcome {
    let commands = commands()?;
    for (kind, (name, command)) in (0_u32..).zip(&commands) {
        let name = format!("command/{name}");
        holds(&name, command)?;
        let bytes = stored(&name)?;
        let form = bytes.get(1..).unwrap_or_default();
        assert_eq!(postcard::take_from_bytes::<u32>(form)?.0, kind, "{name}");
        let read = Command::decode(&bytes);
        assert!(read.is_ok_and(|read| read == *command), "{name}");
    }
    // The next kind is one that this program does not know.
    let next = [&[record::VERSION], postcard::to_allocvec(&commands.len())?.as_slice()].concat();
    assert!(format!("{:?}", Command::decode(&next)).contains("Newer"));
    let (number, role) = (NodeNumber::new(300), Role::Worker);
    let outcome = Ok::<Reply, Refusal>;
    holds("reply/done", &outcome(Reply::Done))?;
    holds("reply/admitted", &outcome(Reply::Admitted { number, role }))?;
    for (name, refusal) in refusals() {
        holds(&format!("reply/refused/{name}"), &Err::<Reply, Refusal>(refusal))?;
    }
    Ok(())
}

#[test]
fn messages_between_nodes_keep_their_form() -> Outcome {
    let papers = || Papers { chain: "chain".into(), roots: "roots".into(), edition: 3 };
    let (number, role) = (NodeNumber::new(300), Role::Server);
    carries(
        "message/join",
        &JoinRequest {
            token: TokenId::new(0x0102_0304),
            secret: [5; 16],
            request: vec![1, 2, 3],
            name: "node-2".into(),
            address: "10.0.0.2:7400".into(),
        },
    )?;
    carries(
        "message/joined",
        &JoinReply {
            cluster: id()?,
            number,
            role,
            papers: papers(),
            servers: vec!["10.0.0.1:7400".into()],
            seal: Some("seal".into()),
        },
    )?;
    carries("message/renew", &RenewRequest { request: vec![1, 2, 3] })?;
    carries("message/renewed", &RenewReply { papers: papers(), seal: None })?;
    let address = || "10.0.0.2:7400".to_owned();
    carries("message/replace", &ReplaceRequest { request: vec![1, 2, 3], address: address() })?;
    carries("message/beat", &Beat { address: "10.0.0.2:7400".into(), trusts: 3 })?;
    carries("message/heard", &BeatReply { leads: true, edition: 3, role })
}

#[test]
fn who_a_node_is_keeps_its_form() -> Outcome {
    let dir = tempfile::tempdir()?;
    let folder = Folder::open(dir.path())?;
    let (name, address) = ("node-2".into(), "10.0.0.2:7400".into());
    let servers = vec!["10.0.0.1:7400".into()];
    let identity = Identity::new(id()?, NodeNumber::new(300), name, address, servers);
    folder.set_identity(&identity)?;
    assert_eq!(std::fs::read_to_string(folder.file("node.json"))?, NODE.trim_end());
    std::fs::write(folder.file("node.json"), NODE)?;
    assert_eq!(folder.identity()?, Some(identity));
    Ok(())
}

#[test]
fn every_stored_sample_is_looked_at() -> Outcome {
    let known = commands()?.len() + refusals().len() + 2 + 5 + 7;
    assert_eq!(RECORDS.lines().count(), known);
    Ok(())
}

//! A small catalog as plain data, and questions to it.

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query};
use hickory_proto::rr::{Record, RecordType};

use crate::dns::{Data, DnsOptions, Moment, Owner, Transport, Want, Zone, answer, names};
use crate::model::{Check, CheckDefinition, Indexed, Indexes, Instance, Node, Service, Status};
use crate::model::{ServiceAddress, Weights};

pub const MOMENT: Moment = Moment { seed: 1, serial: 7 };

fn indexed<T>(value: T) -> Indexed<T> {
    Indexed { value, indexes: Indexes { created: 1, modified: 1 } }
}

pub fn node(name: &str, address: &str) -> Node {
    Node {
        name: name.to_owned(),
        address: address.to_owned(),
        datacenter: "dc1".to_owned(),
        ..Node::default()
    }
}

fn check(status: Status) -> Check {
    Check {
        node: String::new(),
        id: "c".to_owned(),
        name: "c".to_owned(),
        status,
        notes: String::new(),
        output: String::new(),
        service_id: "x".to_owned(),
        service_name: String::new(),
        service_tags: Vec::new(),
        definition: CheckDefinition::default(),
    }
}

/// An instance on a node, with one check.
pub fn instance(node: Node, name: &str, address: &str, tags: &[&str], status: Status) -> Instance {
    let service = Service {
        id: name.to_owned(),
        name: name.to_owned(),
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        address: address.to_owned(),
        port: 80,
        weights: Weights { passing: 10, warning: 2 },
        tagged_addresses: [("lan".to_owned(), ServiceAddress::default())].into(),
        ..Service::default()
    };
    Instance {
        node: indexed(node),
        service: indexed(service),
        checks: vec![indexed(check(status))],
    }
}

pub fn zone(options: DnsOptions) -> Zone {
    Zone::new("dc1", options).expect("a zone")
}

/// What the small catalog has.
pub fn look(want: &Want) -> Data {
    let n1 = || Node {
        meta: [("rack", "2"), ("rfc1035-text", "v=1")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
        ..node("n1", "10.0.0.1")
    };
    let n6 = || node("n6", "fd00::6");
    let (passing, warning, critical) = (Status::Passing, Status::Warning, Status::Critical);
    match want {
        Want::Nothing => Data::Nothing,
        Want::Service(name) => Data::Instances(match name.to_lowercase().as_str() {
            "consul" => vec![instance(n1(), "consul", "", &[], passing)],
            "web" => vec![
                instance(n1(), "web", "", &["v1"], passing),
                instance(n1(), "web", "10.1.1.1", &["V2"], warning),
                instance(n6(), "web", "", &["v1"], passing),
                instance(n1(), "web", "10.9.9.9", &["v1"], critical),
            ],
            "ext" => vec![instance(n1(), "ext", "www.Example.com", &[], passing)],
            "down" => vec![instance(n1(), "down", "", &[], critical)],
            "many" => (0..200).map(|at| many(n1(), at)).collect(),
            _ => Vec::new(),
        }),
        Want::Node(name) => match name.to_lowercase().as_str() {
            "n1" => Data::Node(n1()),
            "n6" => Data::Node(n6()),
            "alias" => Data::Node(node("alias", "host.example.com")),
            _ => Data::Nothing,
        },
        Want::Address(address) => match address.to_string().as_str() {
            "10.0.0.1" => Data::Owner(Owner::Node("n1".to_owned())),
            "10.1.1.1" => Data::Owner(Owner::Service("web".to_owned())),
            "fd00::6" => Data::Owner(Owner::Node("n6".to_owned())),
            "10.0.0.99" => Data::Unavailable,
            _ => Data::Nothing,
        },
    }
}

fn many(node: Node, at: usize) -> Instance {
    instance(node, "many", &format!("10.2.{}.{}", at / 250, at % 250 + 1), &[], Status::Passing)
}

/// A question; with a size, it says which answers are taken.
pub fn question(name: &str, kind: RecordType, takes: Option<u16>) -> Vec<u8> {
    let mut message = Message::new(0x1234, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(names::dotted(name).expect("a name"), kind));
    if let Some(takes) = takes {
        let mut edns = Edns::new();
        edns.set_max_payload(takes);
        message.edns = Some(edns);
    }
    message.to_vec().expect("a question")
}

pub fn ask_with(options: DnsOptions, name: &str, kind: RecordType) -> Message {
    let packet = question(name, kind, None);
    let reply = answer(&packet, &zone(options), Transport::Tcp, MOMENT, look).expect("a reply");
    Message::from_vec(&reply).expect("a message")
}

fn lines(mark: &str, records: &[Record]) -> Vec<String> {
    let line = |record: &Record| {
        format!("{mark} {} {} {} {}", record.name, record.ttl, record.record_type(), record.data)
    };
    let mut lines: Vec<String> = records.iter().map(line).collect();
    lines.sort();
    lines
}

/// An answer as text: what was decided, answers, authority, additional, each sorted.
pub fn text(message: &Message) -> String {
    let head = &message.metadata;
    let mut flags = vec![format!("{:?}", head.response_code)];
    for (set, name) in [
        (head.authoritative, "aa"),
        (head.truncation, "tc"),
        (head.recursion_desired, "rd"),
        (head.recursion_available, "ra"),
    ] {
        flags.extend(set.then(|| name.to_owned()));
    }
    let mut all = vec![flags.join(" ")];
    all.extend(lines("=", &message.answers));
    all.extend(lines("^", &message.authorities));
    all.extend(lines("+", &message.additionals));
    all.join("\n")
}

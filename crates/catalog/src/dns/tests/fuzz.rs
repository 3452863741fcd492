//! Any bytes, and questions with some of their bytes changed.

use hickory_proto::op::{Message, MessageType, ResponseCode};
use hickory_proto::rr::RecordType::{self, A, ANY, AXFR, SRV};
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::data::{MOMENT, look, question, zone};
use crate::dns::{DnsOptions, Transport, answer};

fn reply(packet: &[u8], transport: Transport) -> Option<Vec<u8>> {
    answer(packet, &zone(DnsOptions::default()), transport, MOMENT, look)
}

fn code(packet: &[u8]) -> ResponseCode {
    let reply = reply(packet, Transport::Udp).expect("a reply");
    Message::from_vec(&reply).expect("a message").metadata.response_code
}

/// Whatever came: no answer, or one to this question that anybody can read.
fn holds(packet: &[u8]) -> Result<(), TestCaseError> {
    for transport in [Transport::Udp, Transport::Tcp] {
        let Some(reply) = reply(packet, transport) else { continue };
        let message = Message::from_vec(&reply);
        let message = message.map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(message.metadata.message_type, MessageType::Response);
        prop_assert_eq!(&reply[..2], &packet[..2]);
        prop_assert!(packet[2] & 0x80 == 0, "an answer was answered");
    }
    Ok(())
}

#[test]
fn what_is_no_question_is_dropped_or_refused() {
    let good = question("web.service.consul", A, None);
    assert_eq!(reply(&good[..11], Transport::Udp), None);
    assert_eq!(reply(&[], Transport::Tcp), None);
    let with = |at: usize, byte: u8| {
        let mut changed = good.clone();
        changed[at] = byte;
        changed
    };
    assert_eq!(reply(&with(2, 0x80), Transport::Udp), None, "an answer");
    assert_eq!(code(&with(2, 0x10)), ResponseCode::NotImp, "a status question");
    assert_eq!(code(&with(5, 0)), ResponseCode::FormErr, "no question");
    assert_eq!(code(&with(5, 2)), ResponseCode::FormErr, "two questions");
    assert_eq!(code(&with(8, 0xff)), ResponseCode::FormErr, "records that are not there");
    assert_eq!(code(&with(12, 0xc0)), ResponseCode::FormErr, "a name that points ahead");
    assert_eq!(code(&good[..good.len() - 1]), ResponseCode::FormErr, "cut short");
    assert_eq!(code(&with(good.len() - 1, 3)), ResponseCode::Refused, "another class");
    assert_eq!(code(&question("consul", AXFR, None)), ResponseCode::NotImp);
    let mut newer = question("consul", A, Some(1232));
    let version = newer.len() - 5;
    newer[version] = 1;
    // The same number has another name in signatures.
    assert_eq!(u16::from(code(&newer)), u16::from(ResponseCode::BADVERS));
}

fn some_question() -> impl Strategy<Value = Vec<u8>> {
    let names = [
        "web.service.consul",
        "_web._tcp.service.dc1.consul",
        "many.service.consul",
        "ext.service.consul",
        "n1.node.consul",
        "0a010101.addr.dc1.consul",
        "1.0.0.10.in-addr.arpa",
        "consul",
        "example.com",
    ];
    let kinds = [A, SRV, ANY, RecordType::TXT, RecordType::NS, RecordType::PTR];
    (select(names.to_vec()), select(kinds.to_vec()), proptest::option::of(any::<u16>()))
        .prop_map(|(name, kind, takes)| question(name, kind, takes))
}

proptest! {
    #[test]
    fn any_bytes_do_no_harm(packet in proptest::collection::vec(any::<u8>(), 0..600)) {
        holds(&packet)?;
    }

    #[test]
    fn changed_questions_do_no_harm(
        mut packet in some_question(),
        changes in proptest::collection::vec((any::<Index>(), any::<u8>()), 0..6),
        cut in proptest::option::of(any::<Index>()),
        more in proptest::collection::vec(any::<u8>(), 0..20),
    ) {
        for (at, byte) in changes {
            let at = at.index(packet.len());
            packet[at] = byte;
        }
        if let Some(cut) = cut {
            packet.truncate(cut.index(packet.len() + 1));
        }
        packet.extend(more);
        holds(&packet)?;
    }

    #[test]
    fn labels_of_any_bytes_do_no_harm(
        labels in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..64), 0..4),
        suffix in select(vec!["service.consul", "node.consul", "consul", "arpa"]),
    ) {
        let mut packet = question("x", A, None);
        let tail = packet.split_off(12 + 3);
        packet.truncate(12);
        for label in labels.iter().map(Vec::as_slice).chain(suffix.split('.').map(str::as_bytes)) {
            packet.push(label.len() as u8);
            packet.extend_from_slice(label);
        }
        packet.push(0);
        packet.extend(tail);
        holds(&packet)?;
    }
}

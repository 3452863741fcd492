//! What fits, and what does not.

use std::collections::BTreeSet;

use hickory_proto::op::Message;
use hickory_proto::rr::RecordType::{A, SRV, TXT};
use proptest::prelude::*;

use super::data::{MOMENT, instance, look, node, question, text, zone};
use crate::dns::{Data, DnsOptions, Moment, Transport, answer};
use crate::model::{Node, Status};

fn udp(name: &str, kind: hickory_proto::rr::RecordType, takes: Option<u16>) -> (usize, Message) {
    let packet = question(name, kind, takes);
    let zone = zone(DnsOptions::default());
    let reply = answer(&packet, &zone, Transport::Udp, MOMENT, look).expect("a reply");
    (reply.len(), Message::from_vec(&reply).expect("a message"))
}

#[test]
fn without_extensions_three_records_are_told_and_the_rest_is_said_to_be_missing() {
    let (length, message) = udp("many.service.consul", A, None);
    assert!(length <= 512 && message.metadata.truncation, "{length}");
    assert_eq!(message.answers.len(), 3);
    assert!(message.edns.is_none());
    let (_, whole) = udp("web.service.consul", A, None);
    assert!(!whole.metadata.truncation);
}

#[test]
fn the_size_that_a_client_takes_is_filled() {
    for (takes, kind) in [(1232, A), (1232, SRV), (4096, SRV), (600, SRV)] {
        let (length, message) = udp("many.service.consul", kind, Some(takes));
        assert!(length <= usize::from(takes) && message.metadata.truncation, "{takes} {length}");
        // Not one record more would fit: SRV with its address has less than 90 bytes.
        assert!(length > usize::from(takes) - 90, "{takes} {length}");
        let extra = if kind == SRV { message.answers.len() } else { 0 };
        assert_eq!(message.additionals.len(), extra);
        assert_eq!(message.edns.expect("extensions").max_payload(), 4096);
    }
    let (length, _) = udp("many.service.consul", SRV, Some(65_000));
    assert!((4000..=4096).contains(&length), "{length}");
    let (length, message) = udp("many.service.consul", A, Some(100));
    assert!(length <= 512 && message.answers.len() == 3, "a smaller size is 512");
}

#[test]
fn a_connection_takes_all_and_at_most_what_a_message_holds() {
    let zone = zone(DnsOptions::default());
    let ask = |count: usize| {
        let packet = question("huge.service.consul", SRV, None);
        let reply = answer(&packet, &zone, Transport::Tcp, MOMENT, |_| {
            let one = |at: usize| {
                let address = format!("10.{}.{}.1", at / 250, at % 250);
                instance(node("n1", "10.0.0.1"), "huge", &address, &[], Status::Passing)
            };
            Data::Instances((0..count).map(one).collect())
        });
        let reply = reply.expect("a reply");
        (reply.len(), Message::from_vec(&reply).expect("a message"))
    };
    let (_, some) = ask(500);
    assert!(some.answers.len() == 500 && some.additionals.len() == 500);
    assert!(!some.metadata.truncation);
    let (length, cut) = ask(3000);
    assert!(length > 65_000 && cut.metadata.truncation && cut.answers.len() > 500, "{length}");
    assert_eq!(cut.answers.len(), cut.additionals.len());
}

#[test]
fn additions_that_do_not_fit_are_left_out_before_the_answer() {
    let meta = (0..8).map(|at| (format!("key{at}"), "x".repeat(300))).collect();
    let large = Node { meta, ..node("n1", "10.0.0.1") };
    let ask = |kind| {
        let packet = question("n1.node.consul", kind, None);
        let data = Data::Node(large.clone());
        let zone = zone(DnsOptions::default());
        let reply = answer(&packet, &zone, Transport::Udp, MOMENT, |_| data).expect("a reply");
        Message::from_vec(&reply).expect("a message")
    };
    let address = ask(A);
    assert_eq!((address.answers.len(), address.additionals.len()), (1, 0));
    assert!(address.metadata.truncation);
    let texts = ask(TXT);
    assert!(texts.answers.len() == 1 && texts.metadata.truncation, "{}", text(&texts));
}

#[test]
fn the_order_differs_and_all_are_told() {
    let zone = zone(DnsOptions::default());
    let packet = question("many.service.consul", A, None);
    let ask = |seed: u64| {
        let moment = Moment { seed, ..MOMENT };
        let reply = answer(&packet, &zone, Transport::Tcp, moment, look).expect("a reply");
        Message::from_vec(&reply).expect("a message").answers
    };
    let firsts: BTreeSet<String> = (0..20).map(|seed| ask(seed)[0].data.to_string()).collect();
    assert!(firsts.len() > 5, "{firsts:?}");
    let all = |seed: u64| ask(seed).iter().map(|record| record.data.to_string()).collect();
    let (one, other): (BTreeSet<String>, BTreeSet<String>) = (all(1), all(2));
    assert!(one == other && one.len() == 200);
}

proptest! {
    #[test]
    fn every_answer_fits_and_says_whether_it_is_whole(
        count in 0_usize..400,
        takes in proptest::option::of(0_u16..=u16::MAX),
        srv in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let kind = if srv { SRV } else { A };
        let packet = question("web.service.consul", kind, takes);
        let one = |at: usize| {
            let address = format!("10.3.{}.{}", at / 250, at % 250);
            instance(node("n1", "10.0.0.1"), "web", &address, &[], Status::Passing)
        };
        let data = Data::Instances((0..count).map(one).collect());
        let zone = zone(DnsOptions::default());
        let moment = Moment { seed, ..MOMENT };
        let reply = answer(&packet, &zone, Transport::Udp, moment, |_| data).expect("a reply");
        let message = Message::from_vec(&reply).expect("a message");
        let most = takes.unwrap_or(512).clamp(512, 4096);
        prop_assert!(reply.len() <= usize::from(most));
        prop_assert_eq!(message.metadata.truncation, message.answers.len() < count);
        prop_assert_eq!(message.edns.is_some(), takes.is_some());
        prop_assert_eq!(message.answers.is_empty(), count == 0);
        if most == 512 {
            prop_assert!(message.answers.len() <= 3);
        }
    }
}

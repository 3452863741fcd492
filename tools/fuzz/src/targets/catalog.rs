//! What the catalog reads: commands of its log, rules of tokens, questions over DNS.

use std::sync::LazyLock;

use regrow_catalog::dns::{Data, DnsOptions, Moment, Transport, Zone, answer};
use regrow_catalog::machine::command;
use regrow_catalog::model::rules;
use regrow_codec::versioned::VersionedError;

use crate::scratch::{must, text};

/// A command reads back as itself, and only an unknown version stops a replica.
pub fn catalog_commands(data: &[u8]) {
    match command::decode(data) {
        Ok(read) => {
            let bytes = command::encode(&read);
            assert_eq!(command::decode(&bytes).as_ref(), Ok(&read));
            assert!(command::is_known(data) && command::is_known(&bytes));
        }
        Err(fault) => {
            let stops = !matches!(fault, VersionedError::Form(_));
            assert_ne!(stops, command::is_known(data), "{fault}");
        }
    }
    if let Ok(reply) = command::decode_reply(data) {
        let bytes = command::encode_reply(&Ok(reply.clone()));
        assert_eq!(command::decode_reply(&bytes), Ok(reply));
    }
}

/// Rules print and read back as the same; a fault says what was being read.
pub fn acl_rules(data: &[u8]) {
    match rules::parse(&text(data)) {
        Ok(found) => {
            let printed = rules::print(&found);
            let again = must(rules::parse(&printed), &printed);
            assert_eq!(rules::print(&again), printed);
            assert!(again.iter().all(|rule| found.contains(rule)), "{printed}");
        }
        Err(fault) => assert!(fault.to_string().starts_with("read rules: "), "{fault}"),
    }
}

static ZONE: LazyLock<Zone> =
    LazyLock::new(|| must(Zone::new("dc1", DnsOptions::default()), "the default domain"));

/// Most bytes of an answer over UDP.
const UDP_BYTES: usize = 4096;

/// Any packet gets no answer, or one with its own number that fits.
pub fn dns_questions(data: &[u8]) {
    let moment = Moment { seed: 7, serial: 7 };
    for (transport, most) in [(Transport::Udp, UDP_BYTES), (Transport::Tcp, usize::from(u16::MAX))]
    {
        let Some(reply) = answer(data, &ZONE, transport, moment, |_| Data::Nothing) else {
            continue;
        };
        assert!(reply.len() <= most, "{} bytes", reply.len());
        assert_eq!(reply.get(..2), data.get(..2), "the number of the question");
        assert!(reply.get(2).is_some_and(|flags| flags & 0x80 != 0), "it is an answer");
    }
}

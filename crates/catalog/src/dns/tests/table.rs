//! Each row of the contract's table, and what stands below it.

use std::time::Duration;

use hickory_proto::rr::RecordType::{self, A, AAAA, ANY, CNAME, MX, NS, PTR, SOA, SRV, TXT};

use super::data::{ask_with, text};
use crate::dns::DnsOptions;

const NOTHING: &str = "^ consul. 0 SOA ns.consul. hostmaster.consul. 7 3600 600 86400 0";

fn is(name: &str, kind: RecordType, expected: &[&str]) {
    let found = text(&ask_with(DnsOptions::default(), name, kind));
    assert_eq!(found.lines().collect::<Vec<_>>(), expected, "{name} {kind}");
}

fn missing(name: &str, kind: RecordType) {
    is(name, kind, &["NXDomain aa rd", NOTHING]);
}

fn without(name: &str, kind: RecordType) {
    is(name, kind, &["NoError aa rd", NOTHING]);
}

const OK: &str = "NoError aa rd";

#[test]
fn a_service_is_the_addresses_of_what_is_not_critical() {
    let web = [OK, "= web.service.consul. 0 A 10.0.0.1", "= web.service.consul. 0 A 10.1.1.1"];
    is("web.service.consul", A, &web);
    is("web.service.consul", AAAA, &[OK, "= web.service.consul. 0 AAAA fd00::6"]);
    is("v1.web.service.consul", A, &[OK, "= v1.web.service.consul. 0 A 10.0.0.1"]);
    is("v2.web.service.dc1.consul", A, &[OK, "= v2.web.service.dc1.consul. 0 A 10.1.1.1"]);
    is("_web._tcp.service.consul", AAAA, &[OK, "= _web._tcp.service.consul. 0 AAAA fd00::6"]);
    without("web.service.consul", MX);
    without("v2.web.service.consul", AAAA);
}

#[test]
fn srv_names_places_and_adds_their_addresses() {
    let expected = |owner: &str| {
        [
            OK.to_owned(),
            format!("= {owner}. 0 SRV 1 10 80 n1.node.dc1.consul."),
            format!("= {owner}. 0 SRV 1 10 80 n6.node.dc1.consul."),
            format!("= {owner}. 0 SRV 1 2 80 0a010101.addr.dc1.consul."),
            "+ 0a010101.addr.dc1.consul. 0 A 10.1.1.1".to_owned(),
            "+ n1.node.dc1.consul. 0 A 10.0.0.1".to_owned(),
            "+ n6.node.dc1.consul. 0 AAAA fd00::6".to_owned(),
        ]
    };
    for name in ["web.service.consul", "_web._tcp.service.consul", "_web._udp.service.dc1.consul"] {
        let expected = expected(name);
        is(name, SRV, &expected.iter().map(String::as_str).collect::<Vec<_>>());
    }
    let tagged = "_web._v2.service.consul";
    is(
        tagged,
        SRV,
        &[
            OK,
            "= _web._v2.service.consul. 0 SRV 1 2 80 0a010101.addr.dc1.consul.",
            "+ 0a010101.addr.dc1.consul. 0 A 10.1.1.1",
        ],
    );
}

#[test]
fn any_has_places_and_addresses() {
    is(
        "v1.web.service.consul",
        ANY,
        &[
            OK,
            "= v1.web.service.consul. 0 A 10.0.0.1",
            "= v1.web.service.consul. 0 AAAA fd00::6",
            "= v1.web.service.consul. 0 SRV 1 10 80 n1.node.dc1.consul.",
            "= v1.web.service.consul. 0 SRV 1 10 80 n6.node.dc1.consul.",
            "+ n1.node.dc1.consul. 0 A 10.0.0.1",
            "+ n6.node.dc1.consul. 0 AAAA fd00::6",
        ],
    );
}

#[test]
fn a_host_name_is_an_alias_and_a_target() {
    for kind in [A, AAAA, CNAME] {
        is("ext.service.consul", kind, &[OK, "= ext.service.consul. 0 CNAME www.example.com."]);
    }
    is("ext.service.consul", SRV, &[OK, "= ext.service.consul. 0 SRV 1 10 80 www.example.com."]);
    is("alias.node.consul", A, &[OK, "= alias.node.consul. 0 CNAME host.example.com."]);
}

#[test]
fn a_node_is_its_address_and_its_meta() {
    let meta = |mark: &str| [format!("{mark} TXT rack=2"), format!("{mark} TXT v=1")];
    let [rack, plain] = meta("+ n1.node.consul. 0");
    is("n1.node.consul", A, &[OK, "= n1.node.consul. 0 A 10.0.0.1", &rack, &plain]);
    let [rack, plain] = meta("= n1.node.dc1.consul. 0");
    is("n1.node.dc1.consul", TXT, &[OK, &rack, &plain]);
    is("n1.node.dc1.consul", ANY, &[OK, "= n1.node.dc1.consul. 0 A 10.0.0.1", &rack, &plain]);
    is("n6.node.consul", AAAA, &[OK, "= n6.node.consul. 0 AAAA fd00::6"]);
    without("n6.node.consul", A);
    without("n6.node.consul", TXT);
}

#[test]
fn an_address_in_the_name_is_the_address() {
    is("0a010101.addr.dc1.consul", A, &[OK, "= 0a010101.addr.dc1.consul. 0 A 10.1.1.1"]);
    let six = "fd000000000000000000000000000006.addr.dc1.consul";
    is(six, AAAA, &[OK, &format!("= {six}. 0 AAAA fd00::6")]);
    without(six, A);
    missing("0a0101.addr.dc1.consul", A);
}

#[test]
fn the_domain_has_a_serial_number_and_servers() {
    let soa = NOTHING.replacen('^', "=", 1);
    let ns = ["= consul. 0 NS n1.server.dc1.consul.", "+ n1.server.dc1.consul. 0 A 10.0.0.1"];
    is("consul", SOA, &[OK, &soa]);
    is("consul", NS, &[OK, ns[0], ns[1]]);
    is("consul", ANY, &[OK, ns[0], &soa, ns[1]]);
    without("consul", A);
    let found = text(&ask_with(DnsOptions::default(), "n1.server.dc1.consul", A));
    assert!(found.contains("= n1.server.dc1.consul. 0 A 10.0.0.1"), "{found}");
}

#[test]
fn a_reverse_name_is_who_has_the_address() {
    let node = "1.0.0.10.in-addr.arpa";
    is(node, PTR, &[OK, &format!("= {node}. 0 PTR n1.node.dc1.consul.")]);
    let service = "1.1.1.10.IN-ADDR.arpa";
    is(service, PTR, &[OK, &format!("= {service}. 0 PTR web.service.dc1.consul.")]);
    let six = format!("6.{}0.0.d.f.ip6.arpa", "0.".repeat(27));
    is(&six, PTR, &[OK, &format!("= {six}. 0 PTR n6.node.dc1.consul.")]);
    without(node, A);
    for stranger in ["9.0.0.10.in-addr.arpa", "300.0.0.10.in-addr.arpa", "10.in-addr.arpa"] {
        is(stranger, PTR, &["Refused rd"]);
    }
}

#[test]
fn what_is_unknown_is_missing_and_what_is_foreign_refused() {
    for name in [
        "nope.service.consul",
        "down.service.consul",
        "v9.web.service.consul",
        "nope.node.consul",
        "web.service.dc2.consul",
        "n1.node.dc2.consul",
        "what.consul",
    ] {
        missing(name, A);
        missing(name, SRV);
    }
    for name in ["service.consul", "node.dc1.consul", "dc1.consul", "_tcp.service.consul"] {
        without(name, A);
    }
    for name in ["example.com", "notconsul", "com"] {
        is(name, A, &["Refused rd"]);
    }
    is("99.0.0.10.in-addr.arpa", PTR, &["ServFail rd"]);
}

#[test]
fn names_are_answered_in_the_letters_of_the_question() {
    let name = "V1.wEb.SERVICE.cOnsul";
    let found = ask_with(DnsOptions::default(), name, A);
    assert_eq!(found.queries[0].name.to_ascii(), format!("{name}."));
    assert_eq!(found.answers.len(), 1);
    assert_eq!(found.answers[0].name.to_ascii(), format!("{name}."));
}

#[test]
fn options_change_domain_times_and_health() {
    let seconds = Duration::from_secs;
    let ttl = [("*", 1), ("we*", 2), ("web", 3), ("w*", 4)];
    let options = DnsOptions {
        domain: "Cluster.Local.".to_owned(),
        only_passing: true,
        node_ttl: seconds(60),
        negative_ttl: seconds(5),
        service_ttl: ttl.map(|(name, ttl)| (name.to_owned(), seconds(ttl))).into(),
        ..DnsOptions::default()
    };
    let ask = |name: &str, kind| text(&ask_with(options.clone(), name, kind));
    let web = "web.service.cluster.local";
    assert_eq!(ask(web, A), format!("{OK}\n= {web}. 3 A 10.0.0.1"));
    let many = ask_with(options.clone(), "many.service.cluster.local", A);
    assert!(many.answers.len() == 200 && many.answers.iter().all(|record| record.ttl == 1));
    assert!(ask("n6.node.cluster.local", AAAA).ends_with(" 60 AAAA fd00::6"));
    let nothing = ask("x.node.cluster.local", A);
    let soa = "Cluster.Local. 5 SOA ns.Cluster.Local. hostmaster.Cluster.Local. 7 3600 600 86400 5";
    assert_eq!(nothing, format!("NXDomain aa rd\n^ {soa}"));
    assert_eq!(ask("web.service.consul", A), "Refused rd");
}

#[test]
fn a_domain_that_is_no_name_is_refused() {
    for domain in ["", ".", "a..b", &"x".repeat(64)] {
        let options = DnsOptions { domain: domain.to_owned(), ..DnsOptions::default() };
        let refused = crate::dns::Zone::new("dc1", options).expect_err("no domain");
        assert!(refused.to_string().contains("is no name"), "{refused}");
    }
}

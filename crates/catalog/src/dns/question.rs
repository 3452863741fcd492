//! What a name stands for.

use std::net::IpAddr;

use hickory_proto::rr::{Name, RecordType};

use super::packet::Asked;
use super::{Want, Zone, names};

/// Name of the service whose instances are the servers.
const SERVERS: &str = "consul";

/// What a name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Meant {
    /// Instances of a service, those with the tag.
    Service { name: String, tag: Option<String> },
    /// A node.
    Node(String),
    /// An address that is written in the name.
    Address(IpAddr),
    /// The name of an address.
    Reverse(IpAddr),
    /// The domain itself; with its servers, where they are asked for.
    Domain { servers: bool },
    /// A name that only has names below it.
    Empty,
    /// A name in the domain that stands for nothing.
    Missing,
    /// A name that is not ours to know.
    Foreign,
}

/// What has to be known for an answer.
pub(super) fn want(meant: &Meant) -> Want {
    match meant {
        Meant::Service { name, .. } => Want::Service(name.clone()),
        Meant::Node(name) => Want::Node(name.clone()),
        Meant::Reverse(address) => Want::Address(*address),
        Meant::Domain { servers: true } => Want::Service(SERVERS.to_owned()),
        Meant::Domain { servers: false }
        | Meant::Address(_)
        | Meant::Empty
        | Meant::Missing
        | Meant::Foreign => Want::Nothing,
    }
}

/// What is asked for.
pub(super) fn meant(asked: &Asked, zone: &Zone) -> Meant {
    let inside = zone.domain.zone_of(asked.name());
    match text(asked.name()) {
        // Nothing that is registered has such a name.
        None if inside => Meant::Missing,
        None => Meant::Foreign,
        Some(labels) if inside => {
            let own = labels.len() - usize::from(zone.domain.num_labels());
            let own = labels.get(..own).unwrap_or_default();
            if own.is_empty() {
                let kind = asked.kind();
                let servers = [RecordType::NS, RecordType::SOA, RecordType::ANY].contains(&kind);
                return Meant::Domain { servers };
            }
            in_domain(own, &zone.datacenter)
        }
        Some(labels) => names::from_reverse(&labels).map_or(Meant::Foreign, Meant::Reverse),
    }
}

fn text(name: &Name) -> Option<Vec<&str>> {
    name.iter().map(|label| std::str::from_utf8(label).ok()).collect()
}

#[derive(Clone, Copy)]
enum Kind {
    Service,
    Node,
    Address,
}

/// The last label that says what the ones before it are: what is registered may have such a name
/// too.
fn kind_of(labels: &[&str]) -> Option<(usize, Kind)> {
    let kinds = [
        ("service", Kind::Service),
        ("node", Kind::Node),
        ("server", Kind::Node),
        ("addr", Kind::Address),
    ];
    let place = |(at, label): (usize, &&str)| {
        let found = kinds.iter().find(|(name, _)| label.eq_ignore_ascii_case(name))?;
        Some((at, found.1))
    };
    labels.iter().enumerate().rev().find_map(place)
}

/// What labels before the domain stand for: `WHAT.KIND[.DATACENTER]`.
fn in_domain(labels: &[&str], datacenter: &str) -> Meant {
    let here = |rest: &[&str]| rest.join(".").eq_ignore_ascii_case(datacenter);
    let Some((at, kind)) = kind_of(labels) else {
        return if here(labels) { Meant::Empty } else { Meant::Missing };
    };
    let (what, rest) = labels.split_at(at);
    let rest = rest.get(1..).unwrap_or_default();
    if !rest.is_empty() && !here(rest) {
        return Meant::Missing;
    }
    match (kind, what) {
        (_, []) => Meant::Empty,
        (Kind::Service, what) => service(what),
        (Kind::Node, what) => Meant::Node(what.join(".")),
        (Kind::Address, [label]) => {
            names::from_hexadecimal(label).map_or(Meant::Missing, Meant::Address)
        }
        (Kind::Address, _) => Meant::Missing,
    }
}

/// `[TAG.]NAME`, or `_NAME._TAG` and `_NAME._tcp` (RFC 2782), where a transport is no tag.
fn service(labels: &[&str]) -> Meant {
    let transport = |tag: &str| ["tcp", "udp"].iter().any(|known| tag.eq_ignore_ascii_case(known));
    if let [name, tag] = labels
        && let (Some(name), Some(tag)) = (name.strip_prefix('_'), tag.strip_prefix('_'))
    {
        let tag = Some(tag).filter(|tag| !transport(tag)).map(str::to_owned);
        return Meant::Service { name: name.to_owned(), tag };
    }
    match labels {
        [name] if name.strip_prefix('_').is_some_and(transport) => Meant::Empty,
        [tags @ .., name] => {
            let tag = (!tags.is_empty()).then(|| tags.join("."));
            Meant::Service { name: (*name).to_owned(), tag }
        }
        [] => Meant::Empty,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service_of(name: &str, tag: Option<&str>) -> Meant {
        Meant::Service { name: name.to_owned(), tag: tag.map(str::to_owned) }
    }

    #[test]
    fn labels_mean_what_the_contract_says() {
        let cases = [
            ("web.service", service_of("web", None)),
            ("web.service.DC1", service_of("web", None)),
            ("v1.web.service", service_of("web", Some("v1"))),
            ("v1.2.web.service", service_of("web", Some("v1.2"))),
            ("_web._tcp.service", service_of("web", None)),
            ("_web._UDP.service.dc1", service_of("web", None)),
            ("_web._v1.service", service_of("web", Some("v1"))),
            ("_v1.web.service", service_of("web", Some("_v1"))),
            ("node.service", service_of("node", None)),
            ("service.service", service_of("service", None)),
            ("web.service.dc2", Meant::Missing),
            ("web.service.dc1.dc1", Meant::Missing),
            ("n1.node", Meant::Node("n1".to_owned())),
            ("n1.rack2.node.dc1", Meant::Node("n1.rack2".to_owned())),
            ("n1.server.dc1", Meant::Node("n1".to_owned())),
            ("0a010101.addr.dc1", Meant::Address([10, 1, 1, 1].into())),
            ("+a010101.addr", Meant::Missing),
            ("0a0101.addr", Meant::Missing),
            ("x.0a010101.addr", Meant::Missing),
            ("service", Meant::Empty),
            ("node.dc1", Meant::Empty),
            ("_tcp.service", Meant::Empty),
            ("dc1", Meant::Empty),
            ("dc2", Meant::Missing),
            ("web", Meant::Missing),
        ];
        for (text, expected) in cases {
            let labels: Vec<&str> = text.split('.').collect();
            assert_eq!(in_domain(&labels, "dc1"), expected, "{text}");
        }
    }
}

//! From what a name means and what is known to records.

use std::collections::HashSet;
use std::net::IpAddr;
use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, CNAME, NS, PTR, SOA, SRV, TXT};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;

use super::packet::{Asked, Entry, Sections};
use super::question::Meant;
use super::{Data, Moment, Owner, Zone, names};
use crate::model::{Instance, Node, Status};

/// Priority of every SRV record: there is one choice only.
const PRIORITY: u16 = 1;
/// Times of the zone's SOA record, in seconds, as Consul has them.
const REFRESH: i32 = 3600;
const RETRY: i32 = 600;
const EXPIRE: i32 = 86400;
/// Most records of somebody else's answer that are told on.
const ALIASED_MAX: usize = 64;
/// Longest text in a TXT record (RFC 1035); longer is several texts of one record.
const TEXT_MAX: usize = 255;
/// Meta with such a key is shown by its value alone, for texts that others define.
const BARE_META: &str = "rfc1035-";

/// The answer.
pub(super) fn sections(
    asked: &Asked,
    meant: &Meant,
    data: &Data,
    zone: &Zone,
    moment: Moment,
) -> Sections {
    let maker = Maker { asked, zone, moment };
    let recursion = maker.recursion();
    let refusal = |code| Sections { recursion, ..Sections::refusal(code) };
    let entries = match (meant, data) {
        (_, Data::Unavailable) => return refusal(ResponseCode::ServFail),
        (Meant::Foreign, _) => return refusal(ResponseCode::Refused),
        (Meant::Reverse(_), Data::Owner(owner)) => maker.owner(owner),
        (Meant::Reverse(_), _) => return refusal(ResponseCode::Refused),
        (Meant::Domain { .. }, data) => Some(maker.domain(data)),
        (Meant::Empty, _) => Some(Vec::new()),
        (Meant::Address(address), _) => Some(maker.address(*address)),
        (Meant::Node(_), Data::Node(node)) => Some(maker.node(node)),
        (Meant::Service { tag, .. }, Data::Instances(instances)) => {
            maker.service(instances, tag.as_deref())
        }
        (Meant::Missing | Meant::Node(_) | Meant::Service { .. }, _) => None,
    };
    maker.decided(entries)
}

/// The alias that is all of an answer to a question for addresses, where others have to know what it
/// stands for.
pub(super) fn foreign_alias<'s>(
    asked: &Asked,
    sections: &'s Sections,
    zone: &Zone,
) -> Option<&'s Name> {
    let [Entry { record, .. }] = sections.entries.as_slice() else { return None };
    let RData::CNAME(CNAME(name)) = &record.data else { return None };
    let of_address = [RecordType::A, RecordType::AAAA].contains(&asked.kind());
    (of_address && !zone.domain.zone_of(name)).then_some(name)
}

/// Records of somebody else's answer that an alias leads to.
pub(super) fn aliased(asked: &Asked, message: Message) -> impl Iterator<Item = Entry> {
    let kinds = [RecordType::CNAME, asked.kind()];
    let records = message.answers.into_iter();
    records
        .filter(move |record| kinds.contains(&record.record_type()))
        .take(ALIASED_MAX)
        .map(|record| Entry { record, extra: Vec::new() })
}

/// Seconds, at most what a record can say (RFC 2181).
fn seconds(ttl: Duration) -> u32 {
    u32::try_from(ttl.as_secs()).unwrap_or(u32::MAX).min(i32::MAX as u32)
}

/// A host name, in the same letters however it was written.
fn host(address: &str) -> Option<Name> {
    names::dotted(address).map(|name| name.to_lowercase())
}

fn address_data(address: IpAddr) -> RData {
    match address {
        IpAddr::V4(address) => RData::A(A(address)),
        IpAddr::V6(address) => RData::AAAA(AAAA(address)),
    }
}

struct Maker<'a> {
    asked: &'a Asked,
    zone: &'a Zone,
    moment: Moment,
}

impl Maker<'_> {
    /// What is there, or that nothing is (`None`), or nothing of this type; for the last two with
    /// how long that may be kept.
    fn decided(&self, entries: Option<Vec<Entry>>) -> Sections {
        let code = if entries.is_some() { ResponseCode::NoError } else { ResponseCode::NXDomain };
        let entries = entries.unwrap_or_default();
        let nothing = entries.is_empty();
        let authorities = self.soa().filter(|_| nothing).into_iter().collect();
        let recursion = self.recursion();
        Sections { code, authoritative: true, recursion, entries, authorities }
    }

    /// Whether others can be asked here.
    fn recursion(&self) -> bool {
        !self.zone.options.recursors.is_empty()
    }

    /// A record under the name that was asked for, in its letters.
    fn entry(&self, ttl: u32, data: RData) -> Entry {
        let record = Record::from_rdata(self.asked.name().clone(), ttl, data);
        Entry { record, extra: Vec::new() }
    }

    fn asks(&self, kind: RecordType) -> bool {
        [kind, RecordType::ANY].contains(&self.asked.kind())
    }

    /// A record with the address, where its type is asked for.
    fn address_entry(&self, address: IpAddr, ttl: u32) -> Option<Entry> {
        let data = address_data(address);
        self.asks(data.record_type()).then(|| self.entry(ttl, data))
    }

    /// An alias for a host name, where addresses are asked for.
    fn alias(&self, address: &str, ttl: u32) -> Option<Entry> {
        let kinds = [RecordType::A, RecordType::AAAA, RecordType::CNAME, RecordType::ANY];
        let name = host(address).filter(|_| kinds.contains(&self.asked.kind()))?;
        Some(self.entry(ttl, RData::CNAME(CNAME(name))))
    }

    fn address(&self, address: IpAddr) -> Vec<Entry> {
        self.address_entry(address, self.node_ttl()).into_iter().collect()
    }

    fn node(&self, node: &Node) -> Vec<Entry> {
        let ttl = self.node_ttl();
        let mut entries: Vec<Entry> = match node.address.parse() {
            Ok(address) => self.address_entry(address, ttl).into_iter().collect(),
            Err(_) => self.alias(&node.address, ttl).into_iter().collect(),
        };
        let texts = node.meta.iter().map(|(key, value)| self.entry(ttl, meta(key, value)));
        if self.asks(RecordType::TXT) {
            entries.extend(texts);
        } else if let Some(first) = entries.first_mut() {
            first.extra = texts.map(|entry| entry.record).collect();
        }
        entries
    }

    /// `None` where no instance can be used.
    fn service(&self, instances: &[Instance], tag: Option<&str>) -> Option<Vec<Entry>> {
        let worst = if self.zone.options.only_passing { Status::Passing } else { Status::Warning };
        let fits = |instance: &&Instance| {
            let tags = &instance.service.value.tags;
            let tagged = tag.is_none_or(|tag| tags.iter().any(|own| same(own, tag)));
            tagged && instance.status() <= worst
        };
        let mut usable: Vec<&Instance> = instances.iter().filter(fits).collect();
        usable.shuffle(&mut StdRng::seed_from_u64(self.moment.seed));
        let ttl = self.service_ttl(&usable.first()?.service.value.name);
        let mut entries =
            if self.asks(RecordType::SRV) { self.places(&usable, ttl) } else { Vec::new() };
        if self.asked.kind() != RecordType::SRV {
            entries.extend(self.addresses(&usable, ttl));
        }
        Some(entries)
    }

    /// Addresses of instances, each once. A name with an alias can have nothing else, so the first
    /// host name is told only where there is nothing else.
    fn addresses(&self, usable: &[&Instance], ttl: u32) -> Vec<Entry> {
        let mut seen = HashSet::new();
        let mut entries = Vec::new();
        let mut alias = None;
        for address in usable.iter().map(|instance| instance.address()) {
            match address.parse::<IpAddr>() {
                Ok(address) if seen.insert(address) => {
                    entries.extend(self.address_entry(address, ttl));
                }
                Ok(_) => {}
                Err(_) => alias = alias.or_else(|| self.alias(address, ttl)),
            }
        }
        // Asked for anything, the SRV records stand beside it.
        let alone = seen.is_empty() && self.asked.kind() != RecordType::ANY;
        if alone { alias.into_iter().collect() } else { entries }
    }

    /// Places of instances, each once, with the addresses of their targets.
    fn places(&self, usable: &[&Instance], ttl: u32) -> Vec<Entry> {
        let (mut places, mut targets) = (HashSet::new(), HashSet::new());
        let mut entries = Vec::new();
        for instance in usable {
            let service = &instance.service.value;
            let Some((target, address)) = self.target(instance) else { continue };
            if !places.insert((target.clone(), service.port)) {
                continue;
            }
            let weight = match instance.status() {
                Status::Passing => service.weights.passing,
                Status::Warning | Status::Critical => service.weights.warning,
            };
            let place = SRV::new(PRIORITY, weight, service.port, target.clone());
            let mut entry = self.entry(ttl, RData::SRV(place));
            if let Some(address) = address.filter(|_| targets.insert(target.clone())) {
                entry.extra.push(Record::from_rdata(target, ttl, address_data(address)));
            }
            entries.push(entry);
        }
        entries
    }

    /// The name of the place of an instance, with its address where it has one. `None` where what
    /// was registered is no name.
    fn target(&self, instance: &Instance) -> Option<(Name, Option<IpAddr>)> {
        let address = instance.address();
        let Ok(address) = address.parse::<IpAddr>() else {
            return host(address).map(|name| (name, None));
        };
        let own = !instance.service.value.address.is_empty();
        let of_node = || self.below(&instance.node.value.name, "node");
        let of_address = || self.below(&names::hexadecimal(address), "addr");
        let name = if own { of_address() } else { of_node().or_else(of_address) };
        Some((name?, Some(address)))
    }

    /// Records of the domain itself.
    fn domain(&self, data: &Data) -> Vec<Entry> {
        let zone = self.soa().filter(|_| self.asks(RecordType::SOA));
        let zone = zone.map(|record| Entry { record, extra: Vec::new() });
        let instances = match data {
            Data::Instances(instances) if self.asks(RecordType::NS) => instances.as_slice(),
            _ => &[],
        };
        let ttl = self.node_ttl();
        let servers = instances.iter().filter_map(|server| {
            let node = &server.node.value;
            let name = self.below(&node.name, "server")?;
            let mut entry = self.entry(ttl, RData::NS(NS(name.clone())));
            let address = node.address.parse().ok().map(address_data);
            let record = |address| Record::from_rdata(name, ttl, address);
            entry.extra = address.map(record).into_iter().collect();
            Some(entry)
        });
        zone.into_iter().chain(servers).collect()
    }

    /// `None` where the owner's name is no name of DNS.
    fn owner(&self, owner: &Owner) -> Option<Vec<Entry>> {
        let (name, ttl) = match owner {
            Owner::Node(name) => (self.below(name, "node")?, self.node_ttl()),
            Owner::Service(name) => (self.below(name, "service")?, self.service_ttl(name)),
        };
        let entry = self.asks(RecordType::PTR).then(|| self.entry(ttl, RData::PTR(PTR(name))));
        Some(entry.into_iter().collect())
    }

    fn below(&self, text: &str, kind: &str) -> Option<Name> {
        names::below(text, kind, &self.zone.datacenter, &self.zone.domain)
    }

    /// `None` where the domain is so long that nothing fits before it.
    fn soa(&self) -> Option<Record> {
        let domain = &self.zone.domain;
        let negative = seconds(self.zone.options.negative_ttl);
        let within = |label| names::of_labels([label])?.append_domain(domain).ok();
        let soa = SOA::new(
            within("ns")?,
            within("hostmaster")?,
            self.moment.serial,
            REFRESH,
            RETRY,
            EXPIRE,
            negative,
        );
        Some(Record::from_rdata(domain.clone(), negative, RData::SOA(soa)))
    }

    fn node_ttl(&self) -> u32 {
        seconds(self.zone.options.node_ttl)
    }

    fn service_ttl(&self, name: &str) -> u32 {
        let table = &self.zone.options.service_ttl;
        let fits = |pattern: &str| match pattern.strip_suffix('*') {
            Some(begin) => name.starts_with(begin),
            None => false,
        };
        let wide = || {
            let fitting = table.iter().filter(|(pattern, _)| fits(pattern));
            fitting.max_by_key(|(pattern, _)| pattern.len()).map(|(_, ttl)| ttl)
        };
        table.get(name).or_else(wide).copied().map_or(0, seconds)
    }
}

fn same(one: &str, other: &str) -> bool {
    one == other || one.to_lowercase() == other.to_lowercase()
}

/// A meta entry as texts.
fn meta(key: &str, value: &str) -> RData {
    let text = match key.get(..BARE_META.len()) {
        Some(begin) if begin.eq_ignore_ascii_case(BARE_META) => value.to_owned(),
        _ => format!("{key}={value}"),
    };
    let mut parts: Vec<&[u8]> = text.as_bytes().chunks(TEXT_MAX).collect();
    if parts.is_empty() {
        parts.push(b"");
    }
    RData::TXT(TXT::from_bytes(parts))
}

//! Names from text, and text from names. Text may be anything that was registered.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hickory_proto::rr::Name;

/// Longest label in bytes (RFC 1035).
const LABEL_MAX: usize = 63;

/// A name of labels, which may have any bytes; `None` where they are no name.
pub(super) fn of_labels<'a>(labels: impl IntoIterator<Item = &'a str>) -> Option<Name> {
    let mut name = Name::root();
    let mut any = false;
    for label in labels {
        if label.is_empty() || label.len() > LABEL_MAX {
            return None;
        }
        name = name.append_label(label.as_bytes()).ok()?;
        any = true;
    }
    name.set_fqdn(true);
    any.then_some(name)
}

/// A name of text with dots, with or without one at its end.
pub(super) fn dotted(text: &str) -> Option<Name> {
    of_labels(text.strip_suffix('.').unwrap_or(text).split('.'))
}

/// `LABELS.KIND.DATACENTER.DOMAIN.`
pub(super) fn below(text: &str, kind: &str, datacenter: &str, domain: &Name) -> Option<Name> {
    let own = text.split('.').chain([kind]).chain(datacenter.split('.'));
    of_labels(own)?.append_domain(domain).ok()
}

/// An address as a label: 8 or 32 hexadecimal digits.
pub(super) fn hexadecimal(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => format!("{:08x}", u32::from(address)),
        IpAddr::V6(address) => format!("{:032x}", u128::from(address)),
    }
}

/// The address that a label stands for.
pub(super) fn from_hexadecimal(label: &str) -> Option<IpAddr> {
    // The parsers of numbers take a sign too.
    if !label.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    match label.len() {
        8 => Some(Ipv4Addr::from(u32::from_str_radix(label, 16).ok()?).into()),
        32 => Some(Ipv6Addr::from(u128::from_str_radix(label, 16).ok()?).into()),
        _ => None,
    }
}

/// The address of a reverse name: `4.3.2.1.in-addr.arpa.`, or 32 digits under `ip6.arpa.`
pub(super) fn from_reverse(labels: &[&str]) -> Option<IpAddr> {
    let (numbers, zone) = labels.split_at_checked(labels.len().checked_sub(2)?)?;
    let [kind, arpa] = zone else { return None };
    if !arpa.eq_ignore_ascii_case("arpa") {
        return None;
    }
    if kind.eq_ignore_ascii_case("in-addr") && numbers.len() == 4 {
        let dotted: Vec<&str> = numbers.iter().rev().copied().collect();
        return dotted.join(".").parse::<Ipv4Addr>().ok().map(IpAddr::V4);
    }
    if kind.eq_ignore_ascii_case("ip6") && numbers.iter().all(|digit| digit.len() == 1) {
        let digits: String = numbers.iter().rev().copied().collect();
        return from_hexadecimal(&digits).filter(IpAddr::is_ipv6);
    }
    None
}

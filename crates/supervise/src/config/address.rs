//! What the machine has, and which of its addresses is announced.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::interfaces::Interfaces;

/// Everything that a configuration depends on beside its file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// The environment: whole values, also those with `=` in them.
    pub env: BTreeMap<String, String>,
    /// Name of this machine, part of the identity of its services.
    pub hostname: String,
    /// Its addresses.
    pub interfaces: Interfaces,
    /// The main application that the command line names, for files of version 2.
    pub app: Vec<String>,
    /// Version of the program: a tag of the telemetry service, where it is known.
    pub version: Option<String>,
}

/// Where an address is looked for where the file does not say.
pub(super) const DEFAULT: [&str; 2] = ["eth0:inet", "inet"];

/// One way to choose an address.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Spec<'a> {
    Static(IpAddr),
    Network { base: IpAddr, bits: u8 },
    Family { name: Option<&'a str>, v6: bool },
    Index { name: &'a str, index: usize },
}

/// The first address that the first specification that matches any gives.
pub(super) fn choose(specs: &[String], interfaces: &Interfaces) -> Result<IpAddr, String> {
    let parsed: Vec<Spec<'_>> = specs.iter().map(|spec| parse(spec)).collect::<Result<_, _>>()?;
    if let Some(Spec::Static(address)) = parsed.first() {
        return Ok(*address);
    }
    let mut sorted: Vec<&(String, IpAddr)> = interfaces.get()?.iter().collect();
    sorted.sort_by_key(|(name, address)| (name.as_str(), mapped(*address)));
    sorted.dedup();
    parsed.iter().find_map(|spec| spec.first(&sorted)).ok_or_else(|| {
        let found: Vec<String> =
            sorted.iter().map(|(name, address)| format!("{name}:{address}")).collect();
        format!(
            "none of the interface specifications were able to match\nSpecifications: [{}]\n\
             Interfaces IPs: [{}]",
            specs.join(" "),
            found.join(" ")
        )
    })
}

/// An address in 16 bytes.
fn mapped(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

fn parse(text: &str) -> Result<Spec<'_>, String> {
    if let Some(address) = text.strip_prefix("static:") {
        let address = address.parse();
        let fault = |_| format!("Unable to parse static ip static: in {text}");
        return address.map(Spec::Static).map_err(fault);
    }
    let spec = match text {
        "inet" => Some(Spec::Family { name: None, v6: false }),
        "inet6" => Some(Spec::Family { name: None, v6: true }),
        _ if text.contains('/') => network(text),
        _ => interface(text),
    };
    spec.ok_or_else(|| format!("Unable to parse interface spec: {text}"))
}

fn network(text: &str) -> Option<Spec<'_>> {
    let (base, bits) = text.split_once('/')?;
    let base: IpAddr = base.parse().ok()?;
    let bits: u8 = bits.parse().ok()?;
    let most = if base.is_ipv4() { 32 } else { 128 };
    (bits <= most).then_some(Spec::Network { base, bits })
}

/// `NAME`, `NAME:inet`, `NAME:inet6` or `NAME[INDEX]`. Names may have dashes and dots, which the
/// original did not take.
fn interface(text: &str) -> Option<Spec<'_>> {
    let end = text.find(['[', ':']).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let fits = |c: char| c.is_alphanumeric() || "_-.@".contains(c);
    if name.is_empty() || !name.chars().all(fits) {
        return None;
    }
    match rest {
        "" | ":inet" => Some(Spec::Family { name: Some(name), v6: false }),
        ":inet6" => Some(Spec::Family { name: Some(name), v6: true }),
        _ => {
            let index = rest.strip_prefix('[')?.strip_suffix(']')?;
            if !index.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            index.parse().ok().map(|index| Spec::Index { name, index })
        }
    }
}

impl Spec<'_> {
    fn first(&self, sorted: &[&(String, IpAddr)]) -> Option<IpAddr> {
        let mut addresses = sorted.iter().map(|(name, address)| (name.as_str(), *address));
        let found = match self {
            Self::Static(address) => return Some(*address),
            Self::Network { base, bits } => {
                addresses.find(|(_, address)| inside(*address, *base, *bits))
            }
            Self::Family { name: None, v6 } => {
                addresses.find(|(_, address)| address.is_ipv6() == *v6 && !address.is_loopback())
            }
            Self::Family { name: Some(wanted), v6 } => {
                addresses.find(|(name, address)| name == wanted && address.is_ipv6() == *v6)
            }
            Self::Index { name: wanted, index } => {
                addresses.filter(|(name, _)| name == wanted).nth(*index)
            }
        };
        found.map(|(_, address)| address)
    }
}

fn inside(address: IpAddr, base: IpAddr, bits: u8) -> bool {
    if address.is_ipv4() != base.is_ipv4() {
        return false;
    }
    let bits = if base.is_ipv4() { u32::from(bits) + 96 } else { u32::from(bits) };
    let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
    u128::from_be_bytes(mapped(address)) & mask == u128::from_be_bytes(mapped(base)) & mask
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here() -> Interfaces {
        let pairs = [
            ("lo", "127.0.0.1"),
            ("lo", "::1"),
            ("eth1", "10.0.1.2"),
            ("eth0", "fdc6:238c:c4bc::1"),
            ("eth0", "192.168.1.100"),
            ("eth0", "10.2.0.1"),
            ("br-lan", "172.17.0.1"),
            ("eth0.100", "10.100.0.9"),
        ];
        let known =
            |(name, address): (&str, &str)| (name.to_owned(), address.parse().expect("an address"));
        Interfaces::known(pairs.map(known).to_vec())
    }

    fn chosen(specs: &[&str]) -> Result<String, String> {
        let specs: Vec<String> = specs.iter().map(|spec| (*spec).to_owned()).collect();
        choose(&specs, &here()).map(|address| address.to_string())
    }

    #[test]
    fn every_form_finds_its_address() {
        for (spec, expected) in [
            ("inet", "172.17.0.1"),
            ("inet6", "fdc6:238c:c4bc::1"),
            ("eth0", "10.2.0.1"),
            ("eth0:inet", "10.2.0.1"),
            ("eth0:inet6", "fdc6:238c:c4bc::1"),
            ("eth0[0]", "10.2.0.1"),
            ("eth0[1]", "192.168.1.100"),
            ("eth0[2]", "fdc6:238c:c4bc::1"),
            ("lo", "127.0.0.1"),
            ("10.0.0.0/16", "10.0.1.2"),
            ("192.168.1.100/32", "192.168.1.100"),
            ("fdc6::/16", "fdc6:238c:c4bc::1"),
            ("static:192.0.2.7", "192.0.2.7"),
            ("static:2001:db8::1", "2001:db8::1"),
        ] {
            assert_eq!(chosen(&[spec]), Ok(expected.to_owned()), "{spec}");
        }
    }

    #[test]
    fn complaint_18_interface_names_with_dashes_and_dots() {
        assert_eq!(chosen(&["br-lan"]), Ok("172.17.0.1".into()));
        assert_eq!(chosen(&["eth0.100:inet"]), Ok("10.100.0.9".into()));
    }

    #[test]
    fn the_first_specification_that_matches_wins() {
        assert_eq!(chosen(&["eth7", "10.9.0.0/16", "eth1"]), Ok("10.0.1.2".into()));
    }

    #[test]
    fn faults_have_their_texts() {
        let text = |spec: &str| chosen(&[spec]).expect_err("wrong");
        for spec in ["", "eth0:inet7", "eth0[x]", "eth0[]", "10.0.0.0/33", "x/8", "a b"] {
            assert_eq!(text(spec), format!("Unable to parse interface spec: {spec}"));
        }
        assert_eq!(text("static:99"), "Unable to parse static ip static: in static:99");
        let expected = "none of the interface specifications were able to match\n\
                        Specifications: [eth7 lo[5]]\n\
                        Interfaces IPs: [br-lan:172.17.0.1 eth0:10.2.0.1 eth0:192.168.1.100 \
                        eth0:fdc6:238c:c4bc::1 eth0.100:10.100.0.9 eth1:10.0.1.2 lo:::1 lo:127.0.0.1]";
        assert_eq!(chosen(&["eth7", "lo[5]"]), Err(expected.into()));
    }

    proptest::proptest! {
        #[test]
        fn no_specification_breaks_it(spec in "(static:|inet|eth0|lo|[\\[\\]:/.]|[0-9]{1,3}|\\PC){0,8}") {
            drop(choose(&[spec], &here()));
        }
    }
}

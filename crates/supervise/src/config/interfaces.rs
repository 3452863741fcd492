//! The addresses of this machine, asked of the kernel over netlink.
//!
//! Layout of the messages: `rtnetlink(7)` and `linux/if_addr.h`. All numbers are in the byte order
//! of the machine.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::sync::OnceLock;
use std::time::Duration;

use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netdevice, recv, send,
    socket_with, sockopt,
};

use super::address::Surroundings;

const HEADER: usize = 16;
const ADDRESS_HEADER: usize = 8;
const RTM_GETADDR: u16 = 22;
const RTM_NEWADDR: u16 = 20;
const NLMSG_DONE: u16 = 3;
const NLMSG_ERROR: u16 = 2;
/// `NLM_F_REQUEST | NLM_F_DUMP`
const DUMP: u16 = 0x301;
const IFA_ADDRESS: u16 = 1;
/// On a point-to-point link the address above is the peer's, and this one is ours.
const IFA_LOCAL: u16 = 2;
/// The kernel fills pages of this size at most.
const BUFFER: usize = 64 * 1024;
/// The kernel answers at once; a sandbox that pretends to be one may not.
const PATIENCE: Duration = Duration::from_secs(2);

/// Addresses with the names of their interfaces, in any order. None by default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interfaces(OnceLock<Result<Vec<(String, IpAddr)>, String>>);

impl Default for Interfaces {
    fn default() -> Self {
        Self::known(Vec::new())
    }
}

impl Interfaces {
    /// Those of this machine, asked for when a configuration first needs one: many have no service.
    pub fn of_this_machine() -> Self {
        Self(OnceLock::new())
    }

    /// These and no others.
    pub fn known(interfaces: Vec<(String, IpAddr)>) -> Self {
        Self(OnceLock::from(Ok(interfaces)))
    }

    /// The addresses.
    ///
    /// # Errors
    /// The kernel did not say; the text is for the user.
    pub fn get(&self) -> Result<&[(String, IpAddr)], String> {
        let asked = || ask().map_err(|error| format!("the addresses cannot be read: {error}"));
        self.0.get_or_init(asked).as_deref().map_err(Clone::clone)
    }
}

impl Surroundings {
    /// Those of this process without an application. A variable that is not UTF-8 keeps what is.
    pub fn here(version: Option<String>) -> Self {
        let env = std::env::vars_os()
            .map(|(name, value)| {
                (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned())
            })
            .collect::<BTreeMap<_, _>>();
        let hostname = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let interfaces = Interfaces::of_this_machine();
        Self { env, hostname, interfaces, app: Vec::new(), version }
    }
}

fn ask() -> io::Result<Vec<(String, IpAddr)>> {
    let kind = SocketType::RAW;
    let socket = socket_with(AddressFamily::NETLINK, kind, SocketFlags::CLOEXEC, None)?;
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(PATIENCE))?;
    send(&socket, &request(), SendFlags::empty())?;
    let mut found = Vec::new();
    let mut buffer = vec![0; BUFFER];
    loop {
        let (length, _) = recv(&socket, buffer.as_mut_slice(), RecvFlags::empty())?;
        let part = read(buffer.get(..length).unwrap_or_default())?;
        found.extend(part.addresses);
        if part.last {
            break;
        }
    }
    let name = |(index, address)| {
        // An interface may be gone by now.
        netdevice::index_to_name(&socket, index).ok().map(|name| (name, address))
    };
    Ok(found.into_iter().filter_map(name).collect())
}

/// Asks for all addresses. Netlink of routes is the protocol 0.
fn request() -> Vec<u8> {
    let length = (HEADER + ADDRESS_HEADER) as u32;
    let mut bytes = Vec::new();
    bytes.extend(length.to_ne_bytes());
    bytes.extend(RTM_GETADDR.to_ne_bytes());
    bytes.extend(DUMP.to_ne_bytes());
    bytes.extend([0; 8 + ADDRESS_HEADER]);
    bytes
}

/// A part of an answer.
#[derive(Debug, Default, PartialEq, Eq)]
struct Part {
    /// Addresses with the indexes of their interfaces.
    addresses: Vec<(u32, IpAddr)>,
    /// No more parts come.
    last: bool,
}

fn read(mut bytes: &[u8]) -> io::Result<Part> {
    let mut part = Part::default();
    if bytes.len() < HEADER {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the kernel's answer is empty"));
    }
    while bytes.len() >= HEADER {
        let length = u32_at(bytes, 0) as usize;
        if length < HEADER || length > bytes.len() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the kernel's answer is cut"));
        }
        let (message, rest) = bytes.split_at(length);
        match u16_at(message, 4) {
            NLMSG_DONE => part.last = true,
            NLMSG_ERROR => {
                let code = u32_at(message, HEADER).cast_signed();
                return Err(io::Error::from_raw_os_error(code.saturating_neg()));
            }
            RTM_NEWADDR => part.addresses.extend(address(message)),
            _ => {}
        }
        bytes = rest.get(padding(length)..).unwrap_or_default();
    }
    Ok(part)
}

/// The interface and the address of one message.
fn address(message: &[u8]) -> Option<(u32, IpAddr)> {
    let index = u32_at(message, HEADER + 4);
    let mut attributes = message.get(HEADER + ADDRESS_HEADER..)?;
    let mut found = None;
    while attributes.len() >= 4 {
        let length = usize::from(u16_at(attributes, 0));
        if length < 4 || length > attributes.len() {
            return None;
        }
        let (attribute, rest) = attributes.split_at(length);
        let kind = u16_at(attribute, 2);
        if kind == IFA_LOCAL || (kind == IFA_ADDRESS && found.is_none()) {
            found = ip(attribute.get(4..).unwrap_or_default()).or(found);
        }
        attributes = rest.get(padding(length)..).unwrap_or_default();
    }
    found.map(|address| (index, address))
}

fn ip(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from);
    v4.or_else(|| <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from))
}

/// Bytes up to the next multiple of four.
fn padding(length: usize) -> usize {
    length.next_multiple_of(4) - length
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    let two = bytes.get(at..at + 2).and_then(|two| two.try_into().ok());
    two.map_or(0, u16::from_ne_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let four = bytes.get(at..at + 4).and_then(|four| four.try_into().ok());
    four.map_or(0, u32::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut bytes = ((value.len() + 4) as u16).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn message(kind: u16, index: u32, attributes: &[Vec<u8>]) -> Vec<u8> {
        let body: Vec<u8> = attributes.concat();
        let mut bytes = ((HEADER + ADDRESS_HEADER + body.len()) as u32).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend([0; 14]);
        bytes.extend(index.to_ne_bytes());
        bytes.extend(body);
        bytes
    }

    #[test]
    fn answers_are_read_part_by_part() {
        let text = attribute(3, b"eth0\0");
        let v4 =
            message(20, 2, &[attribute(1, &[10, 0, 0, 1]), attribute(2, &[10, 0, 0, 2]), text]);
        let mut loopback = [0; 16];
        loopback[15] = 1;
        let v6 = message(20, 1, &[attribute(1, &loopback)]);
        let part = read(&[v4, v6, message(16, 9, &[])].concat()).expect("it reads");
        let expected = ["10.0.0.2", "::1"].map(|ip| ip.parse().expect("an IP"));
        assert_eq!(part.addresses, [(2, expected[0]), (1, expected[1])]);
        assert!(!part.last);
        assert!(read(&message(3, 0, &[])).expect("the end").last);
        let denied = read(&message(2, 0, &[])).expect_err("an error");
        assert_eq!(denied.raw_os_error(), Some(0));
        assert!(read(&[]).is_err());
        assert!(read(&message(20, 1, &[])[..20]).is_err());
    }

    #[test]
    fn this_machine_has_a_loopback_address() {
        let here = Surroundings::here(None);
        assert!(!here.hostname.is_empty());
        assert_eq!(here.env.get("PATH"), std::env::var("PATH").ok().as_ref());
        let interfaces = match here.interfaces.get() {
            Ok(interfaces) => interfaces,
            Err(fault) => {
                eprintln!("not run, promise untested (address choice): {fault}");
                return;
            }
        };
        let loopback = interfaces.iter().find(|(name, _)| name == "lo");
        assert!(loopback.is_none_or(|(_, address)| address.is_loopback()), "{interfaces:?}");
    }

    proptest::proptest! {
        #[test]
        fn no_answer_breaks_it(bytes: Vec<u8>) {
            drop(read(&bytes));
        }

        #[test]
        fn no_attribute_breaks_it(bytes: Vec<u8>) {
            drop(read(&message(20, 1, &[bytes])));
        }
    }
}

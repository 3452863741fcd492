//! Who a certificate speaks for: cluster, role and node, and their text form in a certificate.

use std::fmt;
use std::str::FromStr;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

/// Scheme of the identity URI.
const SCHEME: &str = "regrow://";

/// Why a text is not an identity or a part of one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// The text is not `regrow://CLUSTER/ROLE/NODE`.
    #[error("read the identity {text:?}: expected regrow://CLUSTER/ROLE/NODE")]
    Form {
        /// What was read, shortened.
        text: String,
    },
    /// A cluster id is 32 lowercase hexadecimal digits.
    #[error("read the cluster id {text:?}: expected 32 lowercase hexadecimal digits")]
    Cluster {
        /// What was read, shortened.
        text: String,
    },
    /// A role is `server` or `worker`.
    #[error("read the role {text:?}: expected server or worker")]
    Role {
        /// What was read, shortened.
        text: String,
    },
    /// A node number is a decimal number from 1 without leading zeros.
    #[error("read the node number {text:?}: expected a decimal number from 1")]
    Node {
        /// What was read, shortened.
        text: String,
    },
}

/// Keeps error texts short whatever was sent.
fn shorten(text: &str) -> String {
    text.chars().take(80).collect()
}

/// Random 128-bit name of a cluster; printed as 32 lowercase hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterId([u8; 16]);

impl ClusterId {
    /// A new id from the operating system's randomness.
    pub fn random() -> Self {
        Self(rand::random())
    }

    /// An id from its 16 bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClusterId({self})")
    }
}

impl FromStr for ClusterId {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, IdentityError> {
        let bytes = HEXLOWER.decode(text.as_bytes()).ok();
        let bytes = bytes.and_then(|bytes| <[u8; 16]>::try_from(bytes).ok());
        bytes.map(Self).ok_or_else(|| IdentityError::Cluster { text: shorten(text) })
    }
}

impl Serialize for ClusterId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ClusterId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// What a node may do for the cluster. It stands in the certificate, never in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// May vote in the control group and serve its calls.
    Server,
    /// Runs what it is given.
    Worker,
}

impl Role {
    /// All roles, for tables and tests.
    pub const ALL: [Self; 2] = [Self::Server, Self::Worker];

    /// The word in URIs, DNS names and commands.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Worker => "worker",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Role {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, IdentityError> {
        let found = Self::ALL.into_iter().find(|role| role.as_str() == text);
        found.ok_or_else(|| IdentityError::Role { text: shorten(text) })
    }
}

/// Number of a node, from 1, given out once by the cluster and never used again.
///
/// It is also the node's number in the control group's membership.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeNumber(u64);

impl NodeNumber {
    /// Wraps a raw number. Zero is accepted here and refused in certificates.
    pub const fn new(raw: u64) -> Self {
        Self(raw)
    }

    /// The raw number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for NodeNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for NodeNumber {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, IdentityError> {
        let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
        let number = text.parse().ok().filter(|_| plain);
        number.map(Self).ok_or_else(|| IdentityError::Node { text: shorten(text) })
    }
}

/// Who a certificate speaks for; prints and parses as `regrow://CLUSTER/ROLE/NODE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct NodeIdentity {
    /// The cluster whose authority signed.
    pub cluster: ClusterId,
    /// What the node may do.
    pub role: Role,
    /// Which node it is.
    pub node: NodeNumber,
}

impl NodeIdentity {
    /// The DNS name in the certificate, `NODE.ROLE.CLUSTER.regrow`, for tools that want one; our
    /// own verifiers look at the URI only.
    pub fn dns_name(&self) -> String {
        format!("{}.{}.{}.regrow", self.node, self.role, self.cluster)
    }
}

impl fmt::Display for NodeIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}/{}/{}", self.cluster, self.role, self.node)
    }
}

impl FromStr for NodeIdentity {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, IdentityError> {
        let form = || IdentityError::Form { text: shorten(text) };
        let mut parts = text.strip_prefix(SCHEME).ok_or_else(form)?.split('/');
        let mut part = || parts.next().ok_or_else(form);
        let (cluster, role, node) = (part()?.parse()?, part()?.parse()?, part()?.parse()?);
        if parts.next().is_some() {
            return Err(form());
        }
        Ok(Self { cluster, role, node })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLUSTER: &str = "000102030405060708090a0b0c0d0e0f";

    #[test]
    fn the_text_form_comes_back() {
        let text = format!("regrow://{CLUSTER}/server/17");
        let identity: NodeIdentity = text.parse().unwrap();
        assert_eq!(identity.role, Role::Server);
        assert_eq!(identity.node, NodeNumber::new(17));
        assert_eq!(identity.to_string(), text);
        assert_eq!(identity.dns_name(), format!("17.server.{CLUSTER}.regrow"));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "regrow://",
            "http://000102030405060708090a0b0c0d0e0f/server/1",
            "regrow://000102030405060708090A0B0C0D0E0F/server/1",
            "regrow://0001/server/1",
            "regrow://000102030405060708090a0b0c0d0e0f/admin/1",
            "regrow://000102030405060708090a0b0c0d0e0f/Server/1",
            "regrow://000102030405060708090a0b0c0d0e0f/server/0",
            "regrow://000102030405060708090a0b0c0d0e0f/server/01",
            "regrow://000102030405060708090a0b0c0d0e0f/server/+1",
            "regrow://000102030405060708090a0b0c0d0e0f/server/",
            "regrow://000102030405060708090a0b0c0d0e0f/server",
            "regrow://000102030405060708090a0b0c0d0e0f/server/1/",
            "regrow://000102030405060708090a0b0c0d0e0f/server/99999999999999999999",
        ] {
            assert!(text.parse::<NodeIdentity>().is_err(), "{text}");
        }
    }
}

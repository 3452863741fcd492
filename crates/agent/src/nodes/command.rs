//! What can be asked of the machine, and what it answers.

use regrow_pki::{NodeNumber, Role, TokenFault, TokenId, TokenRecord};
use serde::{Deserialize, Serialize};

use crate::nodes::record::{ClusterRecord, VERSION, decode, encode};

/// Longest name of a node, in bytes.
const NAME_LIMIT: usize = 63;

/// A change of the nodes. `now_ms` is the wall clock of the server that asks.
///
/// Logs hold these: a kind keeps its place and its fields for ever, and new ones come last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Founds the cluster with its first node, a server.
    Found {
        /// The cluster.
        cluster: ClusterRecord,
        /// The founder's name.
        name: String,
        /// Where it answers.
        address: String,
    },
    /// A backup was taken over by a node with the next number: it is the only one left.
    Restored {
        /// Its number.
        number: NodeNumber,
        /// Its name.
        name: String,
        /// Where it answers.
        address: String,
    },
    /// Keeps a token with which nodes may join.
    PutToken(TokenRecord),
    /// Forgets a token.
    RevokeToken(TokenId),
    /// Lets a node in that showed a token's secret. Asked by programs of before; now it is
    /// [`AdmitKey`](Self::AdmitKey).
    Admit {
        /// The token.
        token: TokenId,
        /// SHA-256 of the secret that it showed.
        hash: [u8; 32],
        /// The node's name.
        name: String,
        /// Where it answers.
        address: String,
        /// The server's clock.
        now_ms: u64,
    },
    /// A node answers elsewhere now, or trusts newer roots.
    Report {
        /// The node.
        number: NodeNumber,
        /// Where it answers.
        address: String,
        /// Edition of the authority whose roots it trusts.
        trusts: u64,
    },
    /// The leader hears a node again, or no more.
    SetAlive {
        /// The node.
        number: NodeNumber,
        /// Whether it does.
        alive: bool,
    },
    /// A node may do something else.
    SetRole {
        /// The node.
        number: NodeNumber,
        /// Its role from now on.
        role: Role,
    },
    /// A node is to be emptied, or used again.
    SetDraining {
        /// The node.
        number: NodeNumber,
        /// Whether it is.
        draining: bool,
    },
    /// Removes a node for ever.
    Remove {
        /// The node.
        number: NodeNumber,
    },
    /// Replaces the authority's record, if nobody did since `edition`.
    SetAuthority {
        /// The edition that was read.
        edition: u64,
        /// The new record, sealed.
        authority: Vec<u8>,
    },
    /// Lets a node in that showed a token's secret and holds a key. Asked again with the same token,
    /// key and name, it gives the same number and spends nothing: the first answer was lost.
    AdmitKey {
        /// The token.
        token: TokenId,
        /// SHA-256 of the secret that it showed.
        hash: [u8; 32],
        /// SHA-256 of the public key that it holds.
        key: [u8; 32],
        /// The node's name.
        name: String,
        /// Where it answers.
        address: String,
        /// The server's clock.
        now_ms: u64,
    },
    /// A node that lost what it had acknowledged gets another number in its place, with its name and
    /// its role. Asked again with the same key, it gets the same one. The old number is removed when
    /// the new one is first [reported](Self::Report): until then the answer may be lost.
    Replace {
        /// The node.
        number: NodeNumber,
        /// SHA-256 of the public key that it will have.
        key: [u8; 32],
        /// Where it answers.
        address: String,
    },
}

/// What a command did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// It was done, or was so already.
    Done,
    /// A node was let in.
    Admitted {
        /// Its number.
        number: NodeNumber,
        /// Its role.
        role: Role,
    },
}

/// Why a command did nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// The bytes are no command.
    #[error("read the command: {0}")]
    Command(String),
    /// There is a cluster already.
    #[error("found the cluster: it exists already; join it instead")]
    Founded,
    /// There is no cluster yet.
    #[error("the cluster is not founded yet; try again soon")]
    NotFounded,
    /// The token does not let anybody in.
    #[error(transparent)]
    Token(#[from] TokenFault),
    /// Another living node has this name.
    #[error(
        "node name {name:?} is node {number}'s; choose another with --name, or remove that node"
    )]
    Name {
        /// The name.
        name: String,
        /// Who has it.
        number: NodeNumber,
    },
    /// The name is none.
    #[error("node name {0:?}: expected 1 to 63 letters, digits, dots, dashes or underscores")]
    BadName(String),
    /// The address is none.
    #[error("node address {0:?}: expected HOST:PORT")]
    BadAddress(String),
    /// Nobody has this number.
    #[error("node {0} is not known; see `regrow node ls`")]
    Unknown(NodeNumber),
    /// It was removed.
    #[error("node {0} was removed, and numbers are not used again; let it join anew")]
    Removed(NodeNumber),
    /// The number of a restored node is not the next one.
    #[error("node number {0} is not the next one; restore the backup anew")]
    Number(NodeNumber),
    /// Somebody else changed the authority meanwhile.
    #[error("the authority was changed meanwhile; look again")]
    Edition,
    /// Without it the cluster would have no server, and nobody could let another be one.
    #[error("node {0} is the only server; promote another first, and wait until it has a vote")]
    LastServer(NodeNumber),
    /// It was given another number for another key.
    #[error(
        "node {number} was given number {by} already, for another key; remove both, empty the state \
         folder and let it join anew"
    )]
    Replaced {
        /// The node.
        number: NodeNumber,
        /// Its other number.
        by: NodeNumber,
    },
}

/// Why bytes are no command of this program.
#[derive(Debug)]
pub(crate) enum Unreadable {
    /// A newer program wrote it: replicas that know it change their tables by it.
    Newer(String),
    /// It is none of its version.
    Malformed(Refusal),
}

impl Command {
    pub(crate) fn encode(&self) -> Result<Vec<u8>, String> {
        encode("command", self).map_err(|error| error.to_string())
    }

    /// How many kinds there are.
    const KINDS: u32 = 13;

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        let newer = |what: String| Err(Unreadable::Newer(what));
        match bytes.split_first() {
            Some((&VERSION, form)) => match postcard::take_from_bytes::<u32>(form) {
                Ok((kind, _)) if kind >= Self::KINDS => newer(format!("a command of kind {kind}")),
                _ => decode("command", bytes)
                    .map_err(|error| Unreadable::Malformed(Refusal::Command(error.to_string()))),
            },
            Some((version, _)) => newer(format!("a command of version {version}")),
            None => Err(Unreadable::Malformed(Refusal::Command("it is empty".to_owned()))),
        }
    }
}

impl Reply {
    pub(crate) fn decode(bytes: &[u8]) -> Result<Result<Self, Refusal>, String> {
        decode("reply", bytes).map_err(|error| error.to_string())
    }
}

/// Refuses names that would not do as part of a host name, a path or a table.
pub(crate) fn check_name(name: &str) -> Result<(), Refusal> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let begins = name.chars().next().is_some_and(|c| c.is_ascii_alphanumeric());
    if begins && name.len() <= NAME_LIMIT && name.chars().all(fits) {
        Ok(())
    } else {
        Err(Refusal::BadName(name.to_owned()))
    }
}

/// Refuses what is not `HOST:PORT`.
pub(crate) fn check_address(address: &str) -> Result<(), Refusal> {
    let parts = address.rsplit_once(':');
    let good = parts.is_some_and(|(host, port)| {
        let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '/' | '@');
        !host.is_empty()
            && host.chars().all(plain)
            && port.parse::<u16>().is_ok_and(|port| port > 0)
    });
    if good && address.len() <= 255 { Ok(()) } else { Err(Refusal::BadAddress(address.to_owned())) }
}

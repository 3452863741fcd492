//! What can be asked of the catalog's machine, and what it answers.
//!
//! On the wire and in the log a command is one byte for the version of the form, then `postcard`.
//! Whatever changes the form is a new version, a new variant too: a replica that does not know a
//! version stops before it, since those that do change their tables by it. So a newer program must
//! not propose what older members cannot apply, and nobody carries a command of an unknown version
//! to the log for another ([`is_known`]).
//!
//! Version 2 has all of version 1 and, behind it, transactions over nodes, services and checks, and
//! tokens with rules for exact names. What version 1 can say is still written as version 1.

use regrow_codec::versioned::{self, VersionedError};
use serde::{Deserialize, Serialize};

use super::refusal::{Denial, Refusal};
use super::txn::{TransactOutcome, TxnOp};
use super::work::check_name;
use crate::model::{CheckSpec, Event, KeyEntry, Node, Service, Session, SessionId, Status, Token};

/// First version of commands and replies.
const FIRST: u8 = 1;
/// Latest version: only what the first cannot say is written in it.
const LATEST: u8 = 2;

/// What the node part of a registration does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NodePart {
    /// Enters the node, or makes it so.
    Set(Node),
    /// Leaves the node of this name as it is; it must be there.
    Keep(String),
}

impl NodePart {
    /// Name of the node.
    pub fn name(&self) -> &str {
        match self {
            Self::Set(node) => &node.name,
            Self::Keep(name) => name,
        }
    }
}

/// Enters a node, one of its services and some checks, all or nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    /// The node.
    pub node: NodePart,
    /// The service.
    pub service: Option<Service>,
    /// Checks of the node, and of services that are there or come with it.
    pub checks: Vec<CheckSpec>,
    /// Removes the checks of the service that are not among `checks`.
    pub replace_checks: bool,
}

impl Registration {
    /// Refuses names that the machine takes nowhere.
    ///
    /// # Errors
    /// The first such name: of the node, the service, or a check.
    pub fn check_names(&self) -> Result<(), Refusal> {
        check_name("node name", self.node.name())?;
        if let Some(service) = &self.service {
            check_name("service id", &service.id)?;
            check_name("service name", &service.name)?;
        }
        for check in &self.checks {
            check_name("check id", &check.id)?;
            if !check.service_id.is_empty() {
                check_name("service id", &check.service_id)?;
            }
        }
        Ok(())
    }
}

/// What is taken out of the catalog. What is not there is not missed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Removal {
    /// A node with all it has.
    Node {
        /// Its name.
        node: String,
    },
    /// A service with its checks.
    Service {
        /// Name of its node.
        node: String,
        /// Its id.
        id: String,
    },
    /// A check.
    Check {
        /// Name of its node.
        node: String,
        /// Its id.
        id: String,
    },
}

/// What is done with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KvVerb {
    /// Writes.
    Set,
    /// Writes if `index` is the key's, or the key is absent and `index` is 0.
    Cas,
    /// Writes and locks for `session`.
    Lock,
    /// Writes and unlocks, if `session` holds it.
    Unlock,
    /// Deletes.
    Delete,
    /// Deletes if `index` is the key's.
    DeleteCas,
    /// Deletes all keys that begin so.
    DeleteTree,
    /// Reads; denied if absent.
    Get,
    /// Reads; nothing if absent.
    GetOrEmpty,
    /// Reads all keys that begin so.
    GetTree,
    /// Denied unless `index` is the key's.
    CheckIndex,
    /// Denied unless `session` holds the key.
    CheckSession,
    /// Denied if the key is there.
    CheckNotExists,
}

impl KvVerb {
    /// True for verbs that change nothing.
    pub const fn only_reads(self) -> bool {
        matches!(
            self,
            Self::Get
                | Self::GetOrEmpty
                | Self::GetTree
                | Self::CheckIndex
                | Self::CheckSession
                | Self::CheckNotExists
        )
    }
}

/// One deed on a key. What a verb does not need is ignored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KvOp {
    /// What is done.
    pub verb: KvVerb,
    /// The key, or what keys begin with.
    pub key: String,
    /// What is written.
    pub value: Vec<u8>,
    /// Flags that are written.
    pub flags: u64,
    /// Index that is compared.
    pub index: u64,
    /// Session that locks or unlocks.
    pub session: Option<SessionId>,
}

impl KvOp {
    /// A deed with nothing but a key.
    pub fn new(verb: KvVerb, key: impl Into<String>) -> Self {
        Self { verb, key: key.into(), value: Vec::new(), flags: 0, index: 0, session: None }
    }

    /// With a value to write.
    #[must_use]
    pub fn value(self, value: impl Into<Vec<u8>>) -> Self {
        Self { value: value.into(), ..self }
    }

    /// With flags to write.
    #[must_use]
    pub fn flags(self, flags: u64) -> Self {
        Self { flags, ..self }
    }

    /// With an index to compare.
    #[must_use]
    pub fn index(self, index: u64) -> Self {
        Self { index, ..self }
    }

    /// With a session that locks or unlocks.
    #[must_use]
    pub fn session(self, session: SessionId) -> Self {
        Self { session: Some(session), ..self }
    }
}

/// One thing asked of the machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Makes everything expire whose time has come.
    Expire,
    /// Enters a node, a service, checks.
    Register(Registration),
    /// Takes something out.
    Remove(Removal),
    /// Says what a check found; starts its TTL anew.
    UpdateCheck {
        /// Name of its node.
        node: String,
        /// Its id.
        id: String,
        /// What it found.
        status: Status,
        /// What it says.
        output: String,
    },
    /// Says whether the agent of a node is alive: its `serfHealth` check.
    NodeAlive {
        /// Name of the node.
        node: String,
        /// Whether it is.
        alive: bool,
    },
    /// One deed on a key.
    Kv(KvOp),
    /// Several deeds on keys, all or nothing.
    Txn(Vec<KvOp>),
    /// Begins a session.
    CreateSession(Session),
    /// Starts the TTL of a session anew.
    RenewSession(SessionId),
    /// Ends a session; one that is not there is not missed.
    DestroySession(SessionId),
    /// Tells that something happened.
    FireEvent(Event),
    /// Enters a token, in place of one with the same id.
    PutToken(Token),
    /// Takes a token out, by its id.
    RemoveToken(String),
    /// Several deeds on keys, nodes, services and checks, all or nothing. From version 2.
    Transact(Vec<TxnOp>),
}

impl Command {
    /// A transaction, in the oldest form that can say it.
    pub fn transaction(ops: Vec<TxnOp>) -> Self {
        let on_key = |op: &TxnOp| match op {
            TxnOp::Kv(op) => Some(op.clone()),
            TxnOp::Entry { .. } => None,
        };
        match ops.iter().map(on_key).collect() {
            Some(on_keys) => Self::Txn(on_keys),
            None => Self::Transact(ops),
        }
    }

    /// The first version that has it.
    fn version(&self) -> u8 {
        let is_new = match self {
            Self::Transact(_) => true,
            Self::PutToken(token) => token.policy.has_exact_rules(),
            _ => false,
        };
        if is_new { LATEST } else { FIRST }
    }
}

/// What the deeds of a transaction return, or what was denied, by position.
pub type TxnOutcome = Result<Vec<KeyEntry>, Vec<(usize, Denial)>>;

/// What became of a command that was not refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// Done.
    Done,
    /// A deed on a key: `None` when done, else why not.
    Kv(Option<Denial>),
    /// A transaction: what each deed returns, or what was denied, by position. Nothing was done in
    /// the second case.
    Txn(TxnOutcome),
    /// A renewed session, `None` when it is gone; with its create and modify index.
    Session(Option<crate::model::Indexed<Session>>),
    /// What became of [`Command::Transact`]. Nothing was done when something was denied. From
    /// version 2.
    Transact(TransactOutcome),
}

/// Encodes a command for the log.
pub fn encode(command: &Command) -> Vec<u8> {
    pack(command.version(), command)
}

/// Decodes a command.
///
/// # Errors
/// The bytes are none, or of another version.
pub fn decode(bytes: &[u8]) -> Result<Command, VersionedError> {
    let version = version_of(bytes);
    let command: Command = versioned::decode(version, bytes)?;
    if command.version() > version {
        // Members that only know this version say so too.
        return Err(VersionedError::Form(format!("version {version} has no such command")));
    }
    Ok(command)
}

/// Whether every replica of this build's version can say what these bytes mean, be it that they are
/// no command. Asked before somebody else's command gets a place in the log.
pub fn is_known(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(|version| (FIRST..=LATEST).contains(version))
}

/// Encodes what became of a command.
pub fn encode_reply(reply: &Result<Reply, Refusal>) -> Vec<u8> {
    let version = if matches!(reply, Ok(Reply::Transact(_))) { LATEST } else { FIRST };
    pack(version, reply)
}

/// Decodes what became of a command.
///
/// # Errors
/// It was refused; or the bytes are no reply.
pub fn decode_reply(bytes: &[u8]) -> Result<Reply, Refusal> {
    let malformed = |_| Refusal::Malformed { bytes: bytes.len() };
    versioned::decode::<Result<Reply, Refusal>>(version_of(bytes), bytes).map_err(malformed)?
}

/// The version to read bytes as: both have the same form as far as the first goes.
fn version_of(bytes: &[u8]) -> u8 {
    if bytes.first() == Some(&FIRST) { FIRST } else { LATEST }
}

/// Types of this file have no maps without length and no foreign types: `postcard` takes them all.
fn pack<T: Serialize>(version: u8, value: &T) -> Vec<u8> {
    versioned::encode(version, value).unwrap_or_default()
}

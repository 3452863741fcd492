//! Transactions: deeds on keys, nodes, services and checks, all or nothing.

use serde::{Deserialize, Serialize};

use super::command::{KvOp, Removal, TxnOutcome};
use super::refusal::{Denial, Refusal};
use super::work::{Failure, Step, Work, check_name};
use crate::model::{Check, CheckSpec, Indexed, KeyEntry, Node, Service};

/// What is done with a node, a service or a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EntryVerb {
    /// Enters it, or makes it so.
    Set,
    /// The same if `index` is its index, or it is absent and `index` is 0.
    Cas,
    /// Reads; denied if absent.
    Get,
    /// Takes it out with all it has; what is absent is not missed.
    Delete,
    /// Takes it out if `index` is its index; denied if absent.
    DeleteCas,
}

/// A node, a service or a check as it is entered. A verb that does not write looks at names and ids
/// only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Entry {
    /// A node.
    Node(Node),
    /// A service of a node that is there.
    Service {
        /// Name of the node.
        node: String,
        /// The service.
        service: Service,
    },
    /// A check of a node that is there, or of one of its services.
    Check {
        /// Name of the node.
        node: String,
        /// The check.
        check: Box<CheckSpec>,
    },
}

impl Entry {
    /// Name of the node that it is, or is on.
    pub fn node(&self) -> &str {
        match self {
            Self::Node(node) => &node.name,
            Self::Service { node, .. } | Self::Check { node, .. } => node,
        }
    }

    fn check_names(&self) -> Result<(), Refusal> {
        check_name("node name", self.node())?;
        match self {
            Self::Node(_) => Ok(()),
            Self::Service { service, .. } => check_name("service id", &service.id),
            Self::Check { check, .. } => check_name("check id", &check.id),
        }
    }

    fn removal(&self) -> Removal {
        let node = self.node().to_owned();
        match self {
            Self::Node(_) => Removal::Node { node },
            Self::Service { service, .. } => Removal::Service { node, id: service.id.clone() },
            Self::Check { check, .. } => Removal::Check { node, id: check.id.clone() },
        }
    }

    /// As texts of errors name it.
    fn named(&self) -> String {
        let node = self.node();
        match self {
            Self::Node(_) => format!("node {node:?}"),
            Self::Service { service, .. } => format!("service {:?} on node {node:?}", service.id),
            Self::Check { check, .. } => format!("check {:?} on node {node:?}", check.id),
        }
    }
}

/// One deed of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TxnOp {
    /// On a key.
    Kv(KvOp),
    /// On a node, a service or a check.
    Entry {
        /// What is done.
        verb: EntryVerb,
        /// What it is done with.
        entry: Entry,
        /// Index that is compared.
        index: u64,
    },
}

impl TxnOp {
    /// True for deeds that change nothing.
    pub const fn only_reads(&self) -> bool {
        match self {
            Self::Kv(op) => op.verb.only_reads(),
            Self::Entry { verb, .. } => matches!(verb, EntryVerb::Get),
        }
    }
}

/// What a deed shows: what it read, or what it wrote as it is then. Deletions show nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Shown {
    /// A key; a written one without its value.
    Key(KeyEntry),
    /// A node.
    Node(Indexed<Node>),
    /// A service.
    Service(Indexed<Service>),
    /// A check, with the tags of its service.
    Check(Box<Indexed<Check>>),
}

impl Shown {
    const fn modified(&self) -> u64 {
        match self {
            Self::Key(entry) => entry.indexes.modified,
            Self::Node(row) => row.indexes.modified,
            Self::Service(row) => row.indexes.modified,
            Self::Check(row) => row.indexes.modified,
        }
    }
}

/// What the deeds of a transaction show, in order, or what was denied, by position.
pub type TransactOutcome = Outcome<Shown>;

type Outcome<T> = Result<Vec<T>, Vec<(usize, Denial)>>;

/// All deeds, or none when one is denied: then the denied ones, by position.
fn all<O, T>(
    ops: &[O],
    mut deed: impl FnMut(&O) -> Step<Result<Vec<T>, Denial>>,
) -> Step<Outcome<T>> {
    let mut shown = Vec::new();
    let mut denials = Vec::new();
    for (at, op) in ops.iter().enumerate() {
        match deed(op) {
            Ok(Ok(entries)) => shown.extend(entries),
            Ok(Err(denial)) => denials.push((at, denial)),
            Err(Failure::Refused(refusal)) => denials.push((at, Denial::Refused(refusal))),
            Err(failure) => return Err(failure),
        }
    }
    Ok(if denials.is_empty() { Ok(shown) } else { Err(denials) })
}

impl Work<'_> {
    /// Several deeds on keys.
    pub fn txn(&mut self, ops: &[KvOp]) -> Step<TxnOutcome> {
        all(ops, |op| self.kv(op))
    }

    /// Several deeds on anything.
    pub fn transact(&mut self, ops: &[TxnOp]) -> Step<TransactOutcome> {
        all(ops, |op| match op {
            TxnOp::Kv(op) => {
                let deed = self.kv(op)?;
                Ok(deed.map(|entries| entries.into_iter().map(Shown::Key).collect()))
            }
            TxnOp::Entry { verb, entry, index } => self.entry_deed(*verb, entry, *index),
        })
    }

    fn entry_deed(
        &mut self,
        verb: EntryVerb,
        entry: &Entry,
        index: u64,
    ) -> Step<Result<Vec<Shown>, Denial>> {
        entry.check_names()?;
        let before = self.entry(entry)?;
        let stale = |doing: &str| {
            Ok(Err(Denial::StaleEntry { doing: doing.to_owned(), entry: entry.named() }))
        };
        let current = before.as_ref().map_or(0, Shown::modified);
        match verb {
            EntryVerb::Get => {
                Ok(before.map(|shown| vec![shown]).ok_or_else(|| Denial::NoEntry(entry.named())))
            }
            EntryVerb::Cas if current != index => stale("set"),
            EntryVerb::Set | EntryVerb::Cas => {
                self.set_entry(entry)?;
                Ok(Ok(self.entry(entry)?.into_iter().collect()))
            }
            EntryVerb::DeleteCas if before.is_none() || current != index => stale("delete"),
            EntryVerb::Delete | EntryVerb::DeleteCas => {
                self.remove(&entry.removal())?;
                Ok(Ok(Vec::new()))
            }
        }
    }

    /// What is there of it.
    fn entry(&self, entry: &Entry) -> Step<Option<Shown>> {
        match entry {
            Entry::Node(node) => Ok(self.node(&node.name)?.map(Shown::Node)),
            Entry::Service { node, service } => {
                Ok(self.service(node, &service.id)?.map(Shown::Service))
            }
            Entry::Check { node, check } => {
                let Some(mut row) = self.check(node, &check.id)? else { return Ok(None) };
                let service = self.service(node, &row.value.service_id)?;
                row.value.service_tags = service.map(|row| row.value.tags).unwrap_or_default();
                Ok(Some(Shown::Check(Box::new(row))))
            }
        }
    }

    fn set_entry(&mut self, entry: &Entry) -> Step {
        if !matches!(entry, Entry::Node(_)) && self.node(entry.node())?.is_none() {
            return Err(Refusal::NoNode.into());
        }
        match entry {
            Entry::Node(node) => self.set_node(node),
            Entry::Service { node, service } => {
                check_name("service name", &service.name)?;
                self.set_service(node, service)
            }
            Entry::Check { node, check } => {
                if !check.service_id.is_empty() {
                    check_name("service id", &check.service_id)?;
                }
                self.set_check(node, check)
            }
        }
    }
}

//! The machine that keeps the nodes.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use regrow_consensus::{At, Change, Edit, TableError, View};
use regrow_pki::{NodeNumber, Role, TokenFault, TokenId, TokenRecord};

use crate::nodes::command::{Command, Refusal, Reply, Unreadable, check_address, check_name};
use crate::nodes::record::{
    self, ClusterRecord, JoinedRecord, NodeRecord, delete_token, encode, put_cluster, put_joined,
    put_node, put_token, take_number,
};
use crate::nodes::replace::{arrived, replace};

/// The nodes that were removed, for whoever must refuse them at once. Clones are the same set.
#[derive(Clone, Debug, Default)]
pub struct Removed(Arc<RwLock<BTreeSet<NodeNumber>>>);

impl Removed {
    /// True for a node that was removed.
    pub fn contains(&self, number: NodeNumber) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).contains(&number)
    }

    fn insert(&self, number: NodeNumber) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(number);
    }
}

/// Keeps the nodes in its tables, and tells which were removed.
#[derive(Clone, Debug, Default)]
pub struct Machine {
    removed: Removed,
}

impl Machine {
    /// A machine that tells `removed`.
    pub const fn new(removed: Removed) -> Self {
        Self { removed }
    }

    fn note(&self, node: &NodeRecord) {
        if node.removed {
            self.removed.insert(node.number);
        }
    }
}

/// Either refused, or the tables failed.
pub(super) enum Stop {
    Refused(Refusal),
    Tables(TableError),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<TableError> for Stop {
    fn from(error: TableError) -> Self {
        Self::Tables(error)
    }
}

impl regrow_consensus::Machine for Machine {
    fn apply(&self, at: At, command: &[u8], tables: &mut dyn Edit) -> Result<Vec<u8>, TableError> {
        let done = match Command::decode(command) {
            Ok(command) => apply(at, command, tables),
            Err(Unreadable::Malformed(refusal)) => Err(refusal.into()),
            // To go on without it would leave this replica with other nodes than the rest.
            Err(Unreadable::Newer(what)) => {
                let reason = format!("{what} is not known here; start the newer program");
                return Err(TableError::Damaged { what: "command", reason });
            }
        };
        let reply = match done {
            Ok(reply) => Ok(reply),
            Err(Stop::Refused(refusal)) => Err(refusal),
            Err(Stop::Tables(error)) => return Err(error),
        };
        encode("reply", &reply)
    }

    fn committed(&self, _: At, changes: &[Change]) {
        let changed = |change: &Change| record::changed_node(&change.key, change.value.as_deref());
        changes.iter().filter_map(changed).for_each(|node| self.note(&node));
    }

    fn replaced(&self, _: At, tables: &dyn View) {
        match record::nodes(tables) {
            Ok(nodes) => nodes.iter().for_each(|node| self.note(node)),
            Err(error) => tracing::error!(%error, "read which nodes were removed"),
        }
    }
}

fn apply(at: At, command: Command, tables: &mut dyn Edit) -> Result<Reply, Stop> {
    match command {
        Command::Found { cluster, name, address } => found(at, &cluster, name, address, tables),
        Command::Restored { number, name, address } => restored(at, number, name, address, tables),
        Command::PutToken(token) => {
            put_token(tables, &token)?;
            Ok(Reply::Done)
        }
        Command::RevokeToken(id) => {
            if delete_token(tables, id)? {
                Ok(Reply::Done)
            } else {
                Err(unknown_token())
            }
        }
        Command::Admit { token, hash, name, address, now_ms } => {
            admit(at, Newcomer { token, hash, key: None, name, address, now_ms }, tables)
        }
        Command::AdmitKey { token, hash, key, name, address, now_ms } => {
            admit(at, Newcomer { token, hash, key: Some(key), name, address, now_ms }, tables)
        }
        Command::Report { number, address, trusts } => {
            check_address(&address)?;
            change(tables, number, |node| {
                node.address = address;
                node.trusts = trusts;
            })?;
            arrived(at, number, tables)
        }
        Command::SetAlive { number, alive } => change(tables, number, |node| {
            if node.alive != alive {
                node.alive = alive;
                node.since = at.time;
            }
        }),
        Command::SetRole { number, role } => {
            if role != Role::Server {
                spare(&*tables, number)?;
            }
            change(tables, number, |node| node.role = role)
        }
        Command::SetDraining { number, draining } => {
            change(tables, number, |node| node.draining = draining)
        }
        Command::Remove { number } => {
            spare(&*tables, number)?;
            remove(at, number, tables)
        }
        Command::SetAuthority { edition, authority } => set_authority(edition, authority, tables),
        Command::Replace { number, key, address } => replace(at, number, key, address, tables),
    }
}

fn unknown_token() -> Stop {
    Stop::Refused(Refusal::Token(TokenFault::Unknown))
}

fn found(
    at: At,
    cluster: &ClusterRecord,
    name: String,
    address: String,
    tables: &mut dyn Edit,
) -> Result<Reply, Stop> {
    if record::cluster(&*tables)?.is_some() {
        return Err(Refusal::Founded.into());
    }
    check_name(&name)?;
    check_address(&address)?;
    put_cluster(tables, cluster)?;
    enter(at, Role::Server, name, address, cluster.edition, tables)
}

fn restored(
    at: At,
    number: NodeNumber,
    name: String,
    address: String,
    tables: &mut dyn Edit,
) -> Result<Reply, Stop> {
    let cluster = record::cluster(&*tables)?.ok_or(Refusal::NotFounded)?;
    // Asked again after a crash: it is in already.
    if record::node(&*tables, number)?.is_some() {
        return Ok(Reply::Done);
    }
    if record::next_number(&*tables)? != number {
        return Err(Refusal::Number(number).into());
    }
    check_name(&name)?;
    check_address(&address)?;
    for other in record::nodes(&*tables)? {
        remove(at, other.number, tables)?;
    }
    enter(at, Role::Server, name, address, cluster.edition, tables)
}

/// Who asks to be let in.
struct Newcomer {
    token: TokenId,
    /// Of the secret that it showed.
    hash: [u8; 32],
    /// Of the public key that it holds; programs of before did not say.
    key: Option<[u8; 32]>,
    name: String,
    address: String,
    now_ms: u64,
}

fn admit(at: At, newcomer: Newcomer, tables: &mut dyn Edit) -> Result<Reply, Stop> {
    let Newcomer { token, hash, key, name, address, now_ms } = newcomer;
    let mut token = record::token(&*tables, token)?.ok_or_else(unknown_token)?;
    let now = SystemTime::UNIX_EPOCH + Duration::from_millis(now_ms);
    let good = token.check_hash(&hash, now);
    check_name(&name)?;
    check_address(&address)?;
    if let Some(number) = joined_before(&token, good, key, &name, &*tables)? {
        change(tables, number, |node| node.address = address)?;
        return Ok(Reply::Admitted { number, role: token.role });
    }
    good.map_err(Refusal::from)?;
    let cluster = record::cluster(&*tables)?.ok_or(Refusal::NotFounded)?;
    let others = record::nodes(&*tables)?;
    if let Some(other) = others.iter().find(|node| !node.removed && node.name == name) {
        return Err(Refusal::Name { name, number: other.number }.into());
    }
    token.spend();
    put_token(tables, &token)?;
    if let Some(key) = key {
        let number = record::next_number(&*tables)?;
        put_joined(tables, &key, &JoinedRecord { token: token.id, number, name: name.clone() })?;
    }
    enter(at, token.role, name, address, cluster.edition, tables)
}

/// The number that was given to this newcomer already, by an answer that it did not get. A token
/// that is used up is as good as before for it: it was this one that used it.
fn joined_before(
    token: &TokenRecord,
    good: Result<(), TokenFault>,
    key: Option<[u8; 32]>,
    name: &str,
    tables: &dyn View,
) -> Result<Option<NodeNumber>, Stop> {
    let (Ok(()) | Err(TokenFault::Used), Some(key)) = (good, key) else { return Ok(None) };
    let joined = record::joined(tables, &key)?;
    let same = joined.filter(|joined| joined.token == token.id && joined.name == name);
    Ok(same.map(|joined| joined.number))
}

fn enter(
    at: At,
    role: Role,
    name: String,
    address: String,
    trusts: u64,
    tables: &mut dyn Edit,
) -> Result<Reply, Stop> {
    let number = take_number(tables)?;
    let node = NodeRecord {
        number,
        name,
        role,
        address,
        alive: true,
        since: at.time,
        draining: false,
        removed: false,
        trusts,
    };
    put_node(tables, &node)?;
    Ok(Reply::Admitted { number, role })
}

pub(super) fn change(
    tables: &mut dyn Edit,
    number: NodeNumber,
    change: impl FnOnce(&mut NodeRecord),
) -> Result<Reply, Stop> {
    let mut node = record::node(&*tables, number)?.ok_or(Refusal::Unknown(number))?;
    if node.removed {
        return Err(Refusal::Removed(number).into());
    }
    let before = node.clone();
    change(&mut node);
    if node != before {
        put_node(tables, &node)?;
    }
    Ok(Reply::Done)
}

/// Refuses to go on without the only server there is.
fn spare(tables: &dyn View, number: NodeNumber) -> Result<(), Stop> {
    let servers = |node: &NodeRecord| !node.removed && node.role == Role::Server;
    let nodes = record::nodes(tables)?;
    let is_server = nodes.iter().any(|node| node.number == number && servers(node));
    if is_server && !nodes.iter().any(|node| node.number != number && servers(node)) {
        return Err(Refusal::LastServer(number).into());
    }
    Ok(())
}

pub(super) fn remove(at: At, number: NodeNumber, tables: &mut dyn Edit) -> Result<Reply, Stop> {
    let mut node = record::node(&*tables, number)?.ok_or(Refusal::Unknown(number))?;
    if !node.removed {
        node.removed = true;
        node.alive = false;
        node.since = at.time;
        put_node(tables, &node)?;
    }
    Ok(Reply::Done)
}

fn set_authority(edition: u64, authority: Vec<u8>, tables: &mut dyn Edit) -> Result<Reply, Stop> {
    let mut cluster = record::cluster(&*tables)?.ok_or(Refusal::NotFounded)?;
    if cluster.edition != edition {
        return Err(Refusal::Edition.into());
    }
    cluster.edition += 1;
    cluster.authority = authority;
    put_cluster(tables, &cluster)?;
    Ok(Reply::Done)
}

#[cfg(test)]
mod tests;

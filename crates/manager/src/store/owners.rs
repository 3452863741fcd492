//! Who owns a group in a world: a key of the coordinator for each, taken and given up in the
//! transactions that store the specs.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use regrow_coord::{
    Compare, Consistency, CoordError, Coordinator, Entry, Invalid, Key, Prefix, Txn, Write,
};
use regrow_plugin::spi::World;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::StoreError;
use crate::escape::escaped;

/// Where the keys are, beside the folders of the managers.
const FOLDER: &str = "owners/";
/// Version of what a key holds.
const FORMAT: u32 = 1;
/// Bytes of the hash by which a world stands in a key. Its name may be a path of any length.
const WORLD_BYTES: usize = 16;
/// Operations of a transaction that are not for owners: two compares, a write, and one to spare.
const OTHER_OPERATIONS: usize = 4;

/// The instances of a group in a world.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Claim {
    /// The id by which instances are members of the group.
    pub group: String,
    /// Where they are.
    pub world: World,
}

/// What a save changes of the ownership of groups.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// Must be nobody else's, and are ours afterwards.
    pub taken: BTreeSet<Claim>,
    /// Are nobody's afterwards, if they were ours.
    pub given_up: BTreeSet<Claim>,
}

impl Claims {
    /// From what was owned to what shall be.
    pub(crate) fn between(before: &BTreeSet<Claim>, after: &BTreeSet<Claim>) -> Self {
        let only = |a: &BTreeSet<Claim>, b| a.difference(b).cloned().collect();
        Self { taken: only(after, before), given_up: only(before, after) }
    }
}

/// What a key holds.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Owner {
    format: u32,
    /// Name of the manager, which its replicas share.
    manager: String,
    /// The world in full, for people.
    world: World,
}

/// One claim as a part of a transaction: it costs two operations at most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    compare: Compare,
    write: Option<Write>,
}

/// The parts of a save, in the order of the transactions that they belong to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Parts {
    /// What does not fit beside the document and is taken first, in bites that do.
    pub(super) before: Vec<Vec<Part>>,
    /// What goes along with the document.
    pub(super) along: Vec<Part>,
    /// What is given up when the document is stored.
    pub(super) after: Vec<Vec<Part>>,
}

/// Adds parts to a transaction.
pub(super) fn join(txn: Txn, parts: &[Part]) -> Txn {
    parts.iter().fold(txn, |txn, part| {
        let txn = txn.when(part.compare.clone());
        match &part.write {
            Some(write) => txn.write(write.clone()),
            None => txn,
        }
    })
}

/// The owners as one manager sees them.
pub(super) struct Owners {
    coordinator: Arc<dyn Coordinator>,
    folder: Prefix,
    manager: String,
}

impl Owners {
    pub(super) fn new(coordinator: Arc<dyn Coordinator>, manager: &str) -> Result<Self, Invalid> {
        Ok(Self { coordinator, folder: Prefix::new(FOLDER)?, manager: manager.to_owned() })
    }

    /// What a transaction must compare and write for these claims, as things are now.
    ///
    /// # Errors
    /// [`StoreError::Owned`] when one belongs to another manager; the coordinator cannot be asked.
    pub(super) async fn parts(&self, claims: &Claims) -> Result<Parts, StoreError> {
        let (mut takes, mut gives) = (Vec::new(), Vec::new());
        for claim in &claims.taken {
            takes.push(self.take(claim).await?);
        }
        for claim in &claims.given_up {
            gives.extend(self.give_up(claim).await?);
        }
        let operations = self.coordinator.capabilities().limits.operations;
        let room = (operations.saturating_sub(OTHER_OPERATIONS) / 2).max(1);
        let bites = |parts: &[Part]| parts.chunks(room).map(<[Part]>::to_vec).collect();
        let first = takes.len().saturating_sub(room);
        let along = takes.split_off(first);
        let late = gives.split_off(gives.len().min(room - along.len()));
        Ok(Parts { before: bites(&takes), along: [along, gives].concat(), after: bites(&late) })
    }

    async fn take(&self, claim: &Claim) -> Result<Part, StoreError> {
        let key = self.key(claim)?;
        let Some((entry, owner)) = self.owner(&key).await? else {
            let value = Some(self.value(claim));
            let write = value.map(|value| Write::Put { key: key.clone(), value, lease: None });
            return Ok(Part { compare: Compare::Absent(key), write });
        };
        if owner.manager != self.manager {
            let (Claim { group, world }, owner) = (claim.clone(), owner.manager);
            return Err(StoreError::Owned { group, world, owner });
        }
        Ok(Part { compare: Compare::Modified(key, entry.modified), write: None })
    }

    async fn give_up(&self, claim: &Claim) -> Result<Option<Part>, StoreError> {
        let key = self.key(claim)?;
        let found = self.owner(&key).await?.filter(|(_, owner)| owner.manager == self.manager);
        Ok(found.map(|(entry, _)| Part {
            compare: Compare::Modified(key.clone(), entry.modified),
            write: Some(Write::Delete(key)),
        }))
    }

    fn key(&self, claim: &Claim) -> Result<Key, StoreError> {
        let hash = Sha256::digest(claim.world.as_str().as_bytes());
        let world: String = hash.iter().take(WORLD_BYTES).map(|b| format!("{b:02x}")).collect();
        let key = self.folder.key(&format!("{world}/{}", escaped(&claim.group)));
        key.map_err(|fault| StoreError::Outside {
            doing: "name the owner of",
            place: format!("group {:?}", claim.group),
            reason: fault.to_string(),
        })
    }

    fn value(&self, claim: &Claim) -> Bytes {
        let (manager, world) = (self.manager.clone(), claim.world.clone());
        // A number and two texts always have a JSON form.
        let text = serde_json::to_vec(&Owner { format: FORMAT, manager, world });
        Bytes::from(text.unwrap_or_default())
    }

    async fn owner(&self, key: &Key) -> Result<Option<(Entry, Owner)>, StoreError> {
        let outside = |reason: String| StoreError::Outside {
            doing: "read the owner at",
            place: format!("{}:{key}", self.coordinator.capabilities().name),
            reason,
        };
        let got = self.coordinator.get(key, Consistency::Linearizable).await;
        let got = got.map_err(|fault: CoordError| outside(fault.to_string()))?;
        let Some(entry) = got.entry else { return Ok(None) };
        let owner: Owner =
            serde_json::from_slice(&entry.value).map_err(|fault| outside(fault.to_string()))?;
        if owner.format != FORMAT {
            return Err(outside(format!("format {} is not {FORMAT}; upgrade", owner.format)));
        }
        Ok(Some((entry, owner)))
    }
}

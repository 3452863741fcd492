//! Documents on a coordinator: our own quorum, etcd or Consul.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use regrow_codec::{Any, decode};
use regrow_coord::{
    Compare, Consistency, CoordError, Coordinator, Entry, Invalid, Key, Prefix, Txn,
};
use regrow_ids::{Fence, Revision};
use serde::Deserialize;

use super::owners::{Owners, Part, join};
use super::{Claims, Document, SpecStore, StoreError, Stored, Version};
use crate::escape::escaped;
use crate::leader::{Tenure, transact};

/// Version of the envelope around a document.
const FORMAT: u32 = 1;

/// Documents as keys below `managers/NAME/`: `specs`, and `metadata/PLUGIN` for the values of a
/// metadata plugin. A document is as large as a value may be (512 KiB, on Consul 256 KiB), which is some
/// hundreds of specs.
///
/// A save is one transaction that compares the document's revision. With a [`Tenure`], which is that
/// of a leader source on the same coordinator, it also compares that the leadership lasts: a leader
/// that was paused saves nothing, whatever its clock says. Without one, fences are not compared.
///
/// The same transaction takes and gives up groups: `owners/WORLD/GROUP` names the manager that owns
/// the group there, and another one cannot store it. Managers see one another's owners when their keys
/// begin alike. More groups at once than a transaction holds (62, on Consul 30) are taken before the
/// document is stored, and given up after it; a crash in between leaves groups that are ours and
/// stored nowhere, until they are committed and destroyed or freed.
pub struct CoordStore {
    coordinator: Arc<dyn Coordinator>,
    folder: Prefix,
    tenure: Option<Tenure>,
    owners: Owners,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Envelope {
    format: u32,
    contents: Any,
}

impl CoordStore {
    /// A store for the managers of this name. Nothing is asked of the coordinator.
    ///
    /// # Errors
    /// The name cannot be part of a key.
    pub fn new(
        coordinator: Arc<dyn Coordinator>,
        name: &str,
        tenure: Option<Tenure>,
    ) -> Result<Self, Invalid> {
        let folder = Prefix::new(format!("managers/{name}/"))?;
        let owners = Owners::new(Arc::clone(&coordinator), name)?;
        Ok(Self { coordinator, folder, tenure, owners })
    }

    fn path(&self, document: &Document) -> String {
        let rest = match document {
            Document::Specs => "specs".to_owned(),
            Document::Metadata(name) => format!("metadata/{}", escaped(name)),
        };
        format!("{}{rest}", self.folder.as_str())
    }

    fn key(&self, document: &Document) -> Result<Key, StoreError> {
        Key::new(self.path(document)).map_err(|fault| self.outside("name", document, &fault))
    }

    fn outside(
        &self,
        doing: &'static str,
        document: &Document,
        fault: &dyn std::fmt::Display,
    ) -> StoreError {
        StoreError::Outside { doing, place: self.place(document), reason: fault.to_string() }
    }

    /// The transaction of a save; `None` when the leadership is over.
    fn saving(&self, key: &Key, value: Bytes, expected: &Version, fence: Fence) -> Option<Txn> {
        let unchanged = match revision(expected) {
            None => Compare::Absent(key.clone()),
            Some(revision) => Compare::Modified(key.clone(), revision),
        };
        let txn = Txn::new().when(unchanged).put(key.clone(), value).or_read(key.clone());
        match &self.tenure {
            Some(tenure) => Some(txn.when(tenure.guard(fence)?)),
            None => Some(txn),
        }
    }
}

/// The revision of a version; `None` for that of a document that is not there.
fn revision(version: &Version) -> Option<Revision> {
    version.as_str().parse().ok().map(Revision::new)
}

fn version(revision: Revision) -> Version {
    Version::new(revision.get().to_string())
}

#[async_trait]
impl SpecStore for CoordStore {
    fn place(&self, document: &Document) -> String {
        format!("{}:{}", self.coordinator.capabilities().name, self.path(document))
    }

    async fn load(&self, document: &Document) -> Result<Stored, StoreError> {
        let key = self.key(document)?;
        let got = self.coordinator.get(&key, Consistency::Linearizable).await;
        let got = got.map_err(|fault| self.outside("load", document, &fault))?;
        let Some(Entry { value, modified, .. }) = got.entry else { return Ok(Stored::default()) };
        let damaged = |reason: String| StoreError::Damaged { place: self.place(document), reason };
        let envelope: Envelope =
            decode::from_slice(&value).map_err(|fault| damaged(fault.to_string()))?;
        if envelope.format != FORMAT {
            let found = envelope.format;
            return Err(damaged(format!("format {found} is not {FORMAT}; upgrade this replica")));
        }
        Ok(Stored { contents: Some(envelope.contents), version: version(modified) })
    }

    async fn save(
        &self,
        document: &Document,
        contents: &Any,
        expected: &Version,
        fence: Fence,
    ) -> Result<Version, StoreError> {
        self.save_owning(document, contents, expected, fence, &Claims::default()).await
    }

    fn keeps_owners(&self) -> bool {
        true
    }

    async fn save_owning(
        &self,
        document: &Document,
        contents: &Any,
        expected: &Version,
        fence: Fence,
        claims: &Claims,
    ) -> Result<Version, StoreError> {
        let (key, place) = (self.key(document)?, self.place(document));
        let value = self.value(contents, &place)?;
        let parts = self.owners.parts(claims).await?;
        for bite in &parts.before {
            self.move_owners(bite, fence, &place).await?;
        }
        let Some(txn) = self.saving(&key, value.clone(), expected, fence) else {
            return Err(StoreError::Over { place, fence });
        };
        let reply = transact(&*self.coordinator, &join(txn, &parts.along)).await;
        let reply = reply.map_err(|fault| match fault {
            CoordError::Unknown { reason, .. } => {
                StoreError::Unknown { place: place.clone(), reason }
            }
            fault => self.outside("save", document, &fault),
        })?;
        let found = reply.found.into_iter().next().flatten();
        let now = found.as_ref().map(|found| found.modified);
        let saved = match found {
            _ if reply.succeeded => version(reply.revision),
            // The first attempt was executed, and only its answer got lost.
            Some(found) if found.value == value => version(found.modified),
            _ if now != revision(expected) => return Err(StoreError::Conflict { place }),
            _ if self.owners.parts(claims).await?.along != parts.along => {
                return Err(StoreError::Conflict { place });
            }
            _ => return Err(StoreError::Over { place, fence }),
        };
        for bite in &parts.after {
            if let Err(fault) = self.move_owners(bite, fence, &place).await {
                tracing::warn!(%fault, "groups that are gone are still owned; commit and free them");
            }
        }
        Ok(saved)
    }

    async fn check_claims(&self, claims: &Claims) -> Result<(), StoreError> {
        self.owners.parts(claims).await.map(drop)
    }
}

impl CoordStore {
    /// What is stored for these contents.
    fn value(&self, contents: &Any, place: &str) -> Result<Bytes, StoreError> {
        let text = format!("{{\"Format\":{FORMAT},\"Contents\":{}}}", contents.as_text());
        let (bytes, most) = (text.len(), self.coordinator.capabilities().limits.value_bytes);
        if bytes > most {
            let (place, bytes, most) = (place.to_owned(), bytes as u64, most as u64);
            return Err(StoreError::TooLarge { place, bytes, most });
        }
        Ok(Bytes::from(text))
    }

    /// Takes or gives up groups in a transaction of their own.
    async fn move_owners(
        &self,
        parts: &[Part],
        fence: Fence,
        place: &str,
    ) -> Result<(), StoreError> {
        let place = || place.to_owned();
        let txn = match self.tenure.as_ref().map(|tenure| tenure.guard(fence)) {
            None => Txn::new(),
            Some(Some(guard)) => Txn::new().when(guard),
            Some(None) => return Err(StoreError::Over { place: place(), fence }),
        };
        let reply = transact(&*self.coordinator, &join(txn, parts)).await;
        let reply = reply.map_err(|fault| StoreError::Outside {
            doing: "move owners for",
            place: place(),
            reason: fault.to_string(),
        })?;
        // Executed by an attempt whose answer got lost, too: it is found to be ours then.
        if reply.succeeded { Ok(()) } else { Err(StoreError::Conflict { place: place() }) }
    }
}

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

use super::{Document, SpecStore, StoreError, Stored, Version};
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
pub struct CoordStore {
    coordinator: Arc<dyn Coordinator>,
    folder: Prefix,
    tenure: Option<Tenure>,
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
        Ok(Self { coordinator, folder, tenure })
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
        let (key, place) = (self.key(document)?, self.place(document));
        let text = format!("{{\"Format\":{FORMAT},\"Contents\":{}}}", contents.as_text());
        let (bytes, most) = (text.len(), self.coordinator.capabilities().limits.value_bytes);
        if bytes > most {
            return Err(StoreError::TooLarge { place, bytes: bytes as u64, most: most as u64 });
        }
        let value = Bytes::from(text);
        let Some(txn) = self.saving(&key, value.clone(), expected, fence) else {
            return Err(StoreError::Over { place, fence });
        };
        let reply = transact(&*self.coordinator, &txn).await;
        let reply = reply.map_err(|fault| match fault {
            CoordError::Unknown { reason, .. } => {
                StoreError::Unknown { place: place.clone(), reason }
            }
            fault => self.outside("save", document, &fault),
        })?;
        if reply.succeeded {
            return Ok(version(reply.revision));
        }
        let found = reply.found.into_iter().next().flatten();
        let now = found.as_ref().map(|found| found.modified);
        match found {
            // The first attempt was executed, and only its answer got lost.
            Some(found) if found.value == value => Ok(version(found.modified)),
            _ if now == revision(expected) => Err(StoreError::Over { place, fence }),
            _ => Err(StoreError::Conflict { place }),
        }
    }
}

//! Intents on a coordinator, where every leader finds those of the ones before.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use regrow_codec::record::{self, Record};
use regrow_coord::{
    Compare, Consistency, CoordError, Coordinator, Entry, Invalid, Key, Prefix, Query, Txn, Write,
};
use regrow_ids::StepKey;
use regrow_reconcile::intents::{Intent, IntentError, IntentLog};
use serde::{Deserialize, Serialize};

use crate::escape::escaped;
use crate::leader::{Tenure, lineage, transact};

/// Intents that are read at once.
const PAGE: usize = 256;
/// Others that draw an epoch at the same moment; each of them makes an attempt fail.
const MAX_DRAWS: usize = 32;

/// Intents as keys below `managers/NAME/intents/OWNER/`.
///
/// They are written by transactions that compare the leadership: a leader that is over promises
/// nothing any more, whatever its clock says, and so does nothing new. What an earlier leader
/// promised, the next one finds.
pub struct CoordIntents {
    coordinator: Arc<dyn Coordinator>,
    folder: Prefix,
    tenure: Tenure,
    lineage: u64,
}

/// Stored form of an intent.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct StoredIntent(Intent);

impl Record for StoredIntent {
    const KIND: u16 = 3;
    const VERSION: u16 = 1;
}

/// Each key once, with the value to put there, or none to remove it.
type Writes = BTreeMap<Key, Option<Bytes>>;

fn write((key, value): (Key, Option<Bytes>)) -> Write {
    match value {
        Some(value) => Write::Put { key, value, lease: None },
        None => Write::Delete(key),
    }
}

fn outside(doing: &'static str) -> impl Fn(CoordError) -> IntentError {
    move |fault| IntentError::Outside { doing, reason: fault.to_string() }
}

impl CoordIntents {
    /// The intents of the managers of this name.
    ///
    /// # Errors
    /// The coordinator cannot be asked.
    pub async fn start(
        coordinator: Arc<dyn Coordinator>,
        name: &str,
        tenure: Tenure,
    ) -> Result<Self, CoordError> {
        let folder = Prefix::new(format!("managers/{name}/"))?;
        let key = folder.key("intents-lineage")?;
        let lineage = lineage(&*coordinator, key.as_str()).await?;
        Ok(Self { coordinator, folder, tenure, lineage })
    }

    fn of(&self, owner: &str) -> Result<Prefix, Invalid> {
        Prefix::new(format!("{}intents/{}/", self.folder.as_str(), escaped(owner)))
    }

    fn put(&self, intent: &Intent) -> Result<(Key, Option<Bytes>), IntentError> {
        let unfit = |reason: String| IntentError::Outside { doing: "encode intent", reason };
        let folder = self.of(&intent.owner).map_err(|fault| unfit(fault.to_string()))?;
        let key = folder.key(&escaped(intent.key.as_str()));
        let key = key.map_err(|fault| unfit(fault.to_string()))?;
        let value = record::encode(&StoredIntent(intent.clone()));
        let value = Bytes::from(value.map_err(|fault| unfit(fault.to_string()))?);
        Ok((key, Some(value)))
    }

    /// Puts values, or removes keys, under a leadership, in as few transactions as the backend
    /// allows; false when that leadership is over.
    async fn write_under(&self, guard: &Compare, writes: Writes) -> Result<bool, CoordError> {
        let limits = self.coordinator.capabilities().limits;
        let mut left = writes.into_iter().map(write).peekable();
        while let Some(first) = left.next() {
            let mut bytes = guard.bytes() + first.bytes();
            let mut txn = Txn::new().when(guard.clone()).write(first);
            // The compare is an operation too.
            while let Some(next) = left.next_if(|next| {
                txn.then.writes.len() + 2 <= limits.operations
                    && bytes + next.bytes() <= limits.transaction_bytes
            }) {
                bytes += next.bytes();
                txn = txn.write(next);
            }
            if !transact(&*self.coordinator, &txn).await?.succeeded {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The next epoch, unless somebody else drew it at the same moment.
    async fn draw(&self, key: &Key) -> Result<Option<u64>, IntentError> {
        const DOING: &str = "draw an epoch";
        let got = self.coordinator.get(key, Consistency::Linearizable).await;
        let entry = got.map_err(outside(DOING))?.entry;
        let (unchanged, epoch) = match &entry {
            None => (Compare::Absent(key.clone()), 1),
            Some(entry) => {
                let text = String::from_utf8_lossy(&entry.value);
                let number = text.parse::<u64>().map_err(|fault| {
                    let reason = format!("{key} holds {text:?}: {fault}; put a number there");
                    IntentError::Outside { doing: DOING, reason }
                })?;
                (Compare::Modified(key.clone(), entry.modified), number + 1)
            }
        };
        let txn = Txn::new().when(unchanged).put(key.clone(), epoch.to_string());
        // Not repeated where nobody knows: an epoch that nobody uses is lost, which is no harm.
        match self.coordinator.transact(&txn).await {
            Ok(reply) => Ok(reply.succeeded.then_some(epoch)),
            Err(CoordError::Unknown { .. }) => Ok(None),
            Err(fault) => Err(outside(DOING)(fault)),
        }
    }
}

#[async_trait]
impl IntentLog for CoordIntents {
    fn lineage(&self) -> u64 {
        self.lineage
    }

    async fn next_epoch(&self) -> Result<u64, IntentError> {
        let doing = "draw an epoch";
        let key = self.folder.key("epochs").map_err(|fault| outside(doing)(fault.into()))?;
        for _ in 0..MAX_DRAWS {
            if let Some(epoch) = self.draw(&key).await? {
                return Ok(epoch);
            }
        }
        let reason = format!("others drew {MAX_DRAWS} times meanwhile; try again");
        Err(IntentError::Outside { doing, reason })
    }

    async fn record(&self, intents: &[Intent]) -> Result<(), IntentError> {
        let Some(fence) = intents.first().map(|intent| intent.fence) else { return Ok(()) };
        let Some(guard) = self.tenure.guard(fence) else {
            return Err(IntentError::Stale { fence });
        };
        let writes = intents.iter().map(|intent| self.put(intent)).collect::<Result<_, _>>()?;
        match self.write_under(&guard, writes).await.map_err(outside("record intents"))? {
            true => Ok(()),
            false => Err(IntentError::Stale { fence }),
        }
    }

    async fn close(&self, owner: &str, keys: &[StepKey]) -> Result<(), IntentError> {
        let doing = "close intents";
        // Who leads no more closes nothing: the next leader finds them, and their instances.
        let Some(guard) = self.tenure.now() else { return Ok(()) };
        let folder = self.of(owner).map_err(|fault| outside(doing)(fault.into()))?;
        let key = |key: &StepKey| folder.key(&escaped(key.as_str())).map(|key| (key, None));
        let writes = keys.iter().map(key).collect::<Result<_, _>>();
        let writes = writes.map_err(|fault| outside(doing)(fault.into()))?;
        self.write_under(&guard, writes).await.map(drop).map_err(outside(doing))
    }

    async fn open(&self, owner: &str) -> Result<Vec<Intent>, IntentError> {
        let doing = "read open intents";
        let folder = self.of(owner).map_err(|fault| outside(doing)(fault.into()))?;
        let mut query = Query::of(folder).limit(PAGE);
        let mut open = Vec::new();
        loop {
            let listing = self.coordinator.range(&query).await.map_err(outside(doing))?;
            for entry in &listing.entries {
                open.push(read(entry)?);
            }
            match listing.entries.last() {
                Some(last) if listing.more => query = query.after(last.key.clone()),
                _ => return Ok(open),
            }
        }
    }
}

fn read(entry: &Entry) -> Result<Intent, IntentError> {
    let bad = |reason: String| {
        let reason = format!("{}: {reason}; remove the key if its instance is known", entry.key);
        IntentError::Outside { doing: "read an open intent", reason }
    };
    match record::decode::<StoredIntent>(&entry.value) {
        Ok((stored, length)) if length == entry.value.len() => Ok(stored.0),
        Ok(_) => Err(bad("something follows the record".to_owned())),
        Err(fault) => Err(bad(fault.to_string())),
    }
}

//! Changes of many specs in one call: all are checked first, all are stored in one write.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

use futures::StreamExt as _;
use regrow_ids::Fence;
use regrow_plugin::spi::{Operation, Spec};

use super::change::took_no_effect;
use super::{Ask, Core, PARALLEL_CALLS};
use crate::ManagerError;
use crate::catalog::{Catalog, Key, Record};

impl Core {
    /// Makes all the specs true and remembers them, or none.
    pub(crate) async fn enforce(self: &Arc<Self>, specs: &[Spec]) -> Result<(), ManagerError> {
        let fence = self.lead_or_say().await?;
        let records = self.route_all("enforce:", specs)?;
        self.whole(|core| async move {
            // In the order of the keys, so that two such calls cannot hold each other up.
            let mut held = Vec::new();
            for key in records.keys() {
                held.push(core.locks.hold(key).await);
            }
            core.enforce_held(fence, &records).await
        })
        .await
    }

    async fn enforce_held(
        &self,
        fence: Fence,
        records: &BTreeMap<Key, Record>,
    ) -> Result<(), ManagerError> {
        let check = |key, record| self.ask(fence, key, record, Ask::Pretend(Operation::Enforce));
        let failed = each(records, check).await;
        several("enforce:", records.len(), "nothing is stored or changed", &failed)?;
        let records = &self.all_in_their_worlds(records).await?;
        let mut earlier = BTreeMap::new();
        let store = |catalog: &mut Catalog| {
            for (key, record) in records {
                earlier.insert(key.clone(), catalog.replace(key, record.clone()));
            }
        };
        let stored = self.shelf.change(fence, || self.still(fence), store).await;
        stored.map_err(|fault| self.if_stored(fault, records.keys()))?;
        let mut failed =
            each(records, |key, record| self.ask(fence, key, record, Ask::Enforce)).await;
        let rejects = |(_, fault): &&(&Key, ManagerError)| took_no_effect(fault);
        let rejected: Vec<_> = failed.iter().filter(rejects).map(|(key, _)| *key).collect();
        let open = failed.iter().map(|(key, _)| *key).filter(|key| !rejected.contains(key));
        self.settling.nudge(open.cloned());
        for key in records.keys().filter(|key| !failed.iter().any(|(bad, _)| *bad == *key)) {
            self.settling.settled(key);
        }
        if !rejected.is_empty() {
            let undo = |catalog: &mut Catalog| {
                for key in &rejected {
                    if let Some(ours) = records.get(*key) {
                        let earlier = earlier.get(*key).cloned().unwrap_or_default();
                        catalog.put_back(key, ours, earlier);
                    }
                }
            };
            if let Err(source) = self.shelf.change(fence, || self.still(fence), undo).await {
                // The caller learns of the rejections all the same.
                for (key, fault) in failed.iter_mut().filter(|(key, _)| rejected.contains(key)) {
                    *fault = self.not_undone(key, fault.clone(), source.clone());
                }
            }
        }
        let outcome = "the others are in force; those that were refused are not stored, those \
                       without an answer are stored and tried again";
        several("enforce:", records.len(), outcome, &failed)
    }

    /// Destroys what the specs describe and forgets them.
    pub(crate) async fn terminate(self: &Arc<Self>, specs: &[Spec]) -> Result<(), ManagerError> {
        self.lead_or_say().await?;
        let records = self.route_all("terminate:", specs)?;
        // What is stored knows its handler; the spec of the call need not.
        let known = self.shelf.known();
        let stored = |key: &Key, record: Record| known.get(key).cloned().unwrap_or(record);
        let records: BTreeMap<_, _> = records
            .into_iter()
            .map(|(key, record)| {
                let record = stored(&key, record);
                (key, record)
            })
            .collect();
        let destroy = |key: &Key, record: &Record| {
            let (core, key, record) = (Arc::clone(self), key.clone(), record.clone());
            async move { core.destroy(key, record).await }
        };
        let failed = each(&records, destroy).await;
        let outcome = "the others are destroyed; those that failed are still stored";
        several("terminate:", records.len(), outcome, &failed)
    }

    fn route_all(
        &self,
        doing: &'static str,
        specs: &[Spec],
    ) -> Result<BTreeMap<Key, Record>, ManagerError> {
        let mut records = BTreeMap::new();
        let mut failed = Vec::new();
        for spec in specs {
            match self.route(spec) {
                Ok((key, record)) => {
                    if records.insert(key, record).is_some() {
                        failed.push(line(spec, "it stands twice in the list; keep one"));
                    }
                }
                Err(fault @ ManagerError::BadSpec { .. }) => failed.push(fault.to_string()),
                Err(fault) => failed.push(line(spec, fault)),
            }
        }
        if failed.is_empty() {
            return Ok(records);
        }
        let outcome = "nothing is changed";
        Err(ManagerError::Several { doing, of: specs.len(), outcome, failed })
    }
}

fn line(spec: &Spec, reason: impl std::fmt::Display) -> String {
    format!("{} {:?}: {reason}", spec.kind, spec.metadata.name)
}

/// Does something for each record, some at a time; returns what failed, in the order of the keys.
async fn each<'a, T, F>(
    records: &'a BTreeMap<Key, Record>,
    work: impl Fn(&'a Key, &'a Record) -> F,
) -> Vec<(&'a Key, ManagerError)>
where
    F: Future<Output = Result<T, ManagerError>>,
{
    let mut calls = Vec::with_capacity(records.len());
    for (key, record) in records {
        let call = work(key, record);
        calls.push(async move { call.await.err().map(|fault| (key, fault)) });
    }
    let mut failed: Vec<_> = futures::stream::iter(calls)
        .buffer_unordered(PARALLEL_CALLS)
        .filter_map(|failed| async move { failed })
        .collect()
        .await;
    failed.sort_by_key(|(key, _)| (*key).clone());
    failed
}

fn several(
    doing: &'static str,
    of: usize,
    outcome: &'static str,
    failed: &[(&Key, ManagerError)],
) -> Result<(), ManagerError> {
    if let [
        (
            _,
            only @ (ManagerError::NotLeader
            | ManagerError::LedElsewhere(_)
            | ManagerError::LeaderUnknown),
        ),
    ] = failed
    {
        return Err(only.clone());
    }
    if failed.is_empty() {
        return Ok(());
    }
    let failed = failed.iter().map(|(key, fault)| format!("{key}: {fault}")).collect();
    Err(ManagerError::Several { doing, of, outcome, failed })
}

//! Tables of a state machine as an ordered map, and a replica that runs one machine on them: what
//! was put there is what the machine finds, whoever wrote it.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use regrow_consensus::tables::Visit;
use regrow_consensus::{
    At, Change, Consistency, Edit, Leadership, Machine, Outcome, ProposeError, ReadError, Replica,
    Scope, Scoped, Snapshot, Span, Status, TableError, Time, View,
};
use tokio::sync::watch;

/// The tables of one machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shelf(BTreeMap<Vec<u8>, Vec<u8>>);

impl Shelf {
    /// What a command changed, as a machine is told of it.
    pub(crate) fn changes_since(&self, before: &Self, index: u64) -> Vec<Change> {
        let gone = before.0.keys().filter(|key| !self.0.contains_key(*key));
        let gone = gone.map(|key| Change { index, key: key.clone(), value: None });
        let new = self.0.iter().filter(|(key, value)| before.0.get(*key) != Some(*value));
        let new =
            new.map(|(key, value)| Change { index, key: key.clone(), value: Some(value.clone()) });
        gone.chain(new).collect()
    }

    /// The same tables as one machine's part of those of a replica.
    fn scoped(&self, scope: Scope) -> Self {
        let whole = |key: &Vec<u8>| [&[scope.byte()], key.as_slice()].concat();
        Self(self.0.iter().map(|(key, value)| (whole(key), value.clone())).collect())
    }
}

impl View for Shelf {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, TableError> {
        Ok(self.0.get(key).cloned())
    }

    fn scan(&self, span: &Span, visit: Visit<'_>) -> Result<(), TableError> {
        for (key, value) in self.0.range(span.from.clone()..) {
            if !span.contains(key) || visit(key, value) == ControlFlow::Break(()) {
                break;
            }
        }
        Ok(())
    }
}

impl Edit for Shelf {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), TableError> {
        self.0.insert(key.to_vec(), value.to_vec());
        Ok(())
    }

    fn delete(&mut self, key: &[u8]) -> Result<bool, TableError> {
        Ok(self.0.remove(key).is_some())
    }
}

/// The scope of the machine in its replica.
const SCOPE: Option<Scope> = Scope::new(7);

/// A replica alone with one machine, on tables that somebody else filled. Time stands still.
pub(crate) struct Alone {
    machine: Arc<dyn Machine>,
    tables: Mutex<(At, Shelf)>,
    leadership: watch::Sender<Leadership>,
    applied: watch::Sender<u64>,
}

impl Alone {
    /// The machine's part of such a replica.
    pub(crate) fn scoped(machine: Arc<dyn Machine>, tables: Shelf) -> Scoped {
        let Some(scope) = SCOPE else { panic!("a scope is not zero") };
        let leadership = Leadership { leader: Some(1), term: 1, leading: true };
        let at = At { index: 1, time: Time::from_millis(1_000) };
        let alone = Self {
            machine,
            tables: Mutex::new((at, tables)),
            leadership: watch::Sender::new(leadership),
            applied: watch::Sender::new(at.index),
        };
        Scoped::new(Arc::new(alone), scope)
    }
}

#[async_trait]
impl Replica for Alone {
    async fn propose(&self, command: Vec<u8>) -> Result<Outcome, ProposeError> {
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, shelf) = &mut *tables;
        at.index += 1;
        let command = command.get(1..).unwrap_or_default();
        let applied = self.machine.apply(*at, command, shelf);
        let halted = |error: TableError| ProposeError::Halted { reason: error.to_string() };
        Ok(Outcome { index: at.index, reply: applied.map_err(halted)? })
    }

    async fn read(&self, _: Consistency) -> Result<Snapshot, ReadError> {
        let tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(scope) = SCOPE else { panic!("a scope is not zero") };
        Ok(Snapshot::new(tables.0, Box::new(tables.1.scoped(scope))))
    }

    fn leadership(&self) -> watch::Receiver<Leadership> {
        self.leadership.subscribe()
    }

    fn applied(&self) -> watch::Receiver<u64> {
        self.applied.subscribe()
    }

    fn status(&self) -> Status {
        Status {
            node: 1,
            leadership: *self.leadership.borrow(),
            applied: self.tables.lock().unwrap_or_else(PoisonError::into_inner).0,
            last_contact: None,
            voters: vec![1],
            learners: Vec::new(),
        }
    }
}

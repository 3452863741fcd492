//! The machine alone, on a map: each command at an index and a time of the test's choice.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::Duration;

use regrow_catalog::machine::{CatalogMachine, Command, Refusal, Reply, command};
use regrow_catalog::query::{Found, Read};
use regrow_consensus::tables::Visit;
use regrow_consensus::{At, Edit, Machine, Span, TableError, Time, View};

#[derive(Default)]
pub struct MapTables(pub BTreeMap<Vec<u8>, Vec<u8>>);

fn visit_all<'e>(
    span: &Span,
    entries: impl Iterator<Item = (&'e Vec<u8>, &'e Vec<u8>)>,
    visit: Visit<'_>,
) {
    for (key, value) in entries {
        if span.contains(key) && visit(key, value) == ControlFlow::Break(()) {
            return;
        }
    }
}

impl View for MapTables {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, TableError> {
        Ok(self.0.get(key).cloned())
    }

    fn scan(&self, span: &Span, visit: Visit<'_>) -> Result<(), TableError> {
        visit_all(span, self.0.iter(), visit);
        Ok(())
    }
}

impl Edit for MapTables {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), TableError> {
        self.0.insert(key.to_vec(), value.to_vec());
        Ok(())
    }

    fn delete(&mut self, key: &[u8]) -> Result<bool, TableError> {
        Ok(self.0.remove(key).is_some())
    }
}

/// How often the leader looks for what expired.
pub const TICK: Duration = Duration::from_millis(100);

#[derive(Default)]
pub struct Lone {
    machine: CatalogMachine,
    pub tables: MapTables,
    pub index: u64,
    pub now: Time,
}

impl Lone {
    /// Applies a command at the next index.
    pub fn run(&mut self, command: &Command) -> Result<Reply, Refusal> {
        self.apply(&command::encode(command))
    }

    pub fn apply(&mut self, bytes: &[u8]) -> Result<Reply, Refusal> {
        self.try_apply(bytes).expect("tables of a test")
    }

    /// An error stops a replica.
    pub fn try_apply(&mut self, bytes: &[u8]) -> Result<Result<Reply, Refusal>, TableError> {
        self.index += 1;
        let at = At { index: self.index, time: self.now };
        let reply = self.machine.apply(at, bytes, &mut self.tables)?;
        Ok(command::decode_reply(&reply))
    }

    /// Lets one tick pass; the leader looks for what expired.
    pub fn tick(&mut self) {
        self.now = self.now.after(TICK);
        while self
            .machine
            .deadline(&self.tables)
            .expect("a deadline")
            .is_some_and(|at| at <= self.now)
        {
            self.apply(&self.machine.expire()).expect("expiry");
        }
    }

    pub fn pass(&mut self, time: Duration) {
        let end = self.now.after(time);
        while self.now < end {
            self.tick();
        }
    }

    pub fn look<T>(&self, read: &Read<T>) -> Found<T> {
        read.look(&self.tables).expect("a look")
    }
}

//! A machine of the product with the world's eyes on it: what it applies and what it tells its watchers
//! is written down. With a canary it is lied to, or what it tells is changed on the way.

use std::sync::Arc;

use regrow_catalog::machine::command;
use regrow_consensus::{At, Change, Edit, Machine, TableError, Time, View};

use super::canary::Canary;
use super::observer::Observer;

/// A machine and who watches it.
pub struct Watched {
    /// The machine.
    pub inner: Arc<dyn Machine>,
    /// Who watches.
    pub observer: Arc<Observer>,
    /// The bug that this world has.
    pub canary: Option<Canary>,
}

/// How much too early leases end under their canary, in milliseconds.
const EARLY: u64 = 1_500;
/// How much later it is than the machine should know when it locks a key, in milliseconds.
const HASTE: u64 = 20_000;
/// The node whose watchers or sleepers miss something.
const FORGETFUL: u64 = 2;

impl Watched {
    fn lie(&self, at: At, command: &[u8]) -> At {
        let later = |by: u64| At { time: Time::from_millis(at.time.as_millis() + by), ..at };
        match self.canary {
            Some(Canary::EarlyLease) if command == self.inner.expire() => later(EARLY),
            Some(Canary::ShortLockDelay) => match command::decode(command) {
                Ok(command::Command::Txn(_) | command::Command::Kv(_)) => later(HASTE),
                _ => at,
            },
            _ => at,
        }
    }

    fn forgets(&self, canary: Canary, index: u64, every: u64) -> bool {
        self.canary == Some(canary)
            && self.observer.node == FORGETFUL
            && index.is_multiple_of(every)
    }
}

impl Machine for Watched {
    fn apply(&self, at: At, command: &[u8], tables: &mut dyn Edit) -> Result<Vec<u8>, TableError> {
        self.observer.applied(at, command == self.inner.expire());
        self.inner.apply(self.lie(at, command), command, tables)
    }

    fn deadline(&self, tables: &dyn View) -> Result<Option<Time>, TableError> {
        let deadline = self.inner.deadline(tables)?;
        let by = if self.canary == Some(Canary::EarlyLease) { EARLY } else { 0 };
        Ok(deadline.map(|time| Time::from_millis(time.as_millis().saturating_sub(by))))
    }

    fn expire(&self) -> Vec<u8> {
        self.inner.expire()
    }

    fn committed(&self, last: At, changes: &[Change]) {
        self.observer.committed(last, changes);
        if self.forgets(Canary::LostWake, last.index, 3) {
            return;
        }
        let told = |change: &&Change| {
            !(change.key.first() == Some(&b'k')
                && self.forgets(Canary::LostChange, change.index, 29))
        };
        let told: Vec<Change> = changes.iter().filter(told).cloned().collect();
        self.inner.committed(last, &told);
    }

    fn replaced(&self, last: At, tables: &dyn View) {
        self.observer.replaced(last);
        self.inner.replaced(last, tables);
    }
}

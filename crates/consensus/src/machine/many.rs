//! Several machines on one replica, each with its own part of the tables.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::machine::{At, Change, Machine, Time};
use crate::tables::{Edit, Prefixed, PrefixedEdit, TableError, View};

/// Name of one machine in a replica: the first byte of its commands and of its keys. Stored, so it
/// is never given to another machine. Zero belongs to the replica itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope(u8);

impl Scope {
    /// A scope, `None` for zero.
    pub const fn new(byte: u8) -> Option<Self> {
        match byte {
            0 => None,
            byte => Some(Self(byte)),
        }
    }

    /// The byte.
    pub const fn byte(self) -> u8 {
        self.0
    }

    /// The bytes with the scope before them.
    pub(crate) fn prefix(self, bytes: &[u8]) -> Vec<u8> {
        let mut whole = Vec::with_capacity(bytes.len() + 1);
        whole.push(self.0);
        whole.extend_from_slice(bytes);
        whole
    }
}

/// Why machines cannot be put together, or a command cannot be routed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum MachinesError {
    /// Two machines share a scope.
    #[error("put machines together: scope {0} is taken; give each machine its own")]
    Taken(u8),
}

/// The machines of one replica.
#[derive(Clone, Default)]
pub struct Machines {
    by_scope: BTreeMap<Scope, Arc<dyn Machine>>,
}

impl Machines {
    /// No machine yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// With one more machine.
    ///
    /// # Errors
    /// Its scope is taken.
    pub fn with(mut self, scope: Scope, machine: Arc<dyn Machine>) -> Result<Self, MachinesError> {
        if self.by_scope.insert(scope, machine).is_some() {
            return Err(MachinesError::Taken(scope.byte()));
        }
        Ok(self)
    }

    /// Applies a command to the machine that its first byte names. A command for nobody, as an
    /// older program sees it in a newer one's log, cannot be skipped: tables would differ.
    pub(crate) fn apply(
        &self,
        at: At,
        command: &[u8],
        tables: &mut dyn Edit,
    ) -> Result<Vec<u8>, TableError> {
        let found = command.split_first().and_then(|(byte, rest)| {
            let scope = Scope::new(*byte)?;
            Some((scope, self.by_scope.get(&scope)?, rest))
        });
        let Some((scope, machine, rest)) = found else {
            return Err(TableError::Command { index: at.index, scope: command.first().copied() });
        };
        machine.apply(at, rest, &mut PrefixedEdit::new(tables, &[scope.byte()]))
    }

    /// The expiry commands that are due at `now`, scoped.
    pub(crate) fn due(&self, now: Time, tables: &dyn View) -> Result<Vec<Vec<u8>>, TableError> {
        let mut commands = Vec::new();
        for (scope, machine) in &self.by_scope {
            let deadline = machine.deadline(&Prefixed::new(tables, &[scope.byte()]))?;
            if deadline.is_some_and(|deadline| deadline <= now) {
                commands.push(scope.prefix(&machine.expire()));
            }
        }
        Ok(commands)
    }

    /// Gives each machine the changes of its own keys.
    pub(crate) fn committed(&self, last: At, changes: Vec<Change>) {
        let mut by_scope: BTreeMap<u8, Vec<Change>> = BTreeMap::new();
        for mut change in changes {
            if change.key.is_empty() {
                continue;
            }
            let scope = change.key.remove(0);
            by_scope.entry(scope).or_default().push(change);
        }
        for (scope, machine) in &self.by_scope {
            let own = by_scope.remove(&scope.byte()).unwrap_or_default();
            machine.committed(last, &own);
        }
    }

    /// Tells each machine that its tables were replaced.
    pub(crate) fn replaced(&self, last: At, tables: &dyn View) {
        for (scope, machine) in &self.by_scope {
            machine.replaced(last, &Prefixed::new(tables, &[scope.byte()]));
        }
    }
}

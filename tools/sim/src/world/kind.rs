//! Which machine a world runs: what the clients ask is the same, who answers differs.

use regrow_consensus::{Change, Scope};

use super::machine;

/// The machine of a world.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A small store of the world's own, with a ledger of everything that was executed.
    #[default]
    Store,
    /// The coordination keys: the product's `KeyMachine` behind its `Quorum`.
    Keys,
    /// The catalog: the product's `CatalogMachine`, asked as its HTTP side asks.
    Catalog,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Store, Self::Keys, Self::Catalog];

    /// Its name as it is typed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Store => "store",
            Self::Keys => "keys",
            Self::Catalog => "catalog",
        }
    }

    /// The machine's part of commands and tables: for the product's machines the one that agents use.
    pub(super) fn scope(self) -> Scope {
        const SCOPES: [Option<Scope>; 3] = [Scope::new(7), Scope::new(1), Scope::new(2)];
        match SCOPES[self as usize] {
            Some(scope) => scope,
            None => unreachable!("zero is no scope"),
        }
    }

    /// The session or lease that a changed key ends, if it does.
    pub(super) fn ended(self, change: &Change) -> Option<u64> {
        if change.value.is_some() {
            return None;
        }
        let (first, rest) = change.key.split_first()?;
        match (self, first) {
            (Self::Store, _) => machine::ended_session(change),
            // `l` lease, 8 bytes.
            (Self::Keys, b'l') => Some(u64::from_be_bytes(rest.try_into().ok()?)),
            // `S` session, 16 bytes; ours are small numbers.
            (Self::Catalog, b'S') => u64::try_from(u128::from_be_bytes(rest.try_into().ok()?)).ok(),
            _ => None,
        }
    }
}

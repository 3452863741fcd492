//! Whether the group controller of this process may act.

use std::sync::{Arc, PoisonError, RwLock};

use regrow_ids::Fence;
use regrow_manager::leader::{LeaderAuthority, LeaderSource};
use regrow_reconcile::Authority;

/// Without a manager in the process the controller always may, as InfraKit's does: whoever started
/// it alone decides. With one it may as long as that leads, under its fence, and before that has
/// started it may not.
#[derive(Default)]
pub struct OwnAuthority(RwLock<Mandate>);

/// Where the right to act comes from.
#[derive(Default)]
enum Mandate {
    /// From who started the process.
    #[default]
    Own,
    /// From a manager that is about to start.
    Awaited,
    /// From the leadership of a manager.
    Leaders(LeaderAuthority),
}

impl OwnAuthority {
    /// Waits for the manager that is about to start in this process.
    pub fn await_manager(&self) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Mandate::Awaited;
    }

    /// Follows a leadership from now on.
    pub fn follow(&self, source: Arc<dyn LeaderSource>) {
        let followed = Mandate::Leaders(LeaderAuthority::new(source));
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = followed;
    }
}

impl Authority for OwnAuthority {
    fn fence(&self) -> Option<Fence> {
        match &*self.0.read().unwrap_or_else(PoisonError::into_inner) {
            Mandate::Own => Some(Fence::new(1)),
            Mandate::Awaited => None,
            Mandate::Leaders(leadership) => leadership.fence(),
        }
    }

    fn lineage(&self) -> Option<u64> {
        match &*self.0.read().unwrap_or_else(PoisonError::into_inner) {
            Mandate::Own | Mandate::Awaited => None,
            Mandate::Leaders(leadership) => leadership.lineage(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use regrow_manager::leader::MemoryLeader;
    use regrow_reconcile::Authority as _;

    use super::OwnAuthority;

    #[test]
    fn acts_alone_or_while_the_manager_leads() {
        let authority = OwnAuthority::default();
        assert!(authority.fence().is_some());
        assert_eq!(authority.lineage(), None, "a constant is to be compared with nothing");
        authority.await_manager();
        assert_eq!(authority.fence(), None, "a manager is to come, and may follow");
        let leader = MemoryLeader::leading();
        authority.follow(Arc::new(leader.clone()));
        assert!(authority.lineage().is_some());
        let first = authority.fence().expect("leads");
        leader.follow();
        assert_eq!(authority.fence(), None);
        leader.lead();
        assert!(authority.fence().expect("leads again") > first);
    }
}

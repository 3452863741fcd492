//! Whether the group controller of this process may act.

use std::sync::{Arc, PoisonError, RwLock};

use regrow_ids::Fence;
use regrow_manager::leader::{LeaderAuthority, LeaderSource};
use regrow_reconcile::Authority;

/// Without a manager in the process the controller always may, as InfraKit's does: whoever started
/// it alone decides. With one it may as long as that leads, under its fence.
#[derive(Default)]
pub struct OwnAuthority(RwLock<Option<LeaderAuthority>>);

impl OwnAuthority {
    /// Follows a leadership from now on.
    pub fn follow(&self, source: Arc<dyn LeaderSource>) {
        let mut followed = self.0.write().unwrap_or_else(PoisonError::into_inner);
        *followed = Some(LeaderAuthority::new(source));
    }
}

impl Authority for OwnAuthority {
    fn fence(&self) -> Option<Fence> {
        let followed = self.0.read().unwrap_or_else(PoisonError::into_inner);
        followed.as_ref().map_or_else(|| Some(Fence::new(1)), Authority::fence)
    }

    fn lineage(&self) -> Option<u64> {
        let followed = self.0.read().unwrap_or_else(PoisonError::into_inner);
        followed.as_ref().and_then(Authority::lineage)
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

//! Whether the group controller of this process may act.

use std::sync::{PoisonError, RwLock};

use regrow_ids::Fence;
use regrow_manager::leader::Leadership;
use regrow_reconcile::Authority;
use tokio::sync::watch::Receiver;

/// Without a manager in the process the controller always may, as InfraKit's does: whoever started
/// it alone decides. With one it may as long as that leads, under its fence.
#[derive(Default)]
pub struct OwnAuthority(RwLock<Option<Receiver<Leadership>>>);

impl OwnAuthority {
    /// Follows a leadership from now on.
    pub fn follow(&self, leadership: Receiver<Leadership>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(leadership);
    }
}

impl Authority for OwnAuthority {
    fn fence(&self) -> Option<Fence> {
        let followed = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let Some(leadership) = followed.as_ref() else { return Some(Fence::new(1)) };
        match &*leadership.borrow() {
            Leadership::Leading { fence } => Some(*fence),
            Leadership::Following | Leadership::Unknown(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use regrow_manager::leader::{LeaderSource as _, MemoryLeader};
    use regrow_reconcile::Authority as _;

    use super::OwnAuthority;

    #[test]
    fn acts_alone_or_while_the_manager_leads() {
        let authority = OwnAuthority::default();
        assert!(authority.fence().is_some());
        let leader = MemoryLeader::leading();
        authority.follow(leader.watch());
        let first = authority.fence().expect("leads");
        leader.follow();
        assert_eq!(authority.fence(), None);
        leader.lead();
        assert!(authority.fence().expect("leads again") > first);
    }
}

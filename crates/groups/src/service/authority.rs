//! Under whose leadership this process acts: its own, or that of the manager that commits to it.

use std::sync::{Arc, Mutex, PoisonError};

use regrow_ids::Fence;
use regrow_plugin::Mandate;
use regrow_reconcile::Authority;

/// The authority of this process where that has a source of fences. Else that of the last manager
/// that changed something here, as its calls carried it: a controller in a process of its own acts
/// for whoever told it to, and what it asks of providers carries that leader's fence.
pub(crate) struct Mandated {
    own: Arc<dyn Authority>,
    heard: Mutex<Option<Mandate>>,
}

impl Mandated {
    pub(crate) fn new(own: Arc<dyn Authority>) -> Self {
        Self { own, heard: Mutex::default() }
    }

    /// Notes under which mandate the running call changes something. A lower one does not come so
    /// far; one of another lineage is of another manager, which took over.
    pub(crate) fn hear(&self) {
        let Some(mandate) = Mandate::current() else { return };
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *heard {
            Some(before) if before.lineage == mandate.lineage => {
                before.fence = before.fence.max(mandate.fence);
            }
            other => *other = Some(mandate),
        }
    }

    fn heard(&self) -> Option<Mandate> {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What goes with calls that are made under a fence of this authority.
    pub(crate) fn mandate(&self, fence: Fence) -> Option<Mandate> {
        self.lineage().map(|lineage| Mandate { fence, lineage })
    }
}

impl Authority for Mandated {
    fn fence(&self) -> Option<Fence> {
        let own = self.own.fence()?;
        let heard = self.heard().filter(|_| self.own.lineage().is_none());
        Some(heard.map_or(own, |heard| heard.fence))
    }

    fn lineage(&self) -> Option<u64> {
        self.own.lineage().or_else(|| self.heard().map(|heard| heard.lineage))
    }
}

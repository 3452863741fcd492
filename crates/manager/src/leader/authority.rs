//! Leadership as the loop of a controller asks for it.

use std::sync::Arc;

use regrow_ids::Fence;
use regrow_reconcile::Authority;

use super::{LeaderSource, Leadership};

/// Lets the controllers of a process act while a source says that its replica leads, under the
/// source's fences.
pub struct LeaderAuthority(Arc<dyn LeaderSource>);

impl LeaderAuthority {
    /// Asks this source.
    pub fn new(source: Arc<dyn LeaderSource>) -> Self {
        Self(source)
    }
}

impl Authority for LeaderAuthority {
    fn fence(&self) -> Option<Fence> {
        match self.0.now() {
            Leadership::Leading { fence } => Some(fence),
            Leadership::Following | Leadership::Unknown(_) => None,
        }
    }

    fn lineage(&self) -> Option<u64> {
        Some(self.0.lineage())
    }
}

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use regrow_ids::Fence;
use regrow_plugin::spi::LeaderLocation;
use tokio::sync::watch;

use super::{LeaderError, LeaderSource, Leadership};

/// A source for one process: `regrow up`, where nobody else could lead, and tests. Clones share the
/// state.
#[derive(Clone, Debug)]
pub struct MemoryLeader(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    lineage: u64,
    leadership: watch::Sender<Leadership>,
    newest: Mutex<Fence>,
    location: Mutex<Option<LeaderLocation>>,
}

impl Default for MemoryLeader {
    /// A replica that follows.
    fn default() -> Self {
        Self(Arc::new(Inner {
            lineage: rand::random(),
            leadership: watch::Sender::new(Leadership::Following),
            newest: Mutex::default(),
            location: Mutex::default(),
        }))
    }
}

impl MemoryLeader {
    /// A replica that leads from the start.
    pub fn leading() -> Self {
        let leader = Self::default();
        leader.lead();
        leader
    }

    /// Makes the replica leader, with a new fence.
    pub fn lead(&self) -> Fence {
        let mut newest = self.0.newest.lock().unwrap_or_else(PoisonError::into_inner);
        *newest = newest.next();
        self.0.leadership.send_replace(Leadership::Leading { fence: *newest });
        *newest
    }

    /// Makes the replica a follower.
    pub fn follow(&self) {
        self.0.leadership.send_replace(Leadership::Following);
    }

    /// Makes the leadership unknown.
    pub fn lose_sight(&self, why: &str) {
        self.0.leadership.send_replace(Leadership::unknown(why));
    }

    /// The leadership now.
    pub fn now(&self) -> Leadership {
        self.0.leadership.borrow().clone()
    }
}

#[async_trait]
impl LeaderSource for MemoryLeader {
    fn watch(&self) -> watch::Receiver<Leadership> {
        self.0.leadership.subscribe()
    }

    fn lineage(&self) -> u64 {
        self.0.lineage
    }

    async fn location(&self) -> Result<Option<LeaderLocation>, LeaderError> {
        Ok(self.0.location.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    async fn set_location(&self, location: &LeaderLocation) -> Result<(), LeaderError> {
        let mut kept = self.0.location.lock().unwrap_or_else(PoisonError::into_inner);
        *kept = Some(location.clone());
        Ok(())
    }
}

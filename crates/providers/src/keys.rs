//! One call at a time for each idempotency key.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OwnedMutexGuard;

/// Locks by name. A name that nobody holds or waits for takes no memory.
#[derive(Debug, Default)]
pub(crate) struct KeyLocks(Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>);

impl KeyLocks {
    /// Waits until nobody else holds the name.
    pub(crate) async fn lock(&self, key: &str) -> OwnedMutexGuard<()> {
        let lock = {
            let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            locks.retain(|_, lock| Arc::strong_count(lock) > 1);
            Arc::clone(locks.entry(key.to_owned()).or_default())
        };
        lock.lock_owned().await
    }
}

#[cfg(test)]
mod tests {
    use super::KeyLocks;

    #[tokio::test]
    async fn one_at_a_time_for_each_key() {
        let locks = KeyLocks::default();
        let first = locks.lock("a").await;
        let _other = locks.lock("b").await;
        let second = locks.lock("a");
        tokio::pin!(second);
        let now = std::time::Duration::ZERO;
        assert!(tokio::time::timeout(now, &mut second).await.is_err());
        drop(first);
        let second = second.await;
        drop(second);
        let _third = locks.lock("c").await;
        assert_eq!(locks.0.lock().expect("lock").len(), 2, "b and c");
    }
}

//! Where blocked readers wait.
//!
//! A reader subscribes to its topics first and looks then: what changes after its look wakes it.
//! A wake-up may be for nothing, and none is missed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::{Notify, watch};

use crate::machine::{Topic, rows};

type Readers = HashMap<Vec<u8>, Vec<Weak<Notify>>>;

/// Readers by the row whose change wakes them.
#[derive(Default)]
struct Places {
    exact: Readers,
    prefix: Readers,
}

#[derive(Default)]
struct Inner {
    places: Mutex<Places>,
    /// Counts how often the tables were replaced as a whole.
    replaced: watch::Sender<u64>,
}

/// Wakes the readers of what has changed. Cheap to clone.
#[derive(Clone, Default)]
pub struct Hub {
    inner: Arc<Inner>,
}

impl Hub {
    fn places(&self) -> MutexGuard<'_, Places> {
        self.inner.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to listen to topics.
    pub fn subscribe(&self, topics: &[Topic]) -> Subscription {
        let notify = Arc::new(Notify::new());
        let keys: Vec<Place> = topics.iter().flat_map(places_of).collect();
        let mut places = self.places();
        for key in &keys {
            let (map, row) = key.of(&mut places);
            map.entry(row.clone()).or_default().push(Arc::downgrade(&notify));
        }
        drop(places);
        Subscription { hub: self.clone(), keys, notify }
    }

    /// Changes whenever the tables were replaced as a whole.
    pub fn replacements(&self) -> watch::Receiver<u64> {
        self.inner.replaced.subscribe()
    }

    /// How many subscriptions there are, by topic.
    pub fn waiting(&self) -> usize {
        let places = self.places();
        places.exact.values().chain(places.prefix.values()).map(Vec::len).sum()
    }

    /// Wakes the readers of rows.
    pub(crate) fn changed<'k>(&self, keys: impl Iterator<Item = &'k [u8]>) {
        let places = self.places();
        for key in keys {
            wake(places.exact.get(key));
            if places.prefix.is_empty()
                || !matches!(key.first(), Some(&(rows::KEY | rows::TOMBSTONE)))
            {
                continue;
            }
            for end in 1..=key.len() {
                wake(key.get(..end).and_then(|start| places.prefix.get(start)));
            }
        }
    }

    /// Wakes everybody.
    pub(crate) fn replaced(&self) {
        let places = self.places();
        places.exact.values().chain(places.prefix.values()).for_each(|place| wake(Some(place)));
        drop(places);
        self.inner.replaced.send_modify(|count| *count += 1);
    }
}

fn wake(place: Option<&Vec<Weak<Notify>>>) {
    for notify in place.into_iter().flatten().filter_map(Weak::upgrade) {
        notify.notify_one();
    }
}

/// A row, or all rows that begin so.
enum Place {
    Exact(Vec<u8>),
    Prefix(Vec<u8>),
}

impl Place {
    fn of<'p>(&self, places: &'p mut Places) -> (&'p mut Readers, &Vec<u8>) {
        match self {
            Self::Exact(row) => (&mut places.exact, row),
            Self::Prefix(row) => (&mut places.prefix, row),
        }
    }
}

fn places_of(topic: &Topic) -> Vec<Place> {
    match topic {
        Topic::Key(key) => vec![Place::Exact(rows::key(rows::KEY, &[key.as_bytes()]))],
        Topic::KeyPrefix(prefix) => [rows::KEY, rows::TOMBSTONE]
            .map(|table| Place::Prefix(rows::key(table, &[prefix.as_bytes()])))
            .into(),
        other => other.row().map(Place::Exact).into_iter().collect(),
    }
}

/// A reader's place in the hub; it leaves when this is dropped.
pub struct Subscription {
    hub: Hub,
    keys: Vec<Place>,
    notify: Arc<Notify>,
}

impl Subscription {
    /// Returns when something changed since the last return, or since the subscription began.
    pub async fn changed(&self) {
        self.notify.notified().await;
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut places = self.hub.places();
        for key in &self.keys {
            let (map, row) = key.of(&mut places);
            if let Some(place) = map.get_mut(row) {
                place.retain(|other| !std::ptr::eq(other.as_ptr(), Arc::as_ptr(&self.notify)));
                if place.is_empty() {
                    map.remove(row);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_leaves_leaves_no_place_behind() {
        let hub = Hub::default();
        let topics = [Topic::Key("k".into()), Topic::KeyPrefix("p/".into()), Topic::Nodes];
        let first = hub.subscribe(&topics);
        let second = hub.subscribe(&topics);
        assert_eq!(hub.waiting(), 8, "a prefix is two places: its keys and its tombstones");
        drop(first);
        assert_eq!(hub.waiting(), 4);
        drop(second);
        let places = hub.places();
        assert!(places.exact.is_empty() && places.prefix.is_empty());
    }
}

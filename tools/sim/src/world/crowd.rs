//! All clients of a world together.

use super::clients::{Reply, Request};
use super::holders::Holder;
use super::keys::{KeyClient, Record};
use super::kind::Kind;
use super::sleepers::Sleeper;
use super::watchers::Watcher;
use crate::seed::SeedTree;

/// The clients by what they do.
pub struct Crowd {
    /// Read and write.
    pub keys: Vec<KeyClient>,
    /// Hold sessions and locks.
    pub holders: Vec<Holder>,
    /// Watch the coordination keys.
    pub watchers: Vec<Watcher>,
    /// Wait for changes of the catalog.
    pub sleepers: Vec<Sleeper>,
}

impl Crowd {
    /// The clients of a world of this kind; `count` of them read and write.
    pub fn new(kind: Kind, count: u64, seed: SeedTree, record: &mut Record) -> Self {
        let random = |name: &str, number| seed.member(name, number).random();
        let plain = kind == Kind::Catalog;
        let keys = (1..=count)
            .map(|number| KeyClient::new(number, plain, random("keys", number), record))
            .collect();
        let numbers = |own: Kind, first: u64| if kind == own { first..first + 4 } else { 0..0 };
        Self {
            keys,
            holders: (101..=103)
                .map(|number| Holder::new(number, random("holders", number)))
                .collect(),
            watchers: numbers(Kind::Keys, 201)
                .map(|number| Watcher::new(number, random("watchers", number)))
                .collect(),
            sleepers: numbers(Kind::Catalog, 301)
                .map(|number| Sleeper::new(number, random("sleepers", number)))
                .collect(),
        }
    }

    /// What everybody asks at `now`. Nobody begins anything new once `closing`.
    pub fn step(&mut self, now: u64, closing: bool, record: &mut Record) -> Vec<(u64, Request)> {
        let mut requests = Vec::new();
        let mut add = |number, request: Option<Request>| {
            requests.extend(request.map(|request| (number, request)));
        };
        for client in &mut self.keys {
            add(client.number, client.step(now, closing, record));
        }
        for client in &mut self.holders {
            add(client.number, client.step(now, closing));
        }
        for client in &mut self.watchers {
            add(client.number, client.step(now, closing));
        }
        for client in &mut self.sleepers {
            add(client.number, client.step(now, closing));
        }
        requests
    }

    /// An answer came for a client.
    pub fn hear(&mut self, now: u64, client: u64, reply: Reply, record: &mut Record) {
        if let Some(known) = self.keys.iter_mut().find(|known| known.number == client) {
            known.hear(now, reply, record);
        } else if let Some(known) = self.holders.iter_mut().find(|known| known.number == client) {
            known.hear(now, &reply);
        } else if let Some(known) = self.watchers.iter_mut().find(|known| known.number == client) {
            known.hear(now, reply);
        } else if let Some(known) = self.sleepers.iter_mut().find(|known| known.number == client) {
            known.hear(now, reply);
        }
    }

    /// The connection of a client broke.
    pub fn lost(&mut self, now: u64, client: u64, record: &mut Record) {
        let is = |number: u64| number == client;
        for known in self.keys.iter_mut().filter(|known| is(known.number)) {
            known.lost(now, "connection broke", record);
        }
        self.holders.iter_mut().filter(|known| is(known.number)).for_each(|known| known.lost(now));
        self.watchers.iter_mut().filter(|known| is(known.number)).for_each(|known| known.lost(now));
        self.sleepers.iter_mut().filter(|known| is(known.number)).for_each(|known| known.lost(now));
    }
}

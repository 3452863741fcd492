//! Keys, locks and sessions against a naive model, over random commands and time.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use regrow_catalog::machine::{Command, KvOp, KvVerb, NodePart, Registration, Reply};
use regrow_catalog::model::{Behavior, KeyEntry, Node, Session, SessionId};
use regrow_catalog::query;
use regrow_consensus::Time;

use crate::lone::Lone;

#[derive(Clone, Debug)]
enum Deed {
    Set { key: usize, value: u8 },
    Cas { key: usize, value: u8, right: bool },
    Lock { key: usize, session: usize, value: u8 },
    Unlock { key: usize, session: usize },
    Delete { key: usize },
    DeleteTree { prefix: usize },
    Create { session: usize, ttl: Option<u64>, delay: u64, deletes: bool },
    Renew { session: usize },
    Destroy { session: usize },
    Pass { millis: u64 },
}

const KEYS: [&str; 5] = ["a", "a/x", "a/y", "b", "b/z"];
const PREFIXES: [&str; 4] = ["", "a", "a/", "b/"];
const SESSIONS: usize = 3;

fn deed() -> impl Strategy<Value = Deed> {
    let key = 0..KEYS.len();
    let session = 0..SESSIONS;
    let ttl = prop_oneof![Just(None), (10u64..30).prop_map(Some)];
    prop_oneof![
        4 => (key.clone(), 0u8..3).prop_map(|(key, value)| Deed::Set { key, value }),
        2 => (key.clone(), 0u8..3, any::<bool>())
            .prop_map(|(key, value, right)| Deed::Cas { key, value, right }),
        6 => (key.clone(), session.clone(), 0u8..3)
            .prop_map(|(key, session, value)| Deed::Lock { key, session, value }),
        2 => (key.clone(), session.clone())
            .prop_map(|(key, session)| Deed::Unlock { key, session }),
        2 => key.prop_map(|key| Deed::Delete { key }),
        1 => (0..PREFIXES.len()).prop_map(|prefix| Deed::DeleteTree { prefix }),
        4 => (session.clone(), ttl, 0u64..4, any::<bool>())
            .prop_map(|(session, ttl, delay, deletes)| Deed::Create {
                session, ttl, delay: delay * 5, deletes,
            }),
        3 => session.clone().prop_map(|session| Deed::Renew { session }),
        1 => session.prop_map(|session| Deed::Destroy { session }),
        5 => (0u64..15_000).prop_map(|millis| Deed::Pass { millis }),
        1 => Just(Deed::Pass { millis: 16 * 60 * 1000 }),
    ]
}

#[derive(Clone, Debug, PartialEq)]
struct Key {
    value: Vec<u8>,
    lock_index: u64,
    session: Option<usize>,
    created: u64,
    modified: u64,
}

#[derive(Clone, Debug)]
struct Life {
    id: SessionId,
    ttl: Option<Duration>,
    delay: Duration,
    deletes: bool,
    renewed: Time,
}

#[derive(Default)]
struct Model {
    keys: BTreeMap<String, Key>,
    sessions: BTreeMap<usize, Life>,
    delays: BTreeMap<String, Time>,
}

impl Model {
    fn write(&mut self, key: &str, value: u8, index: u64, change: impl FnOnce(&mut Key)) {
        let before = self.keys.get(key).cloned();
        let mut after = before.clone().unwrap_or(Key {
            value: Vec::new(),
            lock_index: 0,
            session: None,
            created: index,
            modified: index,
        });
        after.value = vec![value];
        change(&mut after);
        if before.as_ref() != Some(&after) {
            after.modified = index;
        }
        self.keys.insert(key.to_owned(), after);
    }

    fn end(&mut self, session: usize, index: u64, now: Time) {
        let Some(life) = self.sessions.remove(&session) else { return };
        let held: Vec<String> = self
            .keys
            .iter()
            .filter(|(_, entry)| entry.session == Some(session))
            .map(|(key, _)| key.clone())
            .collect();
        for key in held {
            if !life.delay.is_zero() {
                self.delays.insert(key.clone(), now.after(life.delay));
            }
            if life.deletes {
                self.keys.remove(&key);
            } else if let Some(entry) = self.keys.get_mut(&key) {
                entry.session = None;
                entry.modified = index;
            }
        }
    }
}

struct Run {
    lone: Lone,
    model: Model,
    made: u128,
    seen: BTreeMap<&'static str, (Vec<KeyEntry>, u64)>,
}

impl Run {
    fn new() -> Self {
        let mut lone = Lone::default();
        let node = Node { name: "n".to_owned(), ..Node::default() };
        let registration = Registration {
            node: NodePart::Set(node),
            service: None,
            checks: Vec::new(),
            replace_checks: false,
        };
        lone.run(&Command::Register(registration)).expect("a node");
        Self { lone, model: Model::default(), made: 0, seen: BTreeMap::new() }
    }

    fn kv(&mut self, op: KvOp) -> Option<bool> {
        match self.lone.run(&Command::Kv(op)) {
            Ok(Reply::Kv(denial)) => Some(denial.is_none()),
            Ok(other) => panic!("a key command answered {other:?}"),
            Err(_) => None,
        }
    }

    fn session(&self, session: usize) -> SessionId {
        self.model.sessions.get(&session).map_or(SessionId(u128::MAX), |life| life.id)
    }

    fn step(&mut self, deed: &Deed) {
        match *deed {
            Deed::Set { key, value } => {
                let done = self.kv(KvOp::new(KvVerb::Set, KEYS[key]).value([value]));
                assert_eq!(done, Some(true));
                self.model.write(KEYS[key], value, self.lone.index, |_| {});
            }
            Deed::Cas { key, value, right } => self.cas(KEYS[key], value, right),
            Deed::Lock { key, session, value } => self.lock(KEYS[key], session, value),
            Deed::Unlock { key, session } => self.unlock(KEYS[key], session),
            Deed::Delete { key } => {
                assert_eq!(self.kv(KvOp::new(KvVerb::Delete, KEYS[key])), Some(true));
                self.model.keys.remove(KEYS[key]);
            }
            Deed::DeleteTree { prefix } => {
                let prefix = PREFIXES[prefix];
                assert_eq!(self.kv(KvOp::new(KvVerb::DeleteTree, prefix)), Some(true));
                self.model.keys.retain(|key, _| !key.starts_with(prefix));
            }
            Deed::Create { session, ttl, delay, deletes } => {
                self.create(session, ttl, delay, deletes);
            }
            Deed::Renew { session } => self.renew(session),
            Deed::Destroy { session } => {
                let id = self.session(session);
                self.lone.run(&Command::DestroySession(id)).expect("an end");
                self.model.end(session, self.lone.index, self.lone.now);
            }
            Deed::Pass { millis } => self.pass(Duration::from_millis(millis)),
        }
    }

    fn cas(&mut self, key: &str, value: u8, right: bool) {
        let current = self.model.keys.get(key).map_or(0, |entry| entry.modified);
        let index = if right { current } else { current + 1 };
        let done = self.kv(KvOp::new(KvVerb::Cas, key).value([value]).index(index));
        assert_eq!(done, Some(right));
        if right {
            self.model.write(key, value, self.lone.index, |_| {});
        }
    }

    fn lock(&mut self, key: &str, session: usize, value: u8) {
        let id = self.session(session);
        let done = self.kv(KvOp::new(KvVerb::Lock, key).value([value]).session(id));
        if !self.model.sessions.contains_key(&session) {
            assert_eq!(done, None, "a session that is not there locks nothing");
            return;
        }
        let holder = self.model.keys.get(key).and_then(|entry| entry.session);
        let delayed = self.model.delays.get(key).is_some_and(|until| *until > self.lone.now);
        let expected = holder == Some(session) || (holder.is_none() && !delayed);
        assert_eq!(done, Some(expected), "{key} held by {holder:?}, delayed {delayed}");
        if expected {
            self.model.write(key, value, self.lone.index, |entry| {
                entry.lock_index += u64::from(entry.session.is_none());
                entry.session = Some(session);
            });
        }
    }

    fn unlock(&mut self, key: &str, session: usize) {
        let id = self.session(session);
        let done = self.kv(KvOp::new(KvVerb::Unlock, key).value([9]).session(id));
        let known = self.model.sessions.contains_key(&session);
        let holds =
            known && self.model.keys.get(key).is_some_and(|entry| entry.session == Some(session));
        assert_eq!(done, Some(holds));
        if holds {
            self.model.write(key, 9, self.lone.index, |entry| entry.session = None);
        }
    }

    fn create(&mut self, session: usize, ttl: Option<u64>, delay: u64, deletes: bool) {
        if self.model.sessions.contains_key(&session) {
            return;
        }
        self.made += 1;
        let ttl = ttl.map(Duration::from_secs);
        let delay = Duration::from_secs(delay);
        let id = SessionId(self.made);
        let made = Session {
            id,
            name: String::new(),
            node: "n".to_owned(),
            lock_delay: delay,
            behavior: if deletes { Behavior::Delete } else { Behavior::Release },
            ttl,
            ttl_text: String::new(),
            grace_percent: 10,
            node_checks: Vec::new(),
            service_checks: Vec::new(),
        };
        self.lone.run(&Command::CreateSession(made)).expect("a session");
        let life = Life { id, ttl, delay, deletes, renewed: self.lone.now };
        self.model.sessions.insert(session, life);
    }

    fn renew(&mut self, session: usize) {
        let id = self.session(session);
        let reply = self.lone.run(&Command::RenewSession(id)).expect("an answer");
        let Reply::Session(found) = reply else { panic!("renew answered {reply:?}") };
        let life = self.model.sessions.get_mut(&session);
        assert_eq!(found.is_some(), life.is_some());
        if let Some(life) = life {
            life.renewed = self.lone.now;
        }
    }

    /// Tick by tick: sessions end between 1 and 1.2 times their TTL, and never otherwise.
    fn pass(&mut self, time: Duration) {
        let end = self.lone.now.after(time);
        while self.lone.now < end {
            self.lone.tick();
            for session in 0..SESSIONS {
                let Some(life) = self.model.sessions.get(&session).cloned() else { continue };
                let there = self.lone.look(&query::sessions::session(life.id)).value.is_some();
                let silent = self.lone.now.since(life.renewed);
                match life.ttl {
                    Some(ttl) if silent > ttl * 12 / 10 => assert!(!there, "{silent:?} of {ttl:?}"),
                    Some(ttl) if silent >= ttl => {}
                    _ => assert!(there, "ended after {silent:?} of {:?}", life.ttl),
                }
                if !there {
                    // Several can end in one command: the index is the machine's.
                    self.model.end(session, self.lone.index, self.lone.now);
                }
            }
        }
    }

    fn compare(&self) {
        let found = self.lone.look(&query::kv::under("")).value;
        let found: BTreeMap<String, Key> = found
            .into_iter()
            .map(|entry| {
                let session = entry.session.map(|id| {
                    let holder = self.model.sessions.iter().find(|(_, life)| life.id == id);
                    *holder.expect("a holder that lives").0
                });
                let key = Key {
                    value: entry.value,
                    lock_index: entry.lock_index,
                    session,
                    created: entry.indexes.created,
                    modified: entry.indexes.modified,
                };
                (entry.key, key)
            })
            .collect();
        assert_eq!(found, self.model.keys);
    }

    /// An index never goes back, and what changed has a higher one.
    fn compare_indexes(&mut self) {
        let keys = KEYS.iter().map(|key| (*key, query::kv::entry(*key).map(Vec::from_iter)));
        let prefixes = [("P", ""), ("Pa", "a"), ("Pa/", "a/"), ("Pb/", "b/")];
        let prefixes = prefixes.iter().map(|(name, prefix)| (*name, query::kv::under(*prefix)));
        for (name, read) in keys.chain(prefixes) {
            let found = self.lone.look(&read);
            if let Some((value, index)) = self.seen.get(name) {
                assert!(found.index >= *index, "{name}: {} after {index}", found.index);
                if found.value != *value {
                    assert!(found.index > *index, "{name} changed and stayed at {index}");
                }
            }
            self.seen.insert(name, (found.value, found.index));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]
    #[test]
    fn keys_locks_and_sessions_do_as_a_naive_model(
        deeds in prop::collection::vec(deed(), 1..60)
    ) {
        let mut run = Run::new();
        for deed in &deeds {
            run.step(deed);
            run.compare();
            run.compare_indexes();
        }
    }
}

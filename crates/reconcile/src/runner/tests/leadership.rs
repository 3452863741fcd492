use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use regrow_codec::Any;
use regrow_ids::{Fence, StepKey};

use super::{Authority, Loop, LoopOptions, Numbers, Rig, rig, wanted};
use crate::intents::{Intent, IntentError, IntentLog, MemoryIntents};
use crate::{Class, Handle};

/// Leads until told otherwise.
struct Switch(AtomicU64);

impl Authority for Switch {
    fn fence(&self) -> Option<Fence> {
        let fence = self.0.load(Ordering::Relaxed);
        (fence > 0).then(|| Fence::new(fence))
    }
}

#[tokio::test(start_paused = true)]
async fn without_leadership_nothing_starts() {
    let switch = Arc::new(Switch(AtomicU64::new(1)));
    let rig = rig(switch.clone());
    let handle = rig.engine.add("a".into(), wanted(50));
    tokio::time::sleep(Duration::from_millis(25)).await;
    switch.0.store(0, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_millis(15)).await;
    let at_loss = rig.world();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(rig.world(), at_loss);
    assert_eq!(handle.status().blocked, ["this process does not lead"]);
    switch.0.store(2, Ordering::Relaxed);
    rig.converged().await;
    assert_eq!(rig.world(), 50);
}

/// A group of three that converged under the first of two leaderships.
async fn two_leaderships() -> (Rig, Arc<Switch>, Handle<Numbers>) {
    let switch = Arc::new(Switch(AtomicU64::new(1)));
    let rig = rig(switch.clone());
    let handle = rig.engine.add("a".into(), wanted(3));
    rig.converged().await;
    (rig, switch, handle)
}

#[tokio::test(start_paused = true)]
async fn a_new_leadership_looks_before_it_acts() {
    let (rig, switch, handle) = two_leaderships().await;
    // Another leader makes the other two, which only a look can tell.
    rig.numbers.world.lock().unwrap().extend(3..5);
    rig.numbers.slow_look.store(true, Ordering::Relaxed);
    switch.0.store(3, Ordering::Relaxed);
    handle.with(|state, _| state.wanted = 5).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let status = handle.status();
    assert_eq!(status.blocked, ["no look at the world since this process leads"]);
    assert!(!status.converged);
    // The look was asked for at once, not with the next revisit.
    let looked = rig.numbers.looked.load(Ordering::Relaxed);
    assert_eq!(looked as u64, status.looks + 1);
    rig.numbers.slow_look.store(false, Ordering::Relaxed);
    rig.converged().await;
    assert_eq!(handle.with(|state, _| state.drawn).await, Some(1), "one batch, the first");
    assert_eq!(rig.world(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_leadership_that_returns_under_the_same_fence_looks_again() {
    let (rig, switch, handle) = two_leaderships().await;
    switch.0.store(0, Ordering::Relaxed);
    handle.with(|_, _| ()).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    rig.numbers.world.lock().unwrap().extend(3..5);
    rig.numbers.slow_look.store(true, Ordering::Relaxed);
    switch.0.store(1, Ordering::Relaxed);
    handle.with(|state, _| state.wanted = 5).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let blocked = handle.status().blocked;
    assert_eq!(blocked, ["no look at the world since this process leads"]);
    assert_eq!(handle.with(|state, _| state.drawn).await, Some(1));
}

#[tokio::test(start_paused = true)]
async fn without_leadership_nothing_is_converged_and_intents_are_closed() {
    let (rig, switch, handle) = two_leaderships().await;
    // Steps queue up while the first four run.
    handle.with(|state, _| state.wanted = 19).await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert_eq!(handle.status().steps_open, 16);
    switch.0.store(0, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(handle.with(|state, _| state.not_started).await, Some(12));
    assert_eq!(rig.log.open("a"), []);
    assert_eq!(rig.world(), 7);
    handle.with(|state, _| state.wanted = 7).await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert!(!handle.status().converged);
}

#[tokio::test(start_paused = true)]
async fn plans_that_only_wait_for_leadership_wake_no_watcher() {
    let (_rig, switch, handle) = two_leaderships().await;
    switch.0.store(0, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(15)).await;
    let (mut status, before) = (handle.watch_status(), handle.status().plans);
    let mut told = 0;
    let count = async {
        while status.changed().await.is_ok() {
            told += 1;
        }
    };
    let _ = tokio::time::timeout(Duration::from_secs(25), count).await;
    // The regular looks are heard of, the counters still move without a word.
    assert!(told <= 3, "{told} times");
    assert!(handle.status().plans - before > 20);
}

/// Leads until it was asked so often, and then never again.
struct Blink {
    asked: AtomicU64,
    most: u64,
    numbers: Mutex<Option<Arc<Numbers>>>,
    /// Steps that had been called when leadership ended.
    called: Mutex<Option<usize>>,
}

impl Authority for Blink {
    fn fence(&self) -> Option<Fence> {
        if self.asked.fetch_add(1, Ordering::Relaxed) < self.most {
            return Some(Fence::new(7));
        }
        let numbers = self.numbers.lock().unwrap();
        let called = numbers.as_ref().map(|numbers| numbers.fences.lock().unwrap().len());
        self.called.lock().unwrap().get_or_insert(called.unwrap_or_default());
        None
    }
}

#[tokio::test(start_paused = true)]
async fn no_step_is_called_after_leadership_ended_at_whatever_moment() {
    let mut called = BTreeSet::new();
    for most in 0..60 {
        let blink = Arc::new(Blink {
            asked: AtomicU64::new(0),
            most,
            numbers: Mutex::default(),
            called: Mutex::default(),
        });
        let rig = rig(blink.clone());
        *blink.numbers.lock().unwrap() = Some(rig.numbers.clone());
        let handle = rig.engine.add("a".into(), wanted(30));
        tokio::time::sleep(Duration::from_secs(5)).await;
        let at_end = blink.called.lock().unwrap().unwrap_or(30);
        let fences = rig.numbers.fences.lock().unwrap().clone();
        assert_eq!(fences, vec![Fence::new(7); at_end], "asked {most} times");
        // What was granted and not called is known to be that.
        let not_started = handle.read(|state| state.not_started + state.under_way.len()).await;
        assert_eq!(rig.world(), at_end);
        assert!(not_started.expect("running") <= 16);
        assert!(at_end == 30 || rig.log.open("a").is_empty());
        called.insert(at_end);
    }
    assert!(called.len() > 10, "the end fell between different steps: {called:?}");
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_returns_takes_up_what_another_left_open() {
    let (rig, switch, handle) = two_leaderships().await;
    assert_eq!(handle.read(|state| state.resumed).await, Some(0));
    let by_another = Intent {
        key: StepKey::from_tag("theirs"),
        owner: "a".into(),
        class: Class::Create.into(),
        body: Any::default(),
        fence: Fence::new(2),
    };
    rig.log.record(&[by_another]);
    switch.0.store(3, Ordering::Relaxed);
    handle.with(|_, _| ()).await;
    rig.converged().await;
    assert_eq!(handle.read(|state| state.resumed).await, Some(1));
    assert_eq!(rig.log.open("a"), []);
}

/// A log that knows of a newer leader.
struct Outrun(MemoryIntents);

#[async_trait]
impl IntentLog for Outrun {
    fn lineage(&self) -> u64 {
        1
    }
    async fn next_epoch(&self) -> Result<u64, IntentError> {
        Ok(self.0.next_epoch())
    }
    async fn record(&self, intents: &[Intent]) -> Result<(), IntentError> {
        Err(IntentError::Stale { fence: intents[0].fence })
    }
    async fn close(&self, _owner: &str, keys: &[StepKey]) -> Result<(), IntentError> {
        self.0.close(keys);
        Ok(())
    }
    async fn open(&self, owner: &str) -> Result<Vec<Intent>, IntentError> {
        Ok(self.0.open(owner))
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_too_late_for_an_intent_stands_by() {
    let numbers = Arc::new(Numbers::default());
    let log = Arc::new(Outrun(MemoryIntents::new(1)));
    let engine = Loop::new(Arc::clone(&numbers), log, super::always(), LoopOptions::default());
    let mut notes = engine.notes();
    let handle = engine.add("a".to_owned(), wanted(3));
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(handle.status().blocked, ["this process does not lead"]);
    assert_eq!(*numbers.fences.lock().unwrap(), []);
    let text = notes.recv().await.expect("a note").text.clone();
    assert_eq!(text, "record intents under fence 1: that leadership is over");
}

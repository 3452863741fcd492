use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use regrow_ids::{Fence, StepKey};
use tokio::sync::Notify;

use super::super::Handle;
use super::{Authority, Loop, LoopOptions, Numbers, Refusing, Wanted, always, rig, wanted};
use crate::Budget;
use crate::intents::{Intent, IntentError, IntentLog, MemoryIntents};

#[tokio::test(start_paused = true)]
async fn a_big_plan_is_granted_in_parts_and_can_be_revised() {
    let rig = rig(always());
    let handle = rig.engine.add("a".into(), wanted(100));
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert_eq!(handle.status().steps_open, 16);
    assert_eq!(rig.log.open("a").len(), 16);
    handle.with(|state, _| state.wanted = 20).await;
    rig.converged().await;
    assert_eq!(rig.world(), 20);
    // Nothing was made to be destroyed again.
    assert_eq!(handle.read(|state| state.failures).await, Some(0));
    assert_eq!(rig.numbers.most_running.load(Ordering::Relaxed), 4);
}

#[tokio::test(start_paused = true)]
async fn parts_are_written_together() {
    let rig = rig(always());
    let handle = rig.engine.add("a".into(), wanted(800));
    rig.converged().await;
    assert_eq!(rig.world(), 800);
    let batches = handle.read(|state| state.drawn).await.expect("running");
    assert!(batches <= 101, "{batches} writes");
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_over_and_granted_again_stays_open() {
    let rig = rig(always());
    rig.numbers.same_keys.store(true, Ordering::Relaxed);
    let handle = rig.engine.add("a".into(), wanted(1));
    rig.converged().await;
    rig.numbers.world.lock().unwrap().clear();
    *rig.numbers.hang.lock().unwrap() = Some(0);
    let key = StepKey::from_tag("0-0");
    let again = key.clone();
    handle
        .with(move |state, _| {
            state.seen.as_mut().expect("seen").clear();
            state.closed.push(again);
        })
        .await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let open: Vec<_> = rig.log.open("a").into_iter().map(|intent| intent.key).collect();
    assert_eq!(open, [key]);
}

#[tokio::test(start_paused = true)]
async fn a_refused_destruction_costs_no_budget() {
    let numbers = Arc::new(Numbers::default());
    numbers.world.lock().unwrap().extend(0..2);
    let log = Arc::new(Refusing(MemoryIntents::new(1), AtomicUsize::new(3)));
    let engine = Loop::new(Arc::clone(&numbers), log, always(), LoopOptions::default());
    let budget = Some(Budget { most: 2, window: Duration::from_secs(600) });
    engine.add("a".to_owned(), Wanted { budget, ..wanted(0) });
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(numbers.world.lock().unwrap().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_destruction_that_did_not_happen_gives_its_budget_back() {
    let rig = rig(always());
    rig.numbers.world.lock().unwrap().extend(0..5);
    let budget = Some(Budget { most: 2, window: Duration::from_secs(3_600) });
    let handle = rig.engine.add("a".into(), Wanted { budget, ..wanted(0) });
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(rig.world(), 3);
    handle.with(|state, _| state.spared = 1).await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(rig.world(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_step_that_never_ends_is_given_up() {
    let rig = rig(always());
    let mut notes = rig.engine.notes();
    *rig.numbers.hang.lock().unwrap() = Some(2);
    let handle = rig.engine.add("a".into(), wanted(5));
    tokio::time::sleep(Duration::from_secs(14 * 60)).await;
    assert_eq!((rig.world(), handle.status().steps_open), (4, 1));
    *rig.numbers.hang.lock().unwrap() = None;
    tokio::time::sleep(Duration::from_secs(2 * 60)).await;
    assert_eq!(notes.recv().await.expect("a note").text, "Create 2: no answer in 900 s; given up");
    assert_eq!(handle.read(|state| state.failures).await, Some(1));
    assert_eq!(rig.world(), 5);
    assert!(handle.status().converged);
    assert_eq!(rig.log.open("a"), []);
}

#[tokio::test(start_paused = true)]
async fn steps_that_wait_when_the_object_is_removed_are_handed_back() {
    let rig = rig(always());
    let handle = rig.engine.add("a".into(), wanted(50));
    tokio::time::sleep(Duration::from_millis(5)).await;
    let mut status = handle.watch_status();
    status.borrow_and_update();
    let state = rig.engine.remove(&"a".to_owned()).await.expect("state");
    assert_eq!(state.not_started, 12);
    assert_eq!(rig.log.open("a").len(), 4, "those that run");
    // Who waits for a change learns that there will be none.
    status.changed().await.expect("told");
    assert_eq!(handle.read(|state| state.wanted).await, None);
}

#[tokio::test(start_paused = true)]
async fn no_task_begins_its_step_after_the_object_was_removed() {
    let rig = rig(always());
    let handle = rig.engine.add("a".into(), wanted(50));
    // Four tasks are made at once, one after the other gets its turn; the first one's call removes
    // the object.
    *rig.numbers.on_step.lock().unwrap() = Some(Box::new(move || handle.cancel()));
    let running = rig.engine.get(&"a".to_owned()).expect("a");
    running.stopped().await;
    let state = rig.engine.remove(&"a".to_owned()).await.expect("state");
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(rig.numbers.fences.lock().unwrap().len(), 1);
    assert_eq!(state.not_started, 15);
    assert_eq!(rig.log.open("a").len(), 1, "the one that was called");
}

/// Leads, and removes the object when it is asked while steps are granted: right before their tasks
/// are made.
#[derive(Default)]
struct Removing(Arc<MemoryIntents>, Mutex<Option<Handle<Numbers>>>);

impl Authority for Removing {
    fn fence(&self) -> Option<Fence> {
        if let (false, Some(handle)) = (self.0.open("a").is_empty(), &*self.1.lock().unwrap()) {
            handle.cancel();
        }
        Some(Fence::new(1))
    }
}

#[tokio::test(start_paused = true)]
async fn tasks_that_had_no_turn_when_the_object_ends_are_handed_back() {
    let numbers = Arc::new(Numbers::default());
    let authority = Arc::new(Removing::default());
    let (log, options) = (authority.0.clone(), LoopOptions::default());
    let engine = Loop::new(Arc::clone(&numbers), log.clone(), authority.clone() as _, options);
    let handle = engine.add("a".to_owned(), wanted(3));
    *authority.1.lock().unwrap() = Some(handle.clone());
    handle.stopped().await;
    let state = engine.remove(&"a".to_owned()).await.expect("state");
    assert_eq!(state.not_started, 3);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(numbers.fences.lock().unwrap().len(), 0);
    assert_eq!(log.open("a"), []);
}

/// A log whose writes wait for a permission.
#[derive(Default)]
struct Gated(MemoryIntents, Notify);

#[async_trait]
impl IntentLog for Gated {
    fn lineage(&self) -> u64 {
        1
    }
    async fn next_epoch(&self) -> Result<u64, IntentError> {
        Ok(self.0.next_epoch())
    }
    async fn record(&self, intents: &[Intent]) -> Result<(), IntentError> {
        self.1.notified().await;
        self.0.record(intents);
        Ok(())
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
async fn nothing_starts_when_the_object_is_removed_while_intents_are_written() {
    let numbers = Arc::new(Numbers::default());
    let log = Arc::new(Gated::default());
    let engine = Loop::new(Arc::clone(&numbers), log.clone(), always(), LoopOptions::default());
    engine.add("a".to_owned(), wanted(3));
    tokio::time::sleep(Duration::from_millis(100)).await;
    let key = "a".to_owned();
    let (removed, ()) = tokio::join!(engine.remove(&key), async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        log.1.notify_one();
    });
    assert_eq!(removed.expect("state").not_started, 3);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(numbers.world.lock().unwrap().len(), 0);
    assert_eq!(log.0.open("a"), []);
}

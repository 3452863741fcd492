use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use regrow_ids::Fence;

use super::{Authority, Numbers, Rig, rig, wanted};
use crate::Handle;
use crate::intents::IntentLog;

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

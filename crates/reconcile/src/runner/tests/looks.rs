use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{always, rig, wanted};
use crate::Level;

#[tokio::test(start_paused = true)]
async fn a_look_that_hangs_is_given_up_and_noted() {
    let rig = rig(always());
    let mut notes = rig.engine.notes();
    rig.numbers.slow_look.store(true, Ordering::Relaxed);
    rig.engine.add("a".into(), wanted(5));
    let note = notes.recv().await.expect("a note");
    assert_eq!(note.level, Level::Warning);
    assert_eq!(note.text, "look at the world: no answer in time");
    rig.numbers.slow_look.store(false, Ordering::Relaxed);
    rig.converged().await;
}

#[tokio::test(start_paused = true)]
async fn many_wakes_are_few_looks() {
    let rig = rig(always());
    let handle = rig.engine.add("a".into(), wanted(3));
    rig.converged().await;
    let before = handle.status().looks;
    for _ in 0..1_000 {
        handle.wake();
        tokio::task::yield_now().await;
    }
    assert!(handle.status().looks - before < 10);
}

#[tokio::test(start_paused = true)]
async fn after_a_hung_look_the_next_comes_within_the_revisit() {
    let rig = rig(always());
    let handle = rig.engine.add("a".into(), wanted(5));
    rig.converged().await;
    rig.numbers.slow_look.store(true, Ordering::Relaxed);
    handle.wake();
    tokio::time::sleep(Duration::from_secs(61)).await;
    let blind = handle.read(|state| state.blind.clone()).await.expect("running");
    assert_eq!(blind, ["look at the world: no answer in time"]);
    rig.numbers.slow_look.store(false, Ordering::Relaxed);
    rig.numbers.world.lock().unwrap().clear();
    // A wake within the pause counts when it is over.
    handle.wake();
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(rig.world(), 5);
}

#[tokio::test(start_paused = true)]
async fn after_a_slow_look_the_next_comes_within_the_revisit() {
    // A client's time-out is such an answer, and so is the list of a slow provider.
    for blind in [true, false] {
        let rig = rig(always());
        rig.numbers.blind.store(blind, Ordering::Relaxed);
        *rig.numbers.look_takes.lock().unwrap() = Duration::from_secs(15);
        let handle = rig.engine.add("a".into(), wanted(0));
        tokio::time::sleep(Duration::from_secs(600)).await;
        let looks = handle.status().looks;
        assert!((22..26).contains(&looks), "{looks} looks");
    }
}

#[tokio::test(start_paused = true)]
async fn looks_that_plans_ask_for_grow_rare_while_they_show_nothing() {
    let rig = rig(always());
    rig.numbers.blind.store(true, Ordering::Relaxed);
    let handle = rig.engine.add("a".into(), wanted(0));
    tokio::time::sleep(Duration::from_secs(60)).await;
    let looks = handle.status().looks;
    assert!((10..25).contains(&looks), "{looks} looks");
    rig.numbers.blind.store(false, Ordering::Relaxed);
    rig.converged().await;
    // The pauses begin short again.
    rig.numbers.blind.store(true, Ordering::Relaxed);
    let before = handle.status().looks;
    handle.wake();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let looks = handle.status().looks - before;
    assert!((5..12).contains(&looks), "{looks} looks");
}

#[tokio::test(start_paused = true)]
async fn watchers_hear_of_plans_after_changes_but_not_of_counting() {
    let rig = rig(always());
    let handle = rig.engine.add("a".into(), wanted(3));
    rig.converged().await;
    let mut status = handle.watch_status();
    tokio::time::sleep(Duration::from_millis(100)).await;
    status.borrow_and_update();
    for _ in 0..10 {
        handle.read(|state| state.wanted).await;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(!status.has_changed().expect("running"));
    let before = handle.status().plans;
    handle.with(|_, _| ()).await;
    let wait = status.wait_for(|status| status.converged && status.plans > before);
    tokio::time::timeout(Duration::from_secs(1), wait).await.expect("told").expect("running");
}

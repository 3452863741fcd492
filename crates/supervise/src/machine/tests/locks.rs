//! Jobs that run under a lock only.

use std::time::Duration;

use super::rig::{Rig, config, job, on, secs, served};
use crate::config::{Config, Job, Restarts, Watch, Watched};
use crate::event::Code;
use crate::machine::Input;

fn leader(name: &str) -> Job {
    Job { when: on("lock:db", Code::Acquired, true), ..job(name) }
}

fn acquire(rig: &mut Rig, fence: u64) -> Vec<String> {
    rig.give(Input::Acquired { lock: "db".into(), fence })
}

fn losing(rig: &mut Rig, time: Duration) -> Vec<String> {
    let kill_at = rig.now.after(time);
    rig.give(Input::Losing { lock: "db".into(), kill_at })
}

#[test]
fn a_leader_runs_with_its_fence_and_stops_before_the_lock_is_lost() {
    let demote = Job { when: on("lock:db", Code::Lost, true), ..job("demote") };
    let jobs = vec![Job { stop_timeout: Some(secs(60)), ..leader("primary") }, demote, job("db")];
    let mut rig = Rig::up(jobs);
    assert_eq!(acquire(&mut rig, 5), ["{Acquired lock:db}", "start primary db=5"]);
    assert_eq!(losing(&mut rig, secs(2)), ["signal primary 15", "{Lost lock:db}", "start demote"]);
    assert_eq!(rig.pass(Duration::from_millis(1999)), [""; 0]);
    assert_eq!(rig.pass(Duration::from_millis(1)), ["signal primary 9"]);
    rig.killed("primary", 9);
    rig.returns("demote", 0);
    assert_eq!(acquire(&mut rig, 8), ["{Acquired lock:db}", "start primary db=8"]);
}

#[test]
fn a_lock_that_comes_back_while_the_leader_still_ends_starts_it_afterwards() {
    let mut rig = Rig::up(vec![leader("primary"), job("db")]);
    acquire(&mut rig, 1);
    losing(&mut rig, secs(2));
    assert_eq!(acquire(&mut rig, 2), ["{Acquired lock:db}"]);
    assert!(rig.killed("primary", 15).contains(&"start primary db=2".to_owned()));
}

#[test]
fn the_service_of_a_leader_is_withdrawn_beside_its_end_and_nobody_is_waited_for() {
    let hook = Job { when: on("primary", Code::Stopping, true), ..job("hook") };
    let primary = Job { when: on("lock:db", Code::Acquired, true), ..served("primary") };
    let mut rig = Rig::up(vec![primary, hook, job("db")]);
    acquire(&mut rig, 1);
    rig.pass(secs(1));
    rig.returns("check.primary", 0);
    let seen = losing(&mut rig, secs(2));
    assert_eq!(seen, ["withdraw primary", "signal primary 15", "{Lost lock:db}"]);
    rig.killed("primary", 15);
    assert_eq!(rig.pass(secs(5)), [""; 0], "a stand-by is not checked");
}

#[test]
fn a_leader_that_ends_by_itself_gives_the_lock_to_others() {
    let restarted = Job { restarts: Restarts::Times(1), ..leader("primary") };
    let mut rig = Rig::up(vec![restarted, job("db")]);
    acquire(&mut rig, 1);
    assert!(rig.returns("primary", 1).contains(&"start primary db=1".to_owned()));
    let seen = rig.returns("primary", 1);
    assert_eq!(seen.iter().filter(|line| *line == "release db").count(), 1, "{seen:?}");
    assert_eq!(acquire(&mut rig, 4).last().map(String::as_str), Some("start primary db=4"));
}

#[test]
fn a_leader_that_failed_takes_the_other_leaders_down_before_the_lock_is_given_back() {
    let mut rig = Rig::up(vec![leader("one"), leader("two"), job("db")]);
    acquire(&mut rig, 1);
    let seen = rig.returns("one", 1);
    assert!(seen.contains(&"signal two 15".to_owned()), "{seen:?}");
    assert!(!seen.contains(&"release db".to_owned()));
    assert!(rig.killed("two", 15).contains(&"release db".to_owned()));
}

#[test]
fn a_leader_that_is_done_ends_the_leadership_too() {
    let mut rig = Rig::up(vec![leader("one"), leader("two"), job("db")]);
    acquire(&mut rig, 1);
    assert!(rig.returns("one", 0).contains(&"signal two 15".to_owned()));
    assert!(rig.killed("two", 15).contains(&"release db".to_owned()));
    acquire(&mut rig, 2);
    assert!(rig.runs("one") && rig.runs("two"));
}

#[test]
fn at_shutdown_the_lock_is_given_back_when_the_leader_has_ended_and_before_the_others_have() {
    let mut rig = Rig::up(vec![leader("primary"), job("db")]);
    acquire(&mut rig, 1);
    assert!(!rig.give(Input::Shutdown).contains(&"release db".to_owned()));
    assert!(rig.killed("primary", 15).contains(&"release db".to_owned()));
    assert_eq!(rig.exited, None);
    assert_eq!(acquire(&mut rig, 2), ["release db"], "nobody wants it any more");
    rig.killed("db", 15);
    assert_eq!(rig.exited, Some(0));
}

/// A worker that follows one that died finds the lock still held, and says so.
#[test]
fn a_tenure_begins_once_however_often_it_is_told() {
    let once = Job { when: on("lock:db", Code::Acquired, false), ..job("once") };
    let mut rig = Rig::up(vec![once, leader("each"), job("db")]);
    assert_eq!(acquire(&mut rig, 5), ["{Acquired lock:db}", "start once db=5", "start each db=5"]);
    assert_eq!(acquire(&mut rig, 5), [""; 0]);
    rig.returns("each", 0);
    assert!(!rig.runs("each"), "its run was not asked for twice: {:?}", rig.log);
    assert!(rig.killed("once", 15).contains(&"release db".to_owned()));
    assert_eq!(acquire(&mut rig, 5), ["release db"], "what was given back is over");
    assert_eq!(acquire(&mut rig, 6), ["{Acquired lock:db}", "start each db=6"]);
}

#[test]
fn a_lock_that_is_being_lost_is_given_back_as_soon_as_its_jobs_are_gone() {
    let mut rig = Rig::up(vec![leader("one"), leader("two"), job("db")]);
    acquire(&mut rig, 1);
    losing(&mut rig, secs(5));
    assert!(!rig.killed("one", 15).contains(&"release db".to_owned()));
    assert!(rig.killed("two", 15).contains(&"release db".to_owned()));
    let lost = rig.log.iter().filter(|line| *line == "{Lost lock:db}").count();
    assert_eq!(lost, 1, "{:?}", rig.log);
    assert!(rig.machine.fences().is_empty());
}

#[test]
fn a_lock_is_wanted_as_long_as_some_job_may_run_under_it() {
    let once = Job { when: on("lock:db", Code::Acquired, false), ..job("once") };
    let mut rig = Rig::up(vec![once, job("other")]);
    assert!(rig.machine.wants("db") && !rig.machine.wants("unused"));
    acquire(&mut rig, 1);
    assert!(rig.machine.wants("db"));
    rig.returns("once", 0);
    assert!(!rig.machine.wants("db"), "it ran for the only time");

    let mut rig = Rig::up(vec![leader("each"), job("other")]);
    rig.give(Input::Shutdown);
    assert!(!rig.machine.wants("db"));
}

#[test]
fn a_lock_that_is_left_to_others_goes_when_its_jobs_have_ended_and_is_not_wanted_for_that_time() {
    let patient = Job { stop_timeout: Some(secs(60)), ..leader("primary") };
    let mut rig = Rig::up(vec![patient, job("db")]);
    acquire(&mut rig, 1);
    let asked = Input::Yield { lock: "db".into(), time: secs(10) };
    assert_eq!(rig.give(asked.clone()), ["signal primary 15"]);
    assert!(rig.runs("primary") && !rig.has("release db"));
    assert_eq!(rig.pass(secs(30)), [""; 0], "it has its own time to end");
    let seen = rig.killed("primary", 15);
    assert!(seen.contains(&"release db".to_owned()), "{seen:?}");
    assert!(seen.contains(&"{Lost lock:db}".to_owned()), "{seen:?}");
    assert!(!rig.machine.wants("db"));
    assert_eq!(acquire(&mut rig, 2), ["release db"], "it came all the same");
    rig.pass(Duration::from_millis(9999));
    assert!(!rig.machine.wants("db"), "the time counts from when it was given back");
    rig.pass(Duration::from_millis(1));
    assert!(rig.machine.wants("db"));
    assert_eq!(acquire(&mut rig, 3), ["{Acquired lock:db}", "start primary db=3"]);

    let mut rig = Rig::up(vec![leader("primary"), job("db")]);
    assert_eq!(rig.give(asked), [""; 0], "it is not held");
    assert!(!rig.machine.wants("db"));
    rig.pass(secs(10));
    assert!(rig.machine.wants("db"));
}

/// With a watch that follows the lock and these jobs.
fn followed(jobs: Vec<Job>) -> Rig {
    let what = Watched::Lock("db".into());
    let watch = Watch { name: "primary".into(), what, interval: secs(10), dc: None };
    let mut rig = Rig::new(Config { watches: vec![watch], ..config(jobs) });
    rig.give(Input::Begin);
    rig
}

#[test]
fn a_watch_keeps_its_lock_whatever_the_jobs_do_that_it_starts() {
    let up = Job { when: on("watch.primary", Code::Acquired, true), ..job("up") };
    let down = Job { when: on("watch.primary", Code::Lost, true), ..job("down") };
    let mut rig = followed(vec![up, down, job("app")]);
    assert!(rig.machine.wants("db"));
    let seen = acquire(&mut rig, 3);
    assert_eq!(seen, ["{Acquired lock:db}", "{Acquired watch.primary}", "start up db=3"]);
    rig.returns("up", 1);
    assert!(!rig.has("release db"), "{:?}", rig.log);
    let seen = losing(&mut rig, secs(5));
    assert_eq!(seen, ["{Lost lock:db}", "{Lost watch.primary}", "release db", "start down"]);
    rig.returns("down", 0);
    acquire(&mut rig, 4);
    assert!(rig.runs("up"));
    assert!(
        rig.give(Input::Yield { lock: "db".into(), time: secs(9) })
            .contains(&"release db".to_owned())
    );
    assert!(rig.runs("up"), "it does not run under the lock");
    rig.pass(secs(9));
    acquire(&mut rig, 5);
    assert!(rig.give(Input::Shutdown).contains(&"release db".to_owned()));
}

#[test]
fn a_job_under_a_followed_lock_gives_it_back_and_stops_as_ever() {
    let up = Job { when: on("watch.primary", Code::Acquired, true), ..job("up") };
    let mut rig = followed(vec![up, leader("leader"), job("app")]);
    acquire(&mut rig, 3);
    rig.returns("up", 0);
    assert!(rig.returns("leader", 0).contains(&"release db".to_owned()), "{:?}", rig.log);
    acquire(&mut rig, 4);
    losing(&mut rig, secs(5));
    assert!(rig.has("signal leader 15") && !rig.has("signal up 15"), "{:?}", rig.log);
}

//! What people complained of in ContainerPilot, each by the number it has in the list of complaints.

use std::collections::BTreeSet;
use std::time::Duration;

use regrow_init::Ended;

use super::rig::{Rig, config, exec, health, job, on, secs, served};
use crate::config::{Backoff, Check, Config, Health, Job, Probe, Restarts, Status, Trigger, When};
use crate::event::{Code, Event};
use crate::machine::{Cue, Input, Shown};

/// A web server that its check found healthy.
fn healthy() -> Rig {
    let mut rig = Rig::up(vec![served("web")]);
    rig.pass(secs(1));
    rig.returns("check.web", 0);
    assert!(rig.has("announce web Passing"));
    rig
}

#[test]
fn complaint_2_stop_does_not_wait_for_the_whole_stop_timeout() {
    let mut rig = Rig::up(vec![job("app")]);
    assert_eq!(rig.give(Input::Shutdown)[2], "signal app 15");
    rig.pass(Duration::from_millis(20));
    assert_eq!(rig.killed("app", 15).last().map(String::as_str), Some("exit 0"));
}

#[test]
fn complaint_2_what_ignores_term_is_killed_at_the_stop_timeout() {
    let mut rig = Rig::up(vec![job("app")]);
    rig.give(Input::Shutdown);
    assert_eq!(rig.pass(Duration::from_millis(4999)), [""; 0]);
    assert_eq!(rig.pass(Duration::from_millis(1)), ["signal app 9"]);
    rig.killed("app", 9);
    assert_eq!(rig.exited, Some(0));
}

#[test]
fn complaint_16_what_runs_when_the_main_job_has_stopped_is_not_cut_off_by_its_end() {
    let main = Job { main: true, ..job("app") };
    let after = Job { when: on("app", Code::Stopped, false), ..job("after") };
    let last = Job { when: on("after", Code::Stopped, false), ..job("last") };
    let mut rig = Rig::up(vec![main, after, last, job("side")]);
    rig.killed("app", 9);
    assert!(rig.has("start after") && rig.has("signal side 15"), "{:?}", rig.log);
    assert!(!rig.has("signal after 15"), "it was told to end before it did its work");
    rig.killed("side", 15);
    rig.returns("after", 0);
    assert_eq!(rig.exited, None);
    rig.returns("last", 0);
    assert_eq!(rig.exited, Some(137));
}

#[test]
fn complaint_3_the_exit_code_is_that_of_the_main_job() {
    let main = Job { main: true, ..job("app") };
    let mut rig = Rig::up(vec![job("side"), main.clone()]);
    rig.returns("side", 4);
    rig.returns("app", 7);
    assert_eq!(rig.exited, Some(7));

    let mut rig = Rig::up(vec![main.clone(), job("side")]);
    rig.killed("app", 11);
    assert!(rig.has("signal side 15"), "the program ends with it");
    rig.killed("side", 15);
    assert_eq!(rig.exited, Some(139));

    let mut rig = Rig::up(vec![main]);
    rig.give(Input::Shutdown);
    rig.killed("app", 15);
    assert_eq!(rig.exited, Some(0), "it was told to end and ended");
}

#[test]
fn complaint_21_a_main_job_that_was_kept_from_running_has_no_code() {
    let first = job("preStart");
    let main = Job { main: true, when: on("preStart", Code::ExitSuccess, false), ..job("app") };
    let mut rig = Rig::up(vec![first, main]);
    rig.returns("preStart", 3);
    assert_eq!(rig.exited, Some(3));
}

#[test]
fn complaint_21_pre_stop_runs_after_a_pre_start_that_succeeded_only() {
    let hook = |code| {
        let started = |code, source: &str| Trigger { source: source.into(), code };
        let triggers = vec![started(Code::ExitSuccess, "preStart"), started(code, "app")];
        When::Events { triggers, all: true, each: false, timeout: None }
    };
    let main = Job { main: true, when: on("preStart", Code::ExitSuccess, false), ..job("app") };
    let (before, after) = (hook(Code::Stopping), hook(Code::Stopped));
    let hooks = [Job { when: before, ..job("preStop") }, Job { when: after, ..job("postStop") }];
    let jobs: Vec<Job> = [job("preStart"), main].into_iter().chain(hooks).collect();
    let mut rig = Rig::up(jobs.clone());
    rig.returns("preStart", 3);
    assert_eq!(rig.exited, Some(3), "{:?}", rig.log);

    let mut rig = Rig::up(jobs);
    rig.returns("preStart", 0);
    rig.give(Input::Shutdown);
    assert!(!rig.has("signal app 15"), "it waits for preStop");
    rig.returns("preStop", 0);
    rig.killed("app", 15);
    rig.returns("postStop", 0);
    assert_eq!(rig.exited, Some(0));
}

#[test]
fn complaint_3b_a_task_does_not_keep_the_program_up_whose_main_job_can_no_longer_start() {
    let task = Job { when: When::Interval(secs(5)), restarts: Restarts::Unlimited, ..job("task") };
    let main = Job { main: true, when: on("preStart", Code::ExitSuccess, false), ..job("app") };
    let mut rig = Rig::up(vec![job("preStart"), main.clone(), task.clone()]);
    rig.returns("preStart", 3);
    assert!(rig.has("signal task 15"), "{:?}", rig.log);
    rig.killed("task", 15);
    assert_eq!(rig.exited, Some(3));

    let mut rig = Rig::up(vec![job("preStart"), main, task]);
    rig.returns("preStart", 0);
    assert!(rig.runs("app") && rig.runs("task"), "it could");

    let started = |code, source: &str| Trigger { source: source.into(), code };
    let triggers = vec![started(Code::ExitSuccess, "a"), started(Code::Changed, "watch.w")];
    for all in [true, false] {
        let when = When::Events { triggers: triggers.clone(), all, each: false, timeout: None };
        let jobs = vec![job("a"), job("b"), Job { main: true, when, ..job("app") }];
        let mut rig = Rig::up(jobs);
        rig.returns("a", 3);
        assert_eq!(rig.has("signal b 15"), all, "with any of them the watch may start it yet");
    }
}

#[test]
fn complaint_3_without_a_main_job_the_first_that_failed_for_good_counts() {
    let twice = Job { restarts: Restarts::Times(1), ..job("app") };
    let mut rig = Rig::up(vec![twice.clone(), job("other")]);
    rig.returns("app", 1);
    rig.returns("app", 5);
    rig.returns("other", 6);
    assert_eq!(rig.exited, Some(5));

    let strict = Config { strict: true, ..config(vec![twice]) };
    let mut rig = Rig::new(strict);
    rig.give(Input::Begin);
    rig.returns("app", 1);
    rig.returns("app", 5);
    assert_eq!(rig.exited, Some(0), "as ContainerPilot where that is wanted");
}

#[test]
fn complaint_3b_jobs_that_only_wait_do_not_keep_the_program_up_after_its_work() {
    let change = Job { when: on("watch.db", Code::Changed, true), ..job("change") };
    let signal = Job { when: on("SIGHUP", Code::Signal, true), ..job("signal") };
    let jobs = vec![job("app"), change.clone(), signal];
    let mut rig = Rig::up(jobs.clone());
    rig.returns("app", 2);
    assert_eq!(rig.exited, Some(2));

    let mut rig = Rig::new(Config { strict: true, ..config(jobs) });
    rig.give(Input::Begin);
    rig.returns("app", 2);
    assert_eq!(rig.exited, None, "as ContainerPilot where that is wanted");

    let mut rig = Rig::up(vec![change]);
    rig.give(Input::Published(Event::new(Code::Changed, "watch.db")));
    rig.returns("change", 0);
    assert_eq!(rig.exited, None, "a program of handlers only goes on");
}

#[test]
fn complaint_3b_work_that_waits_for_the_world_keeps_the_program_up_until_something_fails() {
    let app = Job { when: on("watch.db", Code::Healthy, false), ..job("app") };
    let mut rig = Rig::up(vec![job("prepare"), app.clone()]);
    rig.returns("prepare", 0);
    assert_eq!(rig.exited, None);
    rig.give(Input::Published(Event::new(Code::Healthy, "watch.db")));
    rig.returns("app", 0);
    assert_eq!(rig.exited, Some(0));

    let mut rig = Rig::up(vec![job("prepare"), app]);
    rig.returns("prepare", 9);
    assert_eq!(rig.exited, Some(9));

    let leader = Job { when: on("lock:db", Code::Acquired, true), ..job("leader") };
    let mut rig = Rig::up(vec![job("prepare"), leader]);
    rig.returns("prepare", 0);
    assert_eq!(rig.exited, None, "a stand-by stays");
}

#[test]
fn complaint_4_a_check_longer_than_its_interval_holds_up_nothing() {
    let slow = Health { timeout: secs(3600), ..health() };
    let mut rig = Rig::up(vec![Job { health: Some(slow), ..served("web") }]);
    rig.pass(secs(100));
    let checks = rig.log.iter().filter(|line| *line == "start check.web").count();
    assert_eq!(checks, 1, "none is queued behind it");
    let seen = rig.give(Input::Shutdown);
    assert!(seen.contains(&"signal web 15".to_owned()), "{seen:?}");
    rig.killed("web", 15);
    rig.killed("check.web", 15);
    assert_eq!(rig.exited, Some(0));
}

#[test]
fn checks_that_come_together_and_overrun_move_apart() {
    const JOBS: usize = 40;
    let web = |number: usize| Job { health: Some(health()), ..job(&format!("web{number}")) };
    let mut rig = Rig::up((0..JOBS).map(web).collect());
    let due = |rig: &Rig| {
        let ids = (0..JOBS).map(|number| rig.id(&format!("web{number}")));
        ids.map(|id| rig.machine.lives[&id].deadlines[&Cue::CheckTick]).collect::<BTreeSet<_>>()
    };
    rig.pass(secs(1));
    assert_eq!(due(&rig).len(), 1, "they began together");
    rig.pass(secs(1));
    let apart = due(&rig);
    assert!(apart.len() > JOBS / 2, "{apart:?}");
    let soonest = rig.now.after(Duration::from_millis(750));
    assert!(apart.iter().all(|due| (soonest..=rig.now.after(secs(1))).contains(due)), "{apart:?}");
}

#[test]
fn complaint_4_a_check_is_killed_at_its_timeout_and_has_failed() {
    let slow = Health { timeout: Duration::from_millis(2500), ..health() };
    let mut rig = Rig::up(vec![Job { health: Some(slow), ..served("web") }]);
    rig.pass(secs(1));
    let seen = rig.pass(Duration::from_millis(2500));
    assert_eq!(seen, ["Warning: check.web timeout after 2.5s: '[a b]'", "signal check.web 9"]);
    let seen = rig.killed("check.web", 9);
    assert!(seen.contains(&"{StatusUnhealthy web}".to_owned()), "{seen:?}");
}

#[test]
fn complaint_5_crash_loops_pause_longer_each_time_and_begin_anew_after_a_stable_run() {
    let backoff = Backoff {
        first: Duration::from_millis(100),
        most: secs(1),
        reset: Duration::from_secs(10),
    };
    let looping = Job { restarts: Restarts::Unlimited, backoff, ..job("app") };
    let mut rig = Rig::up(vec![looping]);
    let mut expected = Duration::from_millis(100);
    for run in 0..12 {
        rig.returns("app", 1);
        let due = rig.machine.next_deadline().expect("a restart is due");
        let pause = due.since(rig.now);
        assert!(pause <= expected && pause >= expected.mul_f64(0.75), "run {run}: {pause:?}");
        assert!(!rig.runs("app"));
        rig.pass(pause);
        assert!(rig.runs("app"));
        expected = (expected * 2).min(secs(1));
    }
    rig.pass(secs(10));
    rig.returns("app", 1);
    assert!(rig.runs("app"), "after a stable run it is started again at once");
    rig.returns("app", 1);
    let due = rig.machine.next_deadline().expect("a restart is due");
    assert!(due.since(rig.now) <= Duration::from_millis(100));
}

#[test]
fn complaint_5_a_process_that_ends_well_is_in_no_crash_loop() {
    let backoff = Backoff {
        first: Duration::from_millis(100),
        most: secs(30),
        reset: Duration::from_secs(10),
    };
    let mut rig = Rig::up(vec![Job { restarts: Restarts::Unlimited, backoff, ..job("app") }]);
    for _ in 0..20 {
        rig.pass(secs(1));
        rig.returns("app", 0);
        let due = rig.machine.next_deadline().expect("a restart is due");
        assert!(due.since(rig.now) <= Duration::from_millis(100));
        rig.pass(Duration::from_millis(100));
    }
}

#[test]
fn complaint_6_a_reload_restarts_only_what_changed() {
    let other = Job { exec: Some(exec("newer")), ..job("b") };
    let mut rig = Rig::up(vec![job("a"), job("b"), job("c")]);
    let kept = rig.process("a");
    let seen = rig.give(Input::Reload(config(vec![job("a"), other, job("d")]).into()));
    assert_eq!(seen, ["{Stopping b}", "{Stopping c}", "start d", "signal b 15", "signal c 15"]);
    assert_eq!(rig.process("a"), kept);
    assert_eq!(rig.running.values().filter(|label| *label == "b").count(), 1, "not before the old");
    let seen = rig.killed("b", 15);
    assert!(seen.contains(&"start b".to_owned()), "{seen:?}");
    rig.killed("c", 15);
    let names: Vec<String> = rig.machine.jobs().iter().map(|job| job.name.to_string()).collect();
    assert_eq!(names, ["a", "b", "d"]);
    assert_eq!(rig.exited, None);
}

#[test]
fn complaint_9_after_maintenance_the_service_returns() {
    let mut rig = healthy();
    let seen = rig.give(Input::Maintenance(true));
    assert_eq!(seen, ["withdraw web", "{EnterMaintenance global}"]);
    assert_eq!(rig.machine.jobs()[0].shown, Shown::Maintenance);
    assert_eq!(rig.pass(secs(3)), [""; 0], "no checks meanwhile");
    rig.give(Input::Maintenance(false));
    assert_eq!(rig.machine.jobs()[0].shown, Shown::Unknown);
    rig.pass(secs(1));
    let seen = rig.returns("check.web", 0);
    assert!(seen.contains(&"announce web Passing".to_owned()), "{seen:?}");
}

#[test]
fn complaint_10_a_silent_catalog_delays_the_end_by_a_second_at_most() {
    let mut rig = healthy();
    rig.give(Input::Shutdown);
    assert_eq!(rig.pass(Duration::from_millis(999)), [""; 0]);
    assert_eq!(rig.pass(Duration::from_millis(1)), ["signal web 15"]);
    rig.killed("web", 15);
    assert_eq!(rig.exited, Some(0));
}

#[test]
fn complaint_12_unhealthy_is_told_at_once() {
    let mut rig = healthy();
    rig.pass(secs(1));
    assert!(rig.returns("check.web", 1).contains(&"beat web Critical".to_owned()));

    let silent = Health { fail_fast: false, ..health() };
    let mut rig = Rig::up(vec![Job { health: Some(silent), ..served("web") }]);
    rig.pass(secs(1));
    rig.returns("check.web", 0);
    rig.pass(secs(1));
    let seen = rig.returns("check.web", 1);
    assert!(!seen.iter().any(|line| line.starts_with("beat")), "{seen:?}");
}

#[test]
fn complaint_16_jobs_stop_in_the_order_in_which_they_depend() {
    let pre = Job { when: on("app", Code::Stopping, false), ..job("drain") };
    let second = Job { when: on("app", Code::Stopping, false), ..job("backup") };
    let post = Job { when: on("app", Code::Stopped, false), ..job("tidy") };
    let mut rig = Rig::up(vec![job("app"), pre, second, post]);
    let seen = rig.give(Input::Shutdown);
    assert_eq!(seen, ["{Shutdown global}", "{Stopping app}", "start drain", "start backup"]);
    assert!(!rig.returns("drain", 0).contains(&"signal app 15".to_owned()), "it waits for all");
    assert!(rig.returns("backup", 0).contains(&"signal app 15".to_owned()));
    let seen = rig.killed("app", 15);
    assert_eq!(seen.last().map(String::as_str), Some("start tidy"));
    rig.returns("tidy", 0);
    assert_eq!(rig.exited, Some(0));
}

#[test]
fn complaint_16_stop_timeout_bounds_the_wait_exactly() {
    let pre = Job { when: on("app", Code::Stopping, false), ..job("drain") };
    let app = Job { stop_timeout: Some(Duration::from_millis(300)), ..job("app") };
    let mut rig = Rig::up(vec![app, pre]);
    rig.give(Input::Shutdown);
    assert_eq!(rig.pass(Duration::from_millis(299)), [""; 0]);
    assert_eq!(rig.pass(Duration::from_millis(1)), ["signal app 15"]);
}

#[test]
fn complaint_17_a_job_may_wait_for_any_or_all_of_several_events() {
    let both = |all| {
        let trigger = |source: &str| Trigger { source: source.into(), code: Code::ExitSuccess };
        let triggers = vec![trigger("a"), trigger("b")];
        Job { when: When::Events { triggers, all, each: false, timeout: None }, ..job("app") }
    };
    let mut rig = Rig::up(vec![job("a"), job("b"), both(true)]);
    rig.returns("b", 0);
    assert!(!rig.runs("app"));
    rig.returns("a", 0);
    assert!(rig.runs("app"));

    let mut rig = Rig::up(vec![job("a"), job("b"), both(false)]);
    rig.returns("b", 0);
    assert!(rig.runs("app"));
}

#[test]
fn complaint_20_a_program_without_jobs_ends() {
    let mut rig = Rig::up(Vec::new());
    assert_eq!(rig.exited, Some(0));
    rig = Rig::new(Config { strict: true, ..config(Vec::new()) });
    rig.give(Input::Begin);
    assert_eq!(rig.exited, None);
    rig.give(Input::Shutdown);
    assert_eq!(rig.exited, Some(0));
}

#[test]
fn a_probe_that_does_not_answer_has_failed() {
    let check = Some(Check::Probe(Probe::Tcp("h:1".to_owned())));
    let mut rig =
        Rig::up(vec![Job { health: Some(Health { check, ..health() }), ..served("web") }]);
    assert_eq!(rig.pass(secs(1)), ["probe web"]);
    let seen = rig.pass(secs(1));
    assert!(seen.contains(&"{StatusUnhealthy web}".to_owned()), "{seen:?}");
    let late = *rig.probes.first().expect("it was asked");
    assert_eq!(rig.give(Input::Probed { process: late, outcome: Ok(()) }), [""; 0]);
}

#[test]
fn an_initial_status_is_announced_before_any_check() {
    let mut web = served("web");
    if let Some(service) = &mut web.service {
        service.initial_status = Some(Status::Warning);
    }
    let rig = Rig::up(vec![web]);
    assert_eq!(rig.log, ["announce web Warning", "{Startup global}", "start web"]);
}

#[test]
fn the_end_of_a_process_that_nobody_knows_is_taken() {
    let mut rig = Rig::up(vec![job("app")]);
    let process = regrow_init::ProcessId(999);
    assert_eq!(rig.give(Input::Ended { process, how: Ended::Code(0), text: None }), [""; 0]);
    assert!(rig.runs("app"));
}

//! Whole lives of jobs.

use std::time::Duration;

use super::rig::{Rig, exec, job, on, secs, served};
use crate::config::{Backoff, Check, Job, Liveness, Notify, Restarts, Trigger, When};
use crate::event::{Code, Event};
use crate::machine::{Input, Notice};

#[test]
fn a_job_runs_and_the_program_ends_with_it() {
    let mut rig = Rig::up(vec![job("app")]);
    assert_eq!(rig.log, ["{Startup global}", "start app"]);
    let seen = rig.returns("app", 0);
    assert_eq!(
        seen,
        ["{ExitSuccess app}", "{Stopping app}", "{Stopped app}", "{Shutdown global}", "exit 0"]
    );
}

#[test]
fn restarts_n_makes_n_and_one_runs() {
    let again = Job { restarts: Restarts::Times(2), ..job("app") };
    let mut rig = Rig::up(vec![again]);
    rig.returns("app", 0);
    rig.returns("app", 0);
    rig.returns("app", 0);
    assert_eq!(rig.log.iter().filter(|line| *line == "start app").count(), 3);
    assert_eq!(rig.exited, Some(0));
}

#[test]
fn a_service_is_announced_when_healthy_and_withdrawn_before_it_is_told_to_end() {
    let mut rig = Rig::up(vec![served("web")]);
    assert_eq!(rig.pass(Duration::from_secs(1)), ["start check.web"]);
    let seen = rig.returns("check.web", 0);
    assert_eq!(
        seen,
        [
            "{ExitSuccess check.web}",
            "{StatusHealthy web}",
            "announce web Passing",
            "beat web Passing"
        ]
    );
    let seen = rig.give(Input::Shutdown);
    assert_eq!(seen, ["{Shutdown global}", "{Stopping web}", "withdraw web"]);
    let seen = rig.give(Input::Withdrawn { job: rig.id("web") });
    assert_eq!(seen, ["signal web 15"]);
    let seen = rig.killed("web", 15);
    assert_eq!(seen.last().map(String::as_str), Some("exit 0"));
}

#[test]
fn the_second_job_starts_when_the_first_succeeded() {
    let app = Job { when: on("pre", Code::ExitSuccess, false), ..job("app") };
    let mut rig = Rig::up(vec![job("pre"), app]);
    rig.returns("pre", 0);
    assert!(rig.runs("app"));
    rig.returns("app", 3);
    assert_eq!(rig.exited, Some(3));
}

#[test]
fn an_interval_job_runs_at_startup_and_at_each_tick_until_its_restarts_are_used_up() {
    let tick = Job {
        when: When::Interval(secs(5)),
        timeout: Some(secs(5)),
        restarts: Restarts::Times(2),
        ..job("tick")
    };
    let mut rig = Rig::up(vec![tick]);
    for _ in 0..2 {
        rig.returns("tick", 1);
        assert_eq!(rig.exited, None, "its own end is not its end");
        assert_eq!(rig.pass(secs(5)), ["start tick"]);
    }
    rig.returns("tick", 0);
    rig.pass(secs(5));
    assert_eq!(rig.exited, Some(0));
}

#[test]
fn an_interval_job_that_overruns_is_killed_and_runs_again_and_never_twice_at_once() {
    let interval = Job {
        when: When::Interval(secs(5)),
        timeout: Some(secs(5)),
        restarts: Restarts::Unlimited,
        ..job("tick")
    };
    let mut rig = Rig::up(vec![interval]);
    let seen = rig.pass(secs(5));
    assert_eq!(seen, ["Warning: tick timeout after 5s: '[a b]'", "signal tick 9"]);
    assert!(rig.killed("tick", 9).contains(&"start tick".to_owned()));
}

#[test]
fn a_job_that_is_not_started_in_time_ends() {
    let triggers = vec![Trigger { source: "watch.db".into(), code: Code::Healthy }];
    let timeout = Some(secs(3));
    let when = When::Events { triggers, all: false, each: false, timeout };
    let mut rig = Rig::up(vec![Job { when, ..job("late") }, job("app")]);
    assert_eq!(rig.pass(secs(3)), ["{TimerExpired late}", "{Stopping late}", "{Stopped late}"]);
    assert_eq!(rig.exited, None);
}

#[test]
fn a_start_event_during_a_run_is_remembered_once() {
    let change = Job { when: on("watch.db", Code::Changed, true), ..job("change") };
    let mut rig = Rig::up(vec![change, job("app")]);
    for _ in 0..3 {
        rig.give(Input::Published(Event::new(Code::Changed, "watch.db")));
    }
    assert!(rig.returns("change", 0).contains(&"start change".to_owned()));
    assert!(!rig.returns("change", 0).contains(&"start change".to_owned()));
}

#[test]
fn a_job_runs_on_each_signal_of_its() {
    let mut rig =
        Rig::up(vec![job("app"), Job { when: on("SIGHUP", Code::Signal, true), ..job("h") }]);
    for _ in 0..2 {
        assert_eq!(
            rig.give(Input::Signal { name: "SIGHUP".into() }),
            ["{Signal SIGHUP}", "start h"]
        );
        rig.returns("h", 0);
    }
    assert_eq!(rig.give(Input::Signal { name: "SIGUSR2".into() }), ["{Signal SIGUSR2}"]);
}

#[test]
fn a_process_that_has_to_say_that_it_is_ready_is_not_healthy_before() {
    let notify = Some(Notify { ready_within: Some(secs(10)), watchdog: Some(secs(4)) });
    let mut rig = Rig::up(vec![Job { notify, ..served("web") }]);
    assert_eq!(rig.pass(secs(3)), [""; 0], "no check before");
    let process = rig.process("web");
    rig.give(Input::Notified { process, what: Notice::Ready });
    assert_eq!(rig.pass(secs(1)), ["start check.web"]);
    rig.give(Input::Notified { process, what: Notice::Watchdog });
    rig.returns("check.web", 0);
    assert!(rig.has("announce web Passing"));
    let seen = rig.pass(secs(4));
    assert!(seen.contains(&"signal web 9".to_owned()), "silent for too long: {seen:?}");

    let mut rig = Rig::up(vec![Job { notify, ..served("web") }]);
    assert!(rig.pass(secs(10)).contains(&"signal web 9".to_owned()), "not ready in time");
}

#[test]
fn a_process_that_is_not_alive_is_killed_after_failures_in_a_row_beyond_the_grace() {
    let liveness = Some(Liveness {
        check: Check::Exec(exec("alive")),
        interval: secs(1),
        timeout: secs(1),
        failures: 2,
        grace: Duration::from_millis(1500),
    });
    let mut rig = Rig::up(vec![Job { liveness, restarts: Restarts::Unlimited, ..job("app") }]);
    let mut beat = |code| {
        rig.pass(secs(1));
        rig.returns("live.app", code).contains(&"signal app 9".to_owned())
    };
    assert_eq!([1, 1, 0, 1, 1].map(&mut beat), [false, false, false, false, true]);
    assert!(rig.killed("app", 9).contains(&"start app".to_owned()));
}

#[test]
fn a_signal_for_the_main_job_reaches_it_or_the_next_run() {
    let main = Job { restarts: Restarts::Unlimited, ..job("app") };
    let backoff = Backoff { first: secs(1), ..main.backoff };
    let mut rig = Rig::up(vec![Job { backoff, ..main }]);
    assert_eq!(rig.give(Input::Forward { signal: 28 }), ["signal app 28"]);
    rig.returns("app", 1);
    assert_eq!(rig.give(Input::Forward { signal: 10 }), [""; 0]);
    rig.pass(secs(1));
    let process = rig.process("app");
    assert_eq!(rig.give(Input::Started { process, pid: 9 }), ["signal app 10"]);
    assert_eq!(rig.machine.jobs()[0].pid, Some(9));
}

#[test]
fn what_does_not_even_end_by_kill_is_left_behind_a_second_later() {
    let mut rig = Rig::up(vec![job("app")]);
    rig.give(Input::Shutdown);
    rig.pass(secs(6));
    assert_eq!(rig.exited, Some(0));
    assert!(rig.has("Error: app was killed and does not end: left behind"));
}

#[test]
fn a_service_that_ends_unasked_is_critical_until_its_next_check_passes() {
    let web = Job { restarts: Restarts::Unlimited, ..served("web") };
    let mut rig = Rig::up(vec![web]);
    rig.pass(secs(1));
    rig.returns("check.web", 0);
    let seen = rig.returns("web", 1);
    assert!(seen.contains(&"beat web Critical".to_owned()), "{seen:?}");
    rig.pass(secs(1));
    assert!(rig.returns("check.web", 0).contains(&"beat web Passing".to_owned()));
}

#[test]
fn a_check_that_was_begun_for_a_process_that_is_gone_says_nothing_of_the_next() {
    let mut rig = Rig::up(vec![Job { restarts: Restarts::Unlimited, ..served("web") }]);
    rig.pass(secs(1));
    assert!(rig.returns("web", 1).contains(&"start web".to_owned()));
    assert_eq!(rig.returns("check.web", 0), ["{ExitSuccess check.web}"]);
    rig.pass(secs(1));
    assert!(rig.returns("check.web", 0).contains(&"announce web Passing".to_owned()));
}

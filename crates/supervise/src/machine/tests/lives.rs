//! Whole lives of jobs.

use super::rig::{Rig, job, on, served};
use crate::config::{Job, Restarts};
use crate::event::Code;
use crate::machine::Input;
use std::time::Duration;

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
    let expected = [
        "{ExitSuccess check.web}",
        "announce web Passing",
        "beat web Passing",
        "{StatusHealthy web}",
    ];
    let mut sorted = seen.clone();
    sorted.sort();
    let mut wanted = expected.map(str::to_owned).to_vec();
    wanted.sort();
    assert_eq!(sorted, wanted);
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

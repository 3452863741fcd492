//! Another configuration.

use super::rig::{Rig, config, exec, job, on, secs};
use crate::config::{Job, When};
use crate::event::Code;
use crate::machine::{Input, Shown};

fn reload(rig: &mut Rig, jobs: Vec<Job>) -> Vec<String> {
    rig.give(Input::Reload(config(jobs).into()))
}

fn newer(job: Job) -> Job {
    Job { exec: Some(exec("newer")), ..job }
}

#[test]
fn what_was_waited_for_has_happened_for_a_job_that_begins_anew() {
    let app = Job { when: on("prepare", Code::ExitSuccess, false), ..job("app") };
    let mut rig = Rig::up(vec![job("prepare"), app.clone()]);
    rig.returns("prepare", 0);
    reload(&mut rig, vec![job("prepare"), newer(app)]);
    assert!(rig.killed("app", 15).contains(&"start app".to_owned()));
    assert_eq!(rig.exited, None);
}

#[test]
fn a_changed_job_stops_after_what_runs_when_it_stops_and_that_can_run_again() {
    let hook = Job { when: on("app", Code::Stopping, false), ..job("hook") };
    let mut rig = Rig::up(vec![job("app"), hook.clone()]);
    let seen = reload(&mut rig, vec![newer(job("app")), hook]);
    assert_eq!(seen, ["{Stopping app}", "start hook"]);
    assert!(rig.returns("hook", 0).contains(&"signal app 15".to_owned()));
    assert!(rig.killed("app", 15).contains(&"start app".to_owned()));
    assert_eq!(rig.give(Input::Shutdown).last().map(String::as_str), Some("start hook"));
}

#[test]
fn what_runs_when_a_job_stops_runs_also_where_both_leave() {
    let hook = Job { when: on("app", Code::Stopping, false), ..job("hook") };
    let mut rig = Rig::up(vec![job("app"), hook, job("stays")]);
    assert_eq!(reload(&mut rig, vec![job("stays")]), ["{Stopping app}", "start hook"]);
    rig.returns("hook", 0);
    rig.killed("app", 15);
    assert_eq!(rig.machine.jobs().len(), 1);
    assert!(rig.runs("stays"));
}

#[test]
fn counters_and_ends_are_kept() {
    let interval = Job { when: When::Interval(secs(5)), ..job("tick") };
    let mut rig = Rig::up(vec![job("once"), job("app"), interval.clone()]);
    rig.returns("once", 0);
    rig.returns("tick", 0);
    assert_eq!(reload(&mut rig, vec![interval, job("app"), job("once")]), [""; 0]);
    assert_eq!(rig.machine.jobs()[2].shown, Shown::Completed);
    assert!(rig.pass(secs(5)).contains(&"{Stopping tick}".to_owned()), "no restart was left");
}

#[test]
fn maintenance_outlives_a_reload() {
    let mut rig = Rig::up(vec![job("app")]);
    rig.give(Input::Maintenance(true));
    reload(&mut rig, vec![job("app"), job("more")]);
    assert!(rig.machine.jobs().iter().all(|job| job.shown == Shown::Maintenance));
}

#[test]
fn a_second_change_while_the_first_still_stops_leads_to_the_last_one_only() {
    let mut rig = Rig::up(vec![job("app")]);
    reload(&mut rig, vec![newer(job("app"))]);
    reload(&mut rig, vec![Job { raw: true, ..job("app") }]);
    let seen = rig.killed("app", 15);
    assert_eq!(seen.iter().filter(|line| *line == "start app").count(), 1, "{seen:?}");
    assert!(rig.machine.config().jobs[0].raw);
}

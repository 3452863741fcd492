//! Every cell of the table: a job is brought into each phase as it gets there, each cue comes to it,
//! and what it is and does then is compared with `golden/cells.txt`. `REGROW_GOLDEN=update` writes
//! down what it does now: review the difference like code.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use regrow_init::Ended;

use super::rig::{Rig, health, job, on, secs, service};
use crate::config::{Backoff, Check, Job, Liveness, Notify, Probe, Restarts, When};
use crate::event::{Code, Event};
use crate::machine::hub::Role;
use crate::machine::{Act, Cue, Input, Phase, cell};

/// A job that has everything, starts on this, and has one restart.
fn rich(when: When) -> Job {
    Job {
        when,
        restarts: Restarts::Times(1),
        timeout: Some(secs(60)),
        stop_timeout: Some(secs(3)),
        backoff: Backoff { first: Duration::from_millis(100), most: secs(30), reset: secs(10) },
        health: Some(health()),
        service: Some(service("x")),
        notify: Some(Notify { ready_within: Some(secs(20)), watchdog: Some(secs(30)) }),
        liveness: Some(Liveness {
            check: Check::Probe(Probe::Tcp("h:1".to_owned())),
            interval: secs(40),
            timeout: secs(1),
            failures: 1,
            grace: Duration::ZERO,
        }),
        ..job("x")
    }
}

/// How the job of a cue starts.
fn when(cue: Cue) -> When {
    match cue {
        Cue::IntervalTick => When::Interval(secs(50)),
        Cue::Losing => on("lock:db", Code::Acquired, true),
        _ => {
            let triggers =
                vec![crate::config::Trigger { source: "watch.w".into(), code: Code::Changed }];
            When::Events { triggers, all: false, each: true, timeout: Some(secs(70)) }
        }
    }
}

fn wake(rig: &mut Rig, cue: Cue) {
    if cue == Cue::Losing {
        rig.give(Input::Acquired { lock: "db".into(), fence: 4 });
    } else if cue != Cue::IntervalTick {
        rig.give(Input::Published(Event::new(Code::Changed, "watch.w")));
    }
}

/// The job in this phase, on the way that leads there; a phase that such a job never has is forced.
fn reach(phase: Phase, cue: Cue) -> Rig {
    let hook = Job { when: on("x", Code::Stopping, false), ..job("hook") };
    let mut rig = Rig::new(super::rig::config(vec![rich(when(cue)), hook, job("other")]));
    if phase == Phase::Idle && cue == Cue::IntervalTick {
        return rig;
    }
    rig.give(Input::Begin);
    if phase == Phase::Idle {
        return rig;
    }
    wake(&mut rig, cue);
    if phase == Phase::Starting {
        return rig;
    }
    let x = rig.process("x");
    rig.give(Input::Started { process: x, pid: 7 });
    if phase == Phase::Running {
        return rig;
    }
    if matches!(phase, Phase::Pausing | Phase::Waiting) {
        rig.returns("x", 1);
        if phase == Phase::Waiting && cue != Cue::IntervalTick {
            rig.pass(secs(1));
            rig.returns("x", 1);
        }
        force(&mut rig, phase);
        return rig;
    }
    rig.give(Input::Notified { process: x, what: crate::machine::Notice::Ready });
    rig.pass(secs(1));
    rig.returns("check.x", 0);
    let id = rig.id("x");
    rig.cue(id, Cue::End);
    if phase == Phase::Draining {
        return rig;
    }
    rig.returns("hook", 0);
    if phase == Phase::Withdrawing {
        return rig;
    }
    rig.give(Input::Withdrawn { job: id });
    if phase == Phase::Ended {
        rig.killed("x", 15);
    }
    rig
}

fn force(rig: &mut Rig, phase: Phase) {
    let id = rig.id("x");
    rig.machine.with(id, |life, _| life.phase = phase);
}

/// What a cue does in a phase: the phase after it, the effects, what else is known of the job then.
fn tried(phase: Phase, cue: Cue) -> (Phase, Vec<String>, String) {
    let mut rig = reach(phase, cue);
    let id = rig.id("x");
    assert_eq!(rig.phase(id), phase, "{cue:?}: {:?}", rig.log);
    let never = cell(phase, cue) == Act::Never;
    let effects = match cue {
        _ if never => rig.cue(id, cue),
        Cue::Exited => rig.returns("x", 1),
        Cue::Checked => rig.does(id, |life, hub| {
            life.asked_ended(Role::Check, Err("refused".to_owned()), hub);
        }),
        Cue::Lived => rig.does(id, |life, hub| {
            life.asked_ended(Role::Live, Err("refused".to_owned()), hub);
        }),
        Cue::Losing => {
            let kill_at = rig.now.after(secs(2));
            rig.give(Input::Losing { lock: "db".into(), kill_at })
        }
        Cue::CheckOver => rig.overlong(id, Role::Check, cue),
        Cue::LiveOver => rig.overlong(id, Role::Live, cue),
        _ => rig.cue(id, cue),
    };
    (rig.phase(id), effects, rig.state(id))
}

fn compare(name: &str, text: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/machine").join(name);
    if std::env::var("REGROW_GOLDEN").as_deref() == Ok("update") {
        std::fs::write(&path, text).expect("written");
    }
    let stored = std::fs::read_to_string(&path).expect("the recorded cells");
    assert!(stored == text, "{name} differs: REGROW_GOLDEN=update takes over what is done now");
}

#[test]
fn every_cell_does_what_is_written_down() {
    let mut text = String::new();
    for cue in Cue::ALL {
        for phase in Phase::ALL {
            let act = cell(phase, cue);
            let (after, effects, state) = tried(phase, cue);
            if act == Act::Never {
                assert_eq!(after, phase);
                let fault = format!(
                    "Error: fault of the supervisor: {cue:?} came to a job that is {phase:?}"
                );
                assert_eq!(effects, [fault]);
            }
            let effects =
                if act == Act::Never { String::new() } else { effects.join("; ") + &state };
            let line = format!("{cue:?} in {phase:?}: {act:?}, then {after:?}: {effects}");
            let _ = writeln!(text, "{}", line.trim_end_matches([':', ' ']));
        }
    }
    assert_eq!(text.lines().count(), Cue::ALL.len() * Phase::ALL.len());
    compare("tests/golden/cells.txt", &text);
}

#[test]
fn the_table_in_the_documentation_is_the_table() {
    let mut text = String::from("| cue |");
    for phase in Phase::ALL {
        let _ = write!(text, " {phase:?} |");
    }
    let _ = writeln!(text, "\n|---|{}", "---|".repeat(Phase::ALL.len()));
    for cue in Cue::ALL {
        let _ = write!(text, "| {cue:?} |");
        for phase in Phase::ALL {
            match cell(phase, cue) {
                Act::Never => text.push_str(" |"),
                Act::Skip => text.push_str(" · |"),
                act => {
                    let _ = write!(text, " {act:?} |");
                }
            }
        }
        text.push('\n');
    }
    compare("table.md", &text);
}

#[test]
fn a_program_that_cannot_be_started_says_so() {
    let mut rig = Rig::up(vec![job("x")]);
    let process = rig.process("x");
    let text = Some("exec: \"x\": not found".to_owned());
    rig.running.clear();
    let seen = rig.give(Input::Ended { process, how: Ended::NotStarted(2), text });
    assert_eq!(seen[0], "Error: unable to start x: exec: \"x\": not found");
    assert_eq!(seen[1..3], ["{ExitFailed x}", "{Error exec: \"x\": not found}"]);
    assert_eq!(rig.exited, Some(127));
}

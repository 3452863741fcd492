//! One test for each complaint of ContainerPilot's users that needs real processes to show. The
//! others are tests of the state machine and of the parts.

use std::process::ExitStatus;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use e2e::supervised::{Supervised, send, wait};
use rustix::process::Signal;

use super::WITHIN;

fn code(status: ExitStatus) -> Option<i32> {
    status.code()
}

#[test]
fn a_stop_does_not_wait_for_the_whole_stop_timeout() -> Result<()> {
    let mut program = Supervised::start(
        r#"{discovery: "none", stopTimeout: 60, jobs: [{name: "app", exec: ["sleep", "600"]}]}"#,
    )?;
    wait(WITHIN, || program.worker().is_ok_and(|_| jobs(&program) == 1))?;
    program.signal(Signal::TERM)?;
    let since = Instant::now();
    ensure!(code(program.ends(WITHIN)?) == Some(0));
    ensure!(since.elapsed() < Duration::from_secs(40), "it took {:?}", since.elapsed());
    Ok(())
}

#[test]
fn the_exit_code_is_the_one_of_the_main_job() -> Result<()> {
    let mut program = Supervised::start(
        r#"{discovery: "none", jobs: [
            {name: "app", main: true, exec: ["sh", "-c", "exit 7"]},
            {name: "beside", exec: ["sleep", "600"]}]}"#,
    )?;
    ensure!(code(program.ends(WITHIN)?) == Some(7), "{}", program.output());
    Ok(())
}

#[test]
fn the_exit_code_tells_of_a_job_that_failed() -> Result<()> {
    let mut program = Supervised::start(
        r#"{discovery: "none", jobs: [{name: "app", exec: ["sh", "-c", "exit 3"]}]}"#,
    )?;
    ensure!(code(program.ends(WITHIN)?) == Some(3), "{}", program.output());
    Ok(())
}

#[test]
fn the_exit_code_in_strict_compatibility_is_zero() -> Result<()> {
    let mut program = Supervised::start(
        r#"{discovery: "none", compatibility: "containerpilot",
            jobs: [{name: "app", exec: ["sh", "-c", "exit 3"]}]}"#,
    )?;
    ensure!(code(program.ends(WITHIN)?) == Some(0), "{}", program.output());
    Ok(())
}

#[test]
fn the_program_ends_with_its_application_although_other_jobs_wait() -> Result<()> {
    let mut program = Supervised::start(
        r#"{discovery: "none", jobs: [
            {name: "app", exec: ["sh", "-c", "exit 4"]},
            {name: "on-hup", exec: "true", when: {source: "SIGHUP"}},
            {name: "on-change", exec: "true", when: {source: "watch.x", each: "changed"}}]}"#,
    )?;
    ensure!(code(program.ends(WITHIN)?) == Some(4), "{}", program.output());
    Ok(())
}

#[test]
fn a_program_without_jobs_can_be_stopped() -> Result<()> {
    let mut program =
        Supervised::start(r#"{discovery: "none", compatibility: "containerpilot", jobs: []}"#)?;
    program.printed("control: serving", WITHIN)?;
    program.signal(Signal::TERM)?;
    ensure!(code(program.ends(WITHIN)?) == Some(0), "{}", program.output());
    Ok(())
}

#[test]
fn a_check_that_overruns_holds_up_nobody() -> Result<()> {
    let mut program = Supervised::start(
        r#"{discovery: "none", stopTimeout: 1, jobs: [
            {name: "slow", exec: ["sleep", "600"],
             health: {exec: ["sleep", "600"], interval: 1, ttl: 5, timeout: "600s"}},
            {name: "busy", exec: ["sh", "-c", "echo x >> @@/busy"], when: {interval: "50ms"}}]}"#,
    )?;
    let lines = |program: &Supervised| {
        std::fs::read(program.path("busy")).map_or(0, |bytes| bytes.len() / 2)
    };
    // The original stood still after 15 s, when 1,000 events had piled up behind the check. Here
    // several of its intervals pass, and ticks go on beside it.
    wait(WITHIN, || lines(&program) > 80)?;
    program.signal(Signal::TERM)?;
    program.ends(WITHIN)?;
    Ok(())
}

#[test]
fn a_background_child_that_holds_the_output_does_not_keep_its_job_running() -> Result<()> {
    let mut program = Supervised::start(
        r#"{discovery: "none", jobs: [
            {name: "app", exec: ["sh", "-c", "trap '' TERM; (sleep 600)& echo done"]},
            {name: "next", exec: ["sh", "-c", "echo next ran"],
             when: {source: "app", once: "exitSuccess"}}]}"#,
    )?;
    program.printed("next ran", WITHIN)?;
    ensure!(code(program.ends(WITHIN)?) == Some(0), "{}", program.output());
    Ok(())
}

#[test]
fn a_line_of_a_mebibyte_arrives_whole_and_harms_nobody() -> Result<()> {
    let mut program = Supervised::start(
        r#"{discovery: "none", jobs: [
            {name: "app", exec: ["sh", "-c",
              "head -c 1048000 /dev/zero | tr '\\0' x; echo; echo after"]}]}"#,
    )?;
    ensure!(code(program.ends(WITHIN)?) == Some(0), "it failed");
    let output = program.output();
    let long = output.lines().map(|line| line.matches('x').count()).max();
    ensure!(long == Some(1_048_000), "{long:?} characters in one line");
    ensure!(output.lines().any(|line| line.ends_with(" after")), "the line behind it is lost");
    Ok(())
}

#[test]
fn a_bad_reload_is_refused_and_everything_runs_on() -> Result<()> {
    let mut program =
        Supervised::start(r#"{discovery: "none", jobs: [{name: "app", exec: ["sleep", "600"]}]}"#)?;
    wait(WITHIN, || jobs(&program) == 1)?;
    let before = job_numbers(&program);
    program.rewrite(
        r#"{discovery: "none", jobs: [{name: "app", exec: ["sleep", "600"], typo: 1}]}"#,
    )?;
    let refused = program.ask(&["reload"]).expect_err("a file with a typo");
    ensure!(format!("{refused:#}").contains("typo"), "{refused:#}");
    ensure!(job_numbers(&program) == before);
    program.signal(Signal::TERM)?;
    ensure!(code(program.ends(WITHIN)?) == Some(0));
    Ok(())
}

#[test]
fn a_reload_restarts_only_what_changed() -> Result<()> {
    let config = |second: &str| {
        format!(
            r#"{{discovery: "none", jobs: [
                {{name: "same", exec: ["sleep", "601"]}},
                {{name: "other", exec: ["sleep", "{second}"]}}]}}"#
        )
    };
    let program = Supervised::start(&config("602"))?;
    // A job between fork and exec is there and has not got its words yet.
    wait(WITHIN, || number_of(&program, "601").is_some() && number_of(&program, "602").is_some())?;
    let same = number_of(&program, "601");
    program.rewrite(&config("603"))?;
    program.ask(&["reload"])?;
    wait(WITHIN, || number_of(&program, "603").is_some() && number_of(&program, "602").is_none())?;
    ensure!(number_of(&program, "601") == same, "it was restarted");
    Ok(())
}

#[test]
fn two_hundred_reloads_leave_a_working_program() -> Result<()> {
    let mut program =
        Supervised::start(r#"{discovery: "none", jobs: [{name: "app", exec: ["sleep", "600"]}]}"#)?;
    wait(WITHIN, || jobs(&program) == 1)?;
    let before = job_numbers(&program);
    for _ in 0..200 {
        program.ask(&["reload"])?;
    }
    ensure!(job_numbers(&program) == before);
    program.signal(Signal::TERM)?;
    ensure!(code(program.ends(WITHIN)?) == Some(0));
    Ok(())
}

#[test]
fn a_value_with_equals_signs_is_given_whole() -> Result<()> {
    let mut program = Supervised::start_with(
        r#"{discovery: "none", jobs: [{name: "app", exec: ["echo", "[{{ .EQ }}]"]}]}"#,
        |command| {
            command.env("EQ", "a=b=c");
        },
    )?;
    program.ends(WITHIN)?;
    ensure!(program.output().contains("[a=b=c]"), "{}", program.output());
    Ok(())
}

#[test]
fn defunct_processes_do_not_pile_up() -> Result<()> {
    let program = Supervised::start(
        r#"{discovery: "none", jobs: [{name: "app", exec: ["sh", "-c",
            "for i in $(seq 300); do (true & true) & done; wait; echo all left; exec sleep 600"]}]}"#,
    )?;
    program.printed("all left", WITHIN)?;
    let defunct = || {
        let states = e2e::supervised::children(program.pid()).unwrap_or_default();
        states.into_iter().filter(|pid| state(*pid) == Some('Z')).count()
    };
    wait(WITHIN, || defunct() == 0)
}

#[test]
fn a_job_that_ignores_the_signal_is_killed_at_the_stop_timeout() -> Result<()> {
    let mut program = Supervised::start(
        r#"{discovery: "none", stopTimeout: 1, jobs: [
            {name: "app", exec: ["sh", "-c", "trap '' TERM; echo deaf; while :; do sleep 1; done"]}]}"#,
    )?;
    program.printed("deaf", WITHIN)?;
    let job = job_numbers(&program);
    program.signal(Signal::TERM)?;
    program.ends(WITHIN)?;
    for pid in job {
        ensure!(send(pid, Signal::CONT).is_err(), "{pid} is left");
    }
    Ok(())
}

#[test]
fn a_crash_loop_does_not_burn_the_processor() -> Result<()> {
    let program = Supervised::start(
        r#"{discovery: "none", jobs: [
            {name: "app", restarts: "unlimited", exec: ["sh", "-c", "echo x >> @@/starts; exit 1"]}]}"#,
    )?;
    let starts = || std::fs::read(program.path("starts")).map_or(0, |bytes| bytes.len() / 2);
    wait(WITHIN, || starts() >= 4)?;
    // 100 ms, 200, 400, …: a second after the fourth start there are one or two more, not hundreds.
    std::thread::sleep(Duration::from_secs(1));
    ensure!(starts() < 10, "{} starts", starts());
    Ok(())
}

fn state(pid: i32) -> Option<char> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    text.rsplit(") ").next()?.chars().next()
}

/// The processes that init started, without the worker. None where there is no worker yet.
fn job_numbers(program: &Supervised) -> Vec<i32> {
    let Ok(worker) = program.worker() else { return Vec::new() };
    let all = e2e::supervised::children(program.pid()).unwrap_or_default();
    all.into_iter().filter(|pid| *pid != worker).collect()
}

fn jobs(program: &Supervised) -> usize {
    job_numbers(program).len()
}

/// The job whose command line ends with this word.
fn number_of(program: &Supervised, word: &str) -> Option<i32> {
    let last = |pid: &i32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.strip_suffix(b"\0").is_some_and(|line| line.ends_with(word.as_bytes()))
    };
    job_numbers(program).into_iter().find(last)
}

//! Wrong input: what is said, and that nothing else suffers.

use anyhow::{Context as _, Result, ensure};
use e2e::supervised::Supervised;
use rustix::process::Signal;

use super::WITHIN;

/// A file that must be refused, and words of the refusal.
const REFUSED: &[(&str, &str)] = &[
    (r#"{jobs: [}"#, "parse error at line:col"),
    (r#"{discovery: "none", jobz: []}"#, "unknown config keys: [jobz]"),
    (r#"{jobs: []}"#, "no discovery backend defined"),
    (
        r#"{discovery: "none", jobs: [{name: "a", exec: "x", when: {once: "sometimes"}}]}"#,
        "sometimes is not a valid event code",
    ),
    (r#"{discovery: "none", jobs: [{name: "a", exec: ""}]}"#, "received zero-length argument"),
    (
        r#"{discovery: "none", jobs: [{name: "a", exec: "x", timeout: "soon"}]}"#,
        "unable to parse job[a].timeout 'soon'",
    ),
    (r#"{discovery: "none", jobs: [{name: "a", exec: "x", restarts: -1}]}"#, "job[a].restarts"),
    (
        r#"{discovery: "none", jobs: [{name: "a", exec: "x", port: 80}]}"#,
        "job[a].health must be set if 'port' is set",
    ),
    (r#"{discovery: "none", jobs: [{name: "", exec: "x"}]}"#, "'name' must not be blank"),
    (r#"{discovery: "none", jobs: [{name: "a", exec: "x", whem: {}}]}"#, "has invalid keys: whem"),
    (r#"{{ if }}"#, "could not apply template to config"),
];

#[test]
fn a_wrong_file_is_refused_with_its_reason_and_code_1() -> Result<()> {
    for (config, words) in REFUSED {
        let mut program = Supervised::start(config)?;
        let status = program.ends(WITHIN)?;
        let output = program.output();
        ensure!(status.code() == Some(1), "{config}: {status}; {output}");
        ensure!(output.contains(words), "{config}: {words:?} is not in {output}");
    }
    Ok(())
}

#[test]
fn a_program_that_is_not_there_fails_its_own_job_only() -> Result<()> {
    let mut program = Supervised::start(
        r#"{discovery: "none", jobs: [
            {name: "absent", exec: "no-such-program-anywhere"},
            {name: "closed", exec: ["/etc/passwd"]},
            {name: "good", exec: ["sh", "-c", "echo it works; exec sleep 600"]}]}"#,
    )?;
    program.printed("it works", WITHIN)?;
    program.printed("unable to start absent", WITHIN)?;
    program.printed("executable file not found in $PATH", WITHIN)?;
    program.printed("unable to start closed", WITHIN)?;
    program.printed("permission denied", WITHIN)?;
    program.signal(Signal::TERM)?;
    program.ends(WITHIN)?;
    Ok(())
}

#[test]
fn jobs_that_need_no_catalog_run_without_it() -> Result<()> {
    let mut program = Supervised::start(
        r#"{consul: "127.0.0.1:1", stopTimeout: 1, jobs: [
            {name: "free", exec: ["sh", "-c", "echo free ran; exec sleep 600"]},
            {name: "announced", exec: ["sleep", "600"], port: 80, interfaces: "static:127.0.0.1",
             health: {interval: 1, ttl: 5}}],
           watches: [{name: "other", interval: 1}]}"#,
    )?;
    program.printed("free ran", WITHIN)?;
    program.printed("service registration failed", WITHIN)?;
    program.printed("failed to query other", WITHIN)?;
    program.signal(Signal::TERM)?;
    program.ends(WITHIN)?;
    Ok(())
}

/// What users of ContainerPilot look for in its log at `DEBUG`.
#[test]
fn at_debug_the_log_tells_of_each_run() -> Result<()> {
    let mut program = Supervised::start(
        r#"{discovery: "none", logging: {level: "DEBUG"}, jobs: [
            {name: "first", exec: "true"},
            {name: "second", exec: ["sh", "-c", "exit 3"], when: {source: "first", once: "exitSuccess"}}]}"#,
    )?;
    program.ends(WITHIN)?;
    let output = program.output();
    let mut rest = output.as_str();
    for expected in [
        "event: {Startup global}",
        "first.Run start",
        "first.Run end",
        "first exited without error",
        "event: {ExitSuccess first}",
        "second.Run start",
        "second.Run end",
        "second exited with error: exit status 3",
    ] {
        let at = rest.find(expected).with_context(|| format!("no {expected:?} in:\n{output}"))?;
        rest = &rest[at..];
    }
    Ok(())
}

/// A job finds the numbers of the others that run, and not of those that have ended.
#[test]
fn the_number_of_a_job_is_in_the_environment_of_others_while_it_runs() -> Result<()> {
    let mut program = Supervised::start(
        r#"{discovery: "none", jobs: [
            {name: "long", exec: ["sleep", "600"]},
            {name: "short", exec: "true"},
            {name: "look", main: true, exec: ["sh", "-c", "env | grep _PID="],
             when: {source: "short", once: "exitSuccess"}}]}"#,
    )?;
    program.ends(WITHIN)?;
    let output = program.output();
    ensure!(output.contains(" CONTAINERPILOT_LONG_PID="), "{output}");
    ensure!(!output.contains("CONTAINERPILOT_SHORT_PID="), "{output}");
    Ok(())
}

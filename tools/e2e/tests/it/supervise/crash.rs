//! What holds while the worker is killed: no job is restarted, no end is lost, no line is lost.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e::supervised::{Supervised, send, wait};
use rustix::process::Signal;

use super::WITHIN;

/// Jobs that write numbered lines, each with its own process number, so that a restart would show.
const CONFIG: &str = r#"{discovery: "none", jobs: [
    {name: "a", exec: ["sh", "-c", "i=0; while [ ! -e @@/enough ]; do i=$((i+1)); echo \"line a $$ $i\"; done; echo \"last a $$ $i\""]},
    {name: "b", exec: ["sh", "-c", "i=0; while [ ! -e @@/enough ]; do i=$((i+1)); echo \"line b $$ $i\" >&2; done; echo \"last b $$ $i\""]},
    {name: "slow", exec: ["sh", "-c", "i=0; while [ ! -e @@/enough ]; do i=$((i+1)); echo \"line slow $$ $i\"; sleep 0.01; done; echo \"last slow $$ $i\""]},
    {name: "tick", exec: ["sh", "-c", "echo x >> @@/ticks"], when: {interval: "100ms"},
     restarts: "unlimited"},
    {name: "then", exec: ["sh", "-c", "echo then ran"], when: {source: "slow", once: "exitSuccess"}}]}"#;

/// Kills of the worker in a run of the gate, and in a soak: 100 times what `REGROW_SOAK` says.
fn kills() -> Result<usize> {
    let Ok(times) = std::env::var("REGROW_SOAK") else { return Ok(12) };
    Ok(100 * times.parse::<usize>().context("REGROW_SOAK is a number")?)
}

#[test]
fn a_worker_killed_under_load_loses_no_job_no_end_and_no_line() -> Result<()> {
    let mut program = Supervised::start(CONFIG)?;
    program.printed("line slow", WITHIN)?;
    let kills = kills()?;
    for round in 0..kills {
        let worker = program.worker()?;
        // Not always at the same point of its work.
        std::thread::sleep(Duration::from_millis(60 + (round as u64 * 37) % 90));
        send(worker, Signal::KILL)?;
        wait(WITHIN, || program.worker().is_ok_and(|next| next != worker))
            .with_context(|| format!("round {round}; printed was {}", tail(&program)))?;
    }
    std::fs::write(program.path("enough"), "")?;
    program.printed("then ran", WITHIN)?;
    program.signal(Signal::TERM)?;
    ensure!(program.ends(WITHIN)?.code() == Some(0), "{}", tail(&program));
    let output = program.output();
    for job in ["a", "b", "slow"] {
        let count = complete(&output, job)?;
        println!("{job}: {count} lines, {kills} kills");
    }
    Ok(())
}

/// Checks that every line of a job is there, of one process only, in order apart from repetitions
/// after a kill, and none is torn.
fn complete(output: &str, job: &str) -> Result<u64> {
    let mut of_process: BTreeMap<String, u64> = BTreeMap::new();
    let mut last = None;
    for line in output.lines() {
        let (line_of, last_of) = (format!(" line {job} "), format!(" last {job} "));
        let rest = line.split_once(&line_of).or_else(|| line.split_once(&last_of));
        let Some((_, rest)) = rest else { continue };
        let (process, number) = rest.split_once(' ').with_context(|| format!("torn: {line:?}"))?;
        let number: u64 = number.parse().with_context(|| format!("torn or joined: {line:?}"))?;
        let seen = of_process.entry(process.to_owned()).or_default();
        ensure!(number <= *seen + 1, "{job}: {} is followed by {number}", *seen);
        *seen = (*seen).max(number);
        if line.contains(&last_of) {
            last = Some(number);
        }
    }
    ensure!(of_process.len() == 1, "{job} ran as {of_process:?}");
    let count = of_process.values().copied().max().unwrap_or(0);
    ensure!(last == Some(count), "{job} wrote {last:?} lines, {count} arrived");
    Ok(count)
}

fn tail(program: &Supervised) -> String {
    let output = program.output();
    let lines: Vec<&str> = output.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

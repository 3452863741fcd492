//! The worker is killed again and again under load; its successor goes on.

use std::io::{BufRead, BufReader, Read};
use std::os::fd::OwnedFd;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::{Signal, pidfd_send_signal};
use serde_json::{Value, json};

use super::Amounts;
use super::rest::checked_jobs;
use crate::job;
use crate::proc;
use crate::report::{Cells, Report, Row, cell, median, ms};
use crate::stamps::{now, readable};
use crate::supervisor::{Bench, PATIENCE, Place, Running, eventually, handle};

/// Jobs that write a line every millisecond.
const WRITERS: usize = 4;
/// Jobs that run every 50 ms.
const OFTEN: usize = 4;
/// Jobs that wait, with checks.
const CHECKED: usize = 10;
/// Between two kills: long enough that everything runs, never the same.
const BETWEEN_MS: std::ops::Range<u64> = 100..250;
const GOAL: Duration = Duration::from_secs(1);

struct Kills {
    took: Vec<Duration>,
    /// Jobs that were there before and are still the same process, and how many there are now.
    same: usize,
    now: usize,
    lines: Lines,
}

/// What came of numbered lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Lines {
    right: u64,
    lost: u64,
    wrong: u64,
}

pub fn run(amounts: &Amounts, report: &mut Report) -> Result<()> {
    let kills = kill_often(amounts.kills);
    let what = |part: &str| format!("worker killed {} times under load: {part}", amounts.kills);
    let row = |what: String, words: fn(&Kills) -> String| Row {
        what,
        cells: Cells { regrow: cell(&kills, words), ..Cells::default() },
        ..Row::default()
    };
    let reached = |right: fn(&Kills) -> bool| kills.as_ref().ok().map(right);
    report.add(Row {
        goal: "≤ 1 s",
        reached: reached(|kills| kills.took.iter().all(|took| *took <= GOAL)),
        ..row(what("kill to the first line written after it: median (worst)"), |kills| {
            let worst = kills.took.iter().max().copied().unwrap_or_default();
            format!("{} ({})", ms(median(&kills.took)), ms(worst))
        })
    });
    let all = WRITERS + CHECKED;
    report.add(Row {
        goal: "all, none more",
        reached: kills.as_ref().ok().map(|kills| (kills.same, kills.now) == (all, all)),
        ..row(what("jobs with the same process; running at the end"), |kills| {
            format!("{} of {}; {}", kills.same, WRITERS + CHECKED, kills.now)
        })
    });
    report.add(Row {
        goal: "none",
        reached: reached(|kills| kills.lines.lost == 0),
        ..row(what("lines lost; repeated or out of order; right"), |kills| {
            let Lines { right, lost, wrong } = kills.lines;
            format!("{lost}; {wrong}; {right}")
        })
    });
    Ok(())
}

fn kill_often(times: usize) -> Result<Kills> {
    let bench = Bench::new()?;
    let words = bench.regrow(&json!({}), &load()?)?;
    let mut running = bench.start_with(Place::Plain, &words, Stdio::piped())?;
    let stdout = running.take_stdout()?;
    // When the newest line that was read had been written.
    let newest = AtomicU64::new(0);
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| follow(stdout, &newest));
        let killed = kill_all(&mut running, &newest, times);
        // The end of the program is the end of the stream.
        drop(running);
        let lines = reading.join().map_err(|_| anyhow::anyhow!("the reader panicked"))?;
        let (took, same, now) = killed?;
        Ok(Kills { took, same, now, lines: lines? })
    })
}

fn load() -> Result<Vec<Value>> {
    let mut jobs = checked_jobs(CHECKED);
    for who in 0..WRITERS {
        let exec = job::words(["tick", &who.to_string()])?;
        jobs.push(json!({"name": format!("writer-{who}"), "exec": exec}));
    }
    for who in 0..OFTEN {
        let when = json!({"interval": "50ms"});
        jobs.push(json!({"name": format!("often-{who}"), "exec": "/bin/true", "when": when}));
    }
    Ok(jobs)
}

fn kill_all(
    running: &mut Running,
    newest: &AtomicU64,
    times: usize,
) -> Result<(Vec<Duration>, usize, usize)> {
    let after = |time: u64| move || (newest.load(Ordering::Relaxed) > time).then_some(());
    eventually("the first line", after(0)).map_err(|error| error.context(running.last_words()))?;
    std::thread::sleep(Duration::from_secs(2));
    let jobs = long_jobs(running.pid);
    ensure!(jobs.len() == WRITERS + CHECKED, "{} jobs run", jobs.len());
    let held = jobs.iter().map(|pid| handle(*pid)).collect::<Result<Vec<_>>>()?;
    let mut took = vec![];
    let mut worker = running.worker(None)?;
    for turn in 0..times as u64 {
        let victim = handle(worker)?;
        let began = now();
        pidfd_send_signal(&victim, Signal::KILL).context("kill the worker")?;
        ensure!(readable(&victim, PATIENCE)?, "the worker does not die");
        eventually("a line after a kill", after(now()))?;
        took.push(Duration::from_nanos(now() - began));
        worker = running.worker(Some(worker))?;
        let span = BETWEEN_MS.end - BETWEEN_MS.start;
        std::thread::sleep(Duration::from_millis(BETWEEN_MS.start + turn * 37 % span));
    }
    let lives = |held: &&OwnedFd| matches!(readable(held, Duration::ZERO), Ok(false));
    Ok((took, held.iter().filter(lives).count(), long_jobs(running.pid).len()))
}

/// The jobs that are there all the time.
fn long_jobs(init: u32) -> Vec<u32> {
    let is = |pid: &u32| {
        let words = proc::words(*pid);
        words.contains("--job tick") || words.starts_with("sleep 3600")
    };
    proc::children(init).into_iter().filter(is).collect()
}

/// Reads lines until the end of the stream.
fn follow(from: impl Read, newest: &AtomicU64) -> Result<Lines> {
    let mut lines = Lines::default();
    let mut next = [0; WRITERS];
    for line in BufReader::new(from).split(b'\n') {
        let line = line.context("read the log")?;
        let line = String::from_utf8_lossy(&line);
        let Some((_, text)) = line.split_once("@@") else { continue };
        let Some([who, number, at]) = ticked(text) else {
            lines.wrong += 1;
            continue;
        };
        newest.fetch_max(at, Ordering::Relaxed);
        let place = usize::try_from(who).ok().and_then(|who| next.get_mut(who));
        let Some(expected) = place else { continue };
        if number < *expected {
            lines.wrong += 1;
        } else {
            lines.lost += number - *expected;
            lines.right += 1;
            *expected = number + 1;
        }
    }
    Ok(lines)
}

/// Who wrote a line, its number and its time: the text after the mark, which is closed once.
fn ticked(text: &str) -> Option<[u64; 3]> {
    let (numbers, rest) = text.split_once("@@")?;
    let numbers: Vec<u64> = numbers.split('@').map_while(|part| part.parse().ok()).collect();
    if rest.contains("@@") { None } else { numbers.try_into().ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_repeated_and_joined_lines_are_found() {
        let read = |text: &str| {
            let newest = AtomicU64::new(0);
            (follow(text.as_bytes(), &newest).unwrap(), newest.into_inner())
        };
        let all = read("hello\nTIME w 7 @@0@0@50@@\n@@1@0@51@@ job=w\n@@0@1@52@@\n");
        assert_eq!(all, (Lines { right: 3, lost: 0, wrong: 0 }, 52));
        let gap = read("@@0@0@50@@\n@@0@3@51@@\n");
        assert_eq!(gap, (Lines { right: 2, lost: 2, wrong: 0 }, 51));
        let twice = read("@@0@0@50@@\n@@0@0@50@@\n");
        assert_eq!(twice, (Lines { right: 1, lost: 0, wrong: 1 }, 50));
        let joined = read("@@0@0@50@@\n@@0@1@5@@0@2@52@@\n");
        assert_eq!(joined, (Lines { right: 1, lost: 0, wrong: 1 }, 50));
    }
}

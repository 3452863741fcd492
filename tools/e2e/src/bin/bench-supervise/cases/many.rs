//! Many jobs at once.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::wedge::longest_pause;
use super::{Amounts, Each};
use crate::job;
use crate::proc::{Memory, cpu};
use crate::report::{Cells, Report, Row, cell, median, mib, ms, percent};
use crate::stamps::{Fifo, now};
use crate::supervisor::{Bench, Kind, PATIENCE, Place, Running};

const KINDS: [Kind; 2] = [Kind::Direct, Kind::Regrow];
const HUNDRED: usize = 100;
const HUNDRED_WITHIN: Duration = Duration::from_secs(1);
/// One check in so many tells when it runs; the others are `/bin/true`.
const TELLS: usize = 20;
/// Until the first checks are through.
const SETTLE: Duration = Duration::from_secs(3);
const PER_SECOND: f64 = 0.95;

pub fn start(amounts: &Amounts, report: &mut Report) -> Result<()> {
    let turns = amounts.stops.min(10);
    let times = Each::in_turns(&KINDS, turns, |kind| started(kind, HUNDRED));
    report.add(Row {
        what: "start of 100 jobs, to the first act of the last: median".into(),
        cells: times.cells(|times| ms(median(times))),
        goal: "≤ 1 s",
        reached: times.ours(|times| median(times) <= HUNDRED_WITHIN),
        containerpilot: "",
    });
    Ok(())
}

/// How long it takes until so many jobs are there. Without a supervisor a program starts them one
/// after the other.
fn started(kind: Kind, count: usize) -> Result<Duration> {
    let bench = Bench::new()?;
    let fifo = bench.fifo("stamps")?;
    let words = if kind == Kind::Regrow {
        bench.regrow(&json!({}), &jobs(count, &fifo, None)?)?
    } else {
        job::words(["spawn", &count.to_string(), "stamp", &fifo.argument(), "0"])?
    };
    let running = bench.start(Place::Plain, &words)?;
    all(count, &fifo, &running)
}

fn all(count: usize, fifo: &Fifo, running: &Running) -> Result<Duration> {
    let stamps = fifo.take(count, Instant::now() + PATIENCE)?;
    ensure!(stamps.len() == count, "{} of {count} came{}", stamps.len(), running.last_words());
    Ok(stamps.iter().map(crate::stamps::Stamp::took).max().unwrap_or_default())
}

/// Jobs that tell when they are there and stay. With a second fifo each has a check of every second.
fn jobs(count: usize, fifo: &Fifo, checks: Option<&Fifo>) -> Result<Vec<Value>> {
    (0..count)
        .map(|number| {
            let who = number.to_string();
            let exec = job::words(["stay", &fifo.argument(), &who])?;
            let mut job = json!({"name": format!("app-{number}"), "exec": exec});
            if let Some(checks) = checks {
                let mut exec = vec!["/bin/true".to_owned()];
                if number % TELLS == 0 {
                    exec = job::words(["stamp", &checks.argument(), &who])?;
                }
                job["health"] = json!({"exec": exec, "interval": 1, "ttl": 5});
            }
            Ok(job)
        })
        .collect()
}

/// A large configuration over a while.
struct Large {
    started: Duration,
    per_second: f64,
    pause: Duration,
    cpu: [f64; 2],
    memory: [Memory; 2],
    stop: Duration,
}

pub fn run(amounts: &Amounts, report: &mut Report) -> Result<()> {
    let count = amounts.jobs;
    let floor = started(Kind::Direct, count);
    let large = large(count, amounts.checks);
    let figure =
        |words: fn(&Large) -> String| Cells { regrow: cell(&large, words), ..Cells::default() };
    let row = |what: &str, words| Row {
        what: format!("{count} jobs, 1 s checks: {what}"),
        cells: figure(words),
        ..Row::default()
    };
    let mut start = row("start, to the first act of the last", |large| ms(large.started));
    start.cells.direct = cell(&floor, |time| ms(*time));
    report.add(start);
    report.add(Row {
        goal: "one of each job",
        reached: large.as_ref().ok().map(|large| large.per_second >= PER_SECOND * count as f64),
        ..row("checks run in a second; longest pause of one", |large| {
            format!("{:.0}; {}", large.per_second, ms(large.pause))
        })
    });
    report.add(row("CPU of the worker; of init, of one core", |large| {
        let [worker, init] = large.cpu;
        format!("{worker:.1} %; {init:.1} %")
    }));
    report.add(row("memory of the worker; of init", |large| {
        let [worker, init] = large.memory.map(|memory| mib(memory.resident));
        format!("{worker}; {init}")
    }));
    report.add(row("TERM to exit", |large| ms(large.stop)));
    Ok(())
}

fn large(count: usize, time: Duration) -> Result<Large> {
    let bench = Bench::new()?;
    let [fifo, checks] = [bench.fifo("stamps")?, bench.fifo("checks")?];
    let words = bench.regrow(&json!({}), &jobs(count, &fifo, Some(&checks))?)?;
    let mut running = bench.start(Place::best(), &words)?;
    let started = all(count, &fifo, &running)?;
    checks.take(usize::MAX, Instant::now() + SETTLE)?;
    let pids = [running.worker(None)?, running.pid];
    let spent = || Ok::<_, anyhow::Error>([cpu(pids[0])?, cpu(pids[1])?]);
    let (began, before) = (Instant::now(), spent()?);
    let stamps = checks.take(usize::MAX, Instant::now() + time)?;
    let pause = longest_pause(&stamps, now());
    let (of, after) = (began.elapsed(), spent()?);
    let memory = [Memory::of(pids[0])?, Memory::of(pids[1])?];
    let (stop, _) = running.stop(PATIENCE)?;
    let share = |at: usize| percent(after[at].saturating_sub(before[at]), of);
    let telling = count.div_ceil(TELLS);
    Ok(Large {
        started,
        per_second: stamps.len() as f64 / telling as f64 * count as f64 / of.as_secs_f64(),
        pause,
        cpu: [share(0), share(1)],
        memory,
        stop,
    })
}

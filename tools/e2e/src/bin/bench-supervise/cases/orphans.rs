//! Orphans: processes whose parent ended before them and that nobody but process 1 can reap.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::{Amounts, Each};
use crate::proc;
use crate::report::{Cells, Report, Row, percent};
use crate::stamps::Fifo;
use crate::supervisor::{Bench, Kind, Place, Running};

const KINDS: [Kind; 3] = [Kind::Regrow, Kind::Tini, Kind::DumbInit];
/// How often zombies are counted.
const LOOK: Duration = Duration::from_millis(20);
/// After which time nothing may be left.
const AFTER: Duration = Duration::from_secs(2);

/// One run.
#[derive(Clone, Copy)]
struct Run {
    rate: f64,
    most: usize,
    mean: f64,
    left: usize,
    cpu: f64,
    resident: u64,
}

pub fn run(amounts: &Amounts, report: &mut Report) -> Result<()> {
    let quoted = "7.5 to 10 % at 970 to 1000/s; up to 41 zombies; tini then 1.7 to 1.8 %";
    measure(1_000, amounts.orphan_turns, quoted, amounts, report);
    let quoted = "14 to 17 % at 2180 to 2630/s; tini then 1.4 to 4.3 % at 960 to 3020/s";
    measure(4_000, 1, quoted, amounts, report);
    Ok(())
}

fn measure(rate: u64, turns: usize, quoted: &'static str, amounts: &Amounts, report: &mut Report) {
    let what = |part: &str| format!("{rate} orphans/s for {:?}: {part}", amounts.orphans);
    if let Some(refusal) = Place::One.refusal() {
        let cells = Cells { regrow: refusal.into(), ..Cells::default() };
        report.add(Row { what: what("reaped by process 1"), cells, ..Row::default() });
        return;
    }
    let runs = Each::in_turns(&KINDS, turns, |kind| one(kind, rate, amounts.orphans));
    let cpu = |runs: &Vec<Run>| mean(runs.iter().map(|run| run.cpu));
    let goal = if rate == 1_000 { "≤ tini's" } else { "" };
    let best = runs.of(Kind::Tini).map(cpu).filter(|_| !goal.is_empty());
    report.add(Row {
        what: what("CPU of process 1, of one core"),
        cells: runs.cells(|runs| format!("{:.2} %", cpu(runs))),
        goal,
        reached: best.and_then(|best| runs.ours(|runs| cpu(runs) <= best)),
        containerpilot: quoted,
    });
    report.add(Row {
        what: what("rate reached; zombies at most, on average, 2 s later; memory of process 1"),
        cells: runs.cells(|runs| words(runs)),
        goal: "none later",
        reached: runs.ours(|runs| runs.iter().all(|run| run.left == 0)),
        containerpilot: "",
    });
}

fn words(runs: &[Run]) -> String {
    let most = runs.iter().map(|run| run.most).max().unwrap_or(0);
    let left = runs.iter().map(|run| run.left).max().unwrap_or(0);
    let resident = runs.iter().map(|run| run.resident).max().unwrap_or(0);
    format!(
        "{:.0}/s; {most}, {:.2}, {left}; {:.2} MiB",
        mean(runs.iter().map(|run| run.rate)),
        mean(runs.iter().map(|run| run.mean)),
        resident as f64 / 1024.0
    )
}

fn one(kind: Kind, rate: u64, time: Duration) -> Result<Run> {
    let bench = Bench::new()?;
    let fifo = bench.fifo("orders")?;
    // For each byte a process whose parent ends at once.
    let script = "while read -r _; do ( : & ); done < \"$0\"";
    let job = ["sh", "-c", script, &fifo.argument()].map(str::to_owned);
    let running = bench.start(Place::One, &bench.one(kind, &job)?)?;
    warm_up(&fifo, &running)?;
    let (began, before) = (Instant::now(), proc::cpu(running.pid)?);
    let (mut ordered, mut seen, mut next) = (0, vec![], began);
    let all = u64::try_from(time.as_millis())? * rate / 1_000;
    while ordered < all {
        let due = u64::try_from(began.elapsed().as_millis())? * rate / 1_000;
        ordered += fifo.put(usize::try_from(due.min(all) - ordered)?)? as u64;
        if Instant::now() >= next {
            seen.push(proc::zombies(running.pid));
            next += LOOK;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    while fifo.unread()? > 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    let took = began.elapsed();
    let spent = proc::cpu(running.pid)?.saturating_sub(before);
    std::thread::sleep(AFTER);
    Ok(Run {
        rate: all as f64 / took.as_secs_f64(),
        most: seen.iter().max().copied().unwrap_or(0),
        mean: mean(seen.iter().map(|&count| count as f64)),
        left: proc::zombies(running.pid),
        cpu: percent(spent, took),
        resident: proc::Memory::of(running.pid)?.resident,
    })
}

/// One orphan, so that the shell is there and knows its loop.
fn warm_up(fifo: &Fifo, running: &Running) -> Result<()> {
    fifo.put(1)?;
    let until = Instant::now() + Duration::from_secs(10);
    while fifo.unread()? > 0 {
        ensure!(Instant::now() < until, "the job did not come up{}", running.last_words());
        std::thread::sleep(Duration::from_millis(1));
    }
    std::thread::sleep(Duration::from_millis(200));
    Ok(())
}

fn mean(figures: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = figures.len().max(1) as f64;
    figures.sum::<f64>() / count
}

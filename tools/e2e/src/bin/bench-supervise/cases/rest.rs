//! Memory and processor time of a supervisor whose jobs do nothing.

use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::{Value, json};

use super::{Amounts, Each};
use crate::proc::{Memory, cpu};
use crate::report::{Cells, Report, Row, cell, mib, percent};
use crate::supervisor::{Bench, Kind, Place, Running};

const JOBS: usize = 10;
const PEERS: [Kind; 2] = [Kind::Tini, Kind::DumbInit];
/// Until what a start needs has settled.
const SETTLE: Duration = Duration::from_secs(3);
const INIT_KIB: u64 = 1_331;
const WORKER_KIB: u64 = 8 * 1024;
const CPU_PERCENT: f64 = 0.3;

/// Both processes of `regrow supervise` over a while.
struct Ours {
    init: Memory,
    /// At the beginning and at the end.
    worker: [Memory; 2],
    cpu: Duration,
    of: Duration,
}

pub fn run(amounts: &Amounts, report: &mut Report) -> Result<()> {
    let sleep = vec!["sleep".to_owned(), "3600".to_owned()];
    let benches = [Bench::new()?, Bench::new()?];
    let mut places = PEERS.iter().zip(&benches);
    let peers: Vec<_> = Each::once(&PEERS, |kind| {
        let found = places.find(|(other, _)| **other == kind);
        let (_, bench) = found.ok_or_else(|| anyhow::anyhow!("no folder"))?;
        bench.start(Place::best(), &bench.one(kind, &sleep)?)
    })
    .0;
    let checked = ours(&checked_jobs(JOBS), amounts.rest);
    let peers = Each(peers.into_iter().map(|(kind, peer)| (kind, peer.and_then(peak))).collect());
    let plain =
        ours(&[json!({"name": "app", "exec": sleep})], amounts.rest.min(Duration::from_secs(10)));

    let peers = peers.cells(words);
    let row = |what: &str, regrow: String| Row {
        what: what.into(),
        cells: Cells { regrow, ..Cells::default() },
        ..Row::default()
    };
    let reached = |right: fn(&Ours) -> bool| checked.as_ref().ok().map(right);
    report.add(Row {
        cells: Cells { regrow: cell(&checked, |ours| words(&ours.init)), ..peers },
        goal: "≤ 1.3 MiB",
        reached: reached(|ours| ours.init.resident <= INIT_KIB),
        containerpilot: "6.9 MiB (3.0 to 4.0; 1.0)",
        ..row("10 jobs, 1 s checks: memory of init (share; anonymous)", String::new())
    });
    let grown = |ours: &Ours| {
        let [before, after] = ours.worker;
        format!("{} → {}", mib(before.resident), words(&after))
    };
    report.add(Row {
        goal: "≤ 8 MiB",
        reached: reached(|ours| ours.worker[1].resident <= WORKER_KIB),
        containerpilot: "12.8 → 14.0 MiB (9.4 to 9.9; 5.4 → 6.6)",
        ..row("10 jobs, 1 s checks: memory of the worker (share; anonymous)", cell(&checked, grown))
    });
    report.add(Row {
        goal: "≤ 0.3 %",
        reached: reached(|ours| percent(ours.cpu, ours.of) <= CPU_PERCENT),
        containerpilot: "0.63 %",
        ..row(
            "10 jobs, 1 s checks: CPU of init and worker, of one core",
            cell(&checked, |ours| format!("{:.3} %", percent(ours.cpu, ours.of))),
        )
    });
    let both = |ours: &Ours| format!("{}; {}", words(&ours.init), words(&ours.worker[1]));
    report.add(Row {
        containerpilot: "7.9 MiB (4.7; 1.4), one process",
        ..row("1 job without checks: memory of init; of the worker", cell(&plain, both))
    });
    Ok(())
}

/// Jobs that wait, each with a check of every second.
pub fn checked_jobs(count: usize) -> Vec<Value> {
    let job = |number| {
        json!({
            "name": format!("app-{number}"),
            "exec": ["sleep", "3600"],
            "health": {"exec": "/bin/true", "interval": 1, "ttl": 5},
        })
    };
    (0..count).map(job).collect()
}

fn ours(jobs: &[Value], rest: Duration) -> Result<Ours> {
    let bench = Bench::new()?;
    let running = bench.start(Place::best(), &bench.regrow(&json!({}), jobs)?)?;
    look(&running, rest).map_err(|error| error.context(running.last_words()))
}

fn look(running: &Running, rest: Duration) -> Result<Ours> {
    std::thread::sleep(SETTLE);
    let worker = running.worker(None)?;
    let both = || Ok::<_, anyhow::Error>(cpu(running.pid)? + cpu(worker)?);
    let (began, before) = (Instant::now(), both()?);
    let first = Memory::of(worker)?;
    std::thread::sleep(rest);
    let (spent, of) = (both()?.saturating_sub(before), began.elapsed());
    let init = Memory::of(running.pid)?;
    Ok(Ours { init, worker: [first, Memory::of(worker)?], cpu: spent, of })
}

#[expect(clippy::needless_pass_by_value, reason = "the process ends when it was looked at")]
fn peak(running: Running) -> Result<Memory> {
    Memory::of(running.pid)
}

fn words(memory: &Memory) -> String {
    let Memory { resident, share, anonymous } = *memory;
    let digits = |kib: u64| format!("{:.2}", kib as f64 / 1024.0);
    format!("{} ({}; {})", mib(resident), digits(share), digits(anonymous))
}

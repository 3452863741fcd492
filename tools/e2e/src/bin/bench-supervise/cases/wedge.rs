//! A check that hangs beside jobs that run often: nothing may wait for it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::json;

use super::Amounts;
use crate::job;
use crate::report::{Cells, Report, Row, cell, ms};
use crate::stamps::Stamp;
use crate::supervisor::{Bench, PATIENCE, Place};

const JOBS: usize = 4;
const EVERY: Duration = Duration::from_millis(50);
/// A pause of this length is one that somebody notices.
const PAUSE: Duration = Duration::from_secs(1);
/// Within which it ends at TERM, its jobs ending at once.
const STOP: Duration = Duration::from_secs(1);

struct Seen {
    runs: usize,
    pause: Duration,
    stop: Duration,
}

pub fn run(amounts: &Amounts, report: &mut Report) -> Result<()> {
    let seen = watch(amounts.wedge);
    let expected = JOBS as u128 * amounts.wedge.as_millis() / EVERY.as_millis();
    let words = |seen: &Seen| format!("{} of {expected}; {}", seen.runs, ms(seen.pause));
    let row = |what: String, regrow: String| Row {
        what,
        cells: Cells { regrow, ..Cells::default() },
        ..Row::default()
    };
    report.add(Row {
        goal: "no pause of 1 s",
        reached: seen.as_ref().ok().map(|seen| seen.runs > 0 && seen.pause < PAUSE),
        containerpilot: "stop after 15.1 s",
        ..row(
            format!(
                "a check hangs: runs of four 50 ms jobs in {:?}; longest pause of one",
                amounts.wedge
            ),
            cell(&seen, words),
        )
    });
    report.add(Row {
        goal: "≤ 1 s",
        reached: seen.as_ref().ok().map(|seen| seen.stop <= STOP),
        containerpilot: "never",
        ..row("a check hangs: TERM to exit".into(), cell(&seen, |seen| ms(seen.stop)))
    });
    Ok(())
}

fn watch(time: Duration) -> Result<Seen> {
    let bench = Bench::new()?;
    let fifo = bench.fifo("stamps")?;
    let mut jobs = vec![json!({
        "name": "app",
        "exec": ["sleep", "3600"],
        "health": {"exec": ["sleep", "600"], "interval": 1, "ttl": 5, "timeout": "600s"},
    })];
    for who in 0..JOBS {
        let exec = job::words(["stamp", &fifo.argument(), &who.to_string()])?;
        let when = json!({"interval": format!("{}ms", EVERY.as_millis())});
        jobs.push(json!({"name": format!("often-{who}"), "exec": exec, "when": when}));
    }
    let mut running = bench.start(Place::Plain, &bench.regrow(&json!({}), &jobs)?)?;
    fifo.next(PATIENCE).map_err(|error| error.context(running.last_words()))?;
    let stamps = fifo.take(usize::MAX, Instant::now() + time)?;
    let end = crate::stamps::now();
    let (stop, _) = running.stop(PATIENCE)?;
    ensure!(!stamps.is_empty(), "no job ran a second time");
    Ok(Seen { runs: stamps.len(), pause: longest_pause(&stamps, end), stop })
}

/// The longest time between two stamps of one job, or between its last and the end.
pub fn longest_pause(stamps: &[Stamp], end: u64) -> Duration {
    let mut last = BTreeMap::new();
    let mut longest = 0;
    for stamp in stamps {
        let before = last.insert(stamp.who, stamp.at).unwrap_or(stamp.at);
        longest = longest.max(stamp.at.saturating_sub(before));
    }
    let open = last.values().map(|at| end.saturating_sub(*at)).max();
    Duration::from_nanos(longest.max(open.unwrap_or(0)))
}

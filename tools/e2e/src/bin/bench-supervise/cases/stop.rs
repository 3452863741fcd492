//! From the end of the job to the end of the supervisor.

use std::time::Duration;

use anyhow::Result;

use super::{Amounts, Each};
use crate::job;
use crate::report::{Report, Row, median, ms};
use crate::stamps::now;
use crate::supervisor::{Bench, Kind, PATIENCE, Place};

const KINDS: [Kind; 4] = [Kind::Direct, Kind::Regrow, Kind::Tini, Kind::DumbInit];
/// Within which it ends after its last job.
const GOAL: Duration = Duration::from_millis(3);

/// One stop.
#[derive(Clone, Copy)]
struct Stop {
    /// From TERM to the supervisor's end.
    term: Duration,
    /// From the last act of the job to the supervisor's end.
    job: Duration,
}

pub fn run(amounts: &Amounts, report: &mut Report) -> Result<()> {
    let bench = Bench::new()?;
    let fifo = bench.fifo("stamps")?;
    let waits = job::words(["until-term", &fifo.argument()])?;
    let stops = Each::in_turns(&KINDS, amounts.stops, |kind| {
        let mut running = bench.start(Place::Plain, &bench.one(kind, &waits)?)?;
        fifo.next(PATIENCE).map_err(|error| error.context(running.last_words()))?;
        let (term, _) = running.stop(PATIENCE)?;
        let end = now();
        let last = fifo.next(PATIENCE)?.at;
        Ok(Stop { term, job: Duration::from_nanos(end.saturating_sub(last)) })
    });
    let pick = |stops: &[Stop], of: fn(&Stop) -> Duration| stops.iter().map(of).collect::<Vec<_>>();
    report.add(Row {
        what: "TERM to exit, the job ends at TERM: median (worst)".into(),
        cells: stops.cells(|stops| words(&pick(stops, |stop| stop.term))),
        containerpilot: "5.01 s; 1.03 s with stopTimeout 1; tini, dumb-init then 1.4 ms",
        ..Row::default()
    });
    report.add(Row {
        what: "TERM: the job's last act to exit: median (worst)".into(),
        cells: stops.cells(|stops| words(&pick(stops, |stop| stop.job))),
        goal: "≤ 3 ms",
        reached: stops.ours(|stops| median(&pick(stops, |stop| stop.job)) <= GOAL),
        containerpilot: "1.03 s with stopTimeout 1",
    });
    let ends = job::words(["stamp", &fifo.argument(), "0"])?;
    let times = Each::in_turns(&KINDS, amounts.stops, |kind| {
        let mut running = bench.start(Place::Plain, &bench.one(kind, &ends)?)?;
        running.ended(PATIENCE)?;
        let end = now();
        Ok(Duration::from_nanos(end.saturating_sub(fifo.next(PATIENCE)?.at)))
    });
    report.add(Row {
        what: "the job ends by itself: its last act to exit: median (worst)".into(),
        cells: times.cells(|times| words(times)),
        goal: "≤ 3 ms",
        reached: times.ours(|times| median(times) <= GOAL),
        containerpilot: "5.01 to 5.02 s",
    });
    Ok(())
}

fn words(times: &[Duration]) -> String {
    let worst = times.iter().max().copied().unwrap_or_default();
    format!("{} ({})", ms(median(times)), ms(worst))
}

//! From the execution of a supervisor to its first job.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::{Amounts, Each};
use crate::job;
use crate::report::{Cells, Report, Row, median, ms};
use crate::supervisor::{Bench, Kind, PATIENCE, Place};

const KINDS: [Kind; 4] = [Kind::Direct, Kind::Regrow, Kind::Tini, Kind::DumbInit];
/// What a supervisor may take itself.
const OWN: Duration = Duration::from_millis(1);

pub fn run(amounts: &Amounts, report: &mut Report) -> Result<()> {
    let plain = "4.3 to 10.2 ms (3.1), own about 2.5 ms";
    measure(Place::Plain, "as any process", plain, amounts, report)?;
    let one = "9.8 to 17.7 ms (8.0), own about 6.4 ms";
    measure(Place::One, "as process 1", one, amounts, report)
}

fn measure(
    place: Place,
    place_name: &str,
    quoted: &'static str,
    amounts: &Amounts,
    report: &mut Report,
) -> Result<()> {
    let what = format!("execution to the job's first act, {place_name}: median (lowest)");
    if let Some(refusal) = place.refusal() {
        let cells = Cells { regrow: refusal.into(), ..Cells::default() };
        report.add(Row { what, cells, ..Row::default() });
        return Ok(());
    }
    let bench = Bench::new()?;
    let fifo = bench.fifo("stamps")?;
    let job = job::words(["stamp", &fifo.argument(), "0"])?;
    let times = Each::in_turns(&KINDS, amounts.starts, |kind| {
        // A turn that failed may have left one.
        fifo.take(usize::MAX, Instant::now())?;
        let mut running = bench.start(place, &bench.one(kind, &job)?)?;
        let stamp = fifo.next(PATIENCE).map_err(|error| error.context(running.last_words()))?;
        running.ended(PATIENCE)?;
        Ok(stamp.took())
    });
    let cells = times.cells(|times| format!("{} ({})", ms(median(times)), ms(lowest(times))));
    report.add(Row { what, cells, containerpilot: quoted, ..Row::default() });

    let floor = times.of(Kind::Direct).cloned().unwrap_or_default();
    let own = |times: &Vec<Duration>| median(times).saturating_sub(median(&floor));
    let cells = Cells {
        direct: String::new(),
        ..times.cells(|times| {
            let least = lowest(times).saturating_sub(lowest(&floor));
            format!("{} ({})", ms(own(times)), ms(least))
        })
    };
    report.add(Row {
        what: format!("of that beyond a direct execution, {place_name}: median (lowest)"),
        cells,
        goal: "≤ 1 ms",
        reached: times.ours(|times| own(times) <= OWN),
        containerpilot: "",
    });
    Ok(())
}

fn lowest(times: &[Duration]) -> Duration {
    times.iter().min().copied().unwrap_or_default()
}

//! The cases, one module each.

mod first_exec;
mod killed;
mod logs;
mod many;
mod orphans;
mod rest;
mod stop;
mod wedge;

use std::time::Duration;

use anyhow::Result;

use crate::report::{Cells, Report, Row, cell};
use crate::supervisor::{Kind, sweep};

/// A case by its name.
pub struct Case {
    pub name: &'static str,
    run: fn(&Amounts, &mut Report) -> Result<()>,
}

/// All of them, in the order in which they run.
pub const CASES: &[Case] = &[
    Case { name: "first-exec", run: first_exec::run },
    Case { name: "rest", run: rest::run },
    Case { name: "stop", run: stop::run },
    Case { name: "orphans", run: orphans::run },
    Case { name: "logs", run: logs::run },
    Case { name: "long-line", run: logs::long_line },
    Case { name: "wedge", run: wedge::run },
    Case { name: "start", run: many::start },
    Case { name: "jobs", run: many::run },
    Case { name: "killed", run: killed::run },
];

/// How much of everything.
pub struct Amounts {
    /// Starts of each program in each place.
    pub starts: usize,
    /// Time at rest.
    pub rest: Duration,
    /// Stops of each program.
    pub stops: usize,
    /// Time in which orphans are made, and how often that is done.
    pub orphans: Duration,
    pub orphan_turns: usize,
    /// Payload of one run of log lines, bytes, and how often it is written.
    pub payload: usize,
    pub log_turns: usize,
    /// Time in which events must go on beside a check that hangs.
    pub wedge: Duration,
    /// Jobs of the largest configuration, and time in which their checks are counted.
    pub jobs: usize,
    pub checks: Duration,
    /// Kills of the worker.
    pub kills: usize,
}

impl Amounts {
    pub const FULL: Self = Self {
        starts: 200,
        rest: Duration::from_secs(60),
        stops: 50,
        orphans: Duration::from_secs(10),
        orphan_turns: 3,
        payload: 200_000_000,
        log_turns: 5,
        wedge: Duration::from_secs(30),
        jobs: 1_000,
        checks: Duration::from_secs(30),
        kills: 100,
    };

    /// Enough to see that all of it works; the figures are rough.
    pub const SHORT: Self = Self {
        starts: 15,
        rest: Duration::from_secs(5),
        stops: 5,
        orphans: Duration::from_secs(3),
        orphan_turns: 1,
        payload: 20_000_000,
        log_turns: 1,
        wedge: Duration::from_secs(5),
        jobs: 200,
        checks: Duration::from_secs(5),
        kills: 8,
    };
}

/// Runs the named cases, or all.
pub fn run(only: &[String], amounts: &Amounts, report: &mut Report) {
    for case in CASES {
        if !only.is_empty() && !only.iter().any(|name| name == case.name) {
            continue;
        }
        if let Err(fault) = (case.run)(amounts, report) {
            let cells =
                Cells { regrow: cell::<()>(&Err(fault), |()| String::new()), ..Cells::default() };
            report.add(Row { what: case.name.into(), cells, ..Row::default() });
        }
        let left = sweep();
        if let Some(first) = left.first() {
            let what = format!("{}: processes left behind, one of them", case.name);
            let cells = Cells { regrow: format!("{}: {first}", left.len()), ..Cells::default() };
            let reached = Some(false);
            report.add(Row { what, cells, goal: "none", reached, ..Row::default() });
        }
    }
}

/// What was measured of several programs.
struct Each<T>(Vec<(Kind, Result<T>)>);

impl<T> Each<T> {
    /// Measures each once.
    fn once(kinds: &[Kind], mut measure: impl FnMut(Kind) -> Result<T>) -> Self {
        Self(kinds.iter().map(|&kind| (kind, measure(kind))).collect())
    }

    /// The figure of one of them, where there is one.
    fn of(&self, kind: Kind) -> Option<&T> {
        self.0.iter().find(|(other, _)| *other == kind)?.1.as_ref().ok()
    }

    /// Whether ours is as it should be; nothing where it was not measured.
    fn ours(&self, right: impl FnOnce(&T) -> bool) -> Option<bool> {
        self.of(Kind::Regrow).map(right)
    }

    fn cells(&self, words: impl Fn(&T) -> String) -> Cells {
        let mut cells = Cells::default();
        for (kind, figure) in &self.0 {
            let place = match kind {
                Kind::Direct => &mut cells.direct,
                Kind::Regrow => &mut cells.regrow,
                Kind::Tini => &mut cells.tini,
                Kind::DumbInit => &mut cells.dumb_init,
            };
            *place = cell(figure, &words);
        }
        cells
    }
}

impl<T> Each<Vec<T>> {
    /// Measures each so many times, in turns, so that what else the machine does meets all of them.
    /// One that failed is not tried again.
    fn in_turns(kinds: &[Kind], times: usize, mut measure: impl FnMut(Kind) -> Result<T>) -> Self {
        let mut all = Self(kinds.iter().map(|&kind| (kind, Ok(vec![]))).collect());
        for _ in 0..times {
            for (kind, figures) in &mut all.0 {
                if let Ok(done) = figures {
                    match measure(*kind) {
                        Ok(figure) => done.push(figure),
                        Err(fault) => *figures = Err(fault),
                    }
                }
            }
        }
        all
    }
}

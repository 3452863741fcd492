//! Lines of a job on their way through the supervisor to a reader.

use std::fmt;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::json;

use super::Amounts;
use crate::job;
use crate::proc::cpu;
use crate::reader::{Reader, Tally};
use crate::report::{Cells, Report, Row, cell};
use crate::stamps::Fifo;
use crate::supervisor::{Bench, Kind, PATIENCE, Place, Running};

/// Until the writer waits at its gate.
const SETTLE: Duration = Duration::from_millis(300);
const LONG: usize = 1 << 20;
const LONG_LINES: usize = 8;

/// How lines go.
#[derive(Clone, Copy)]
struct Way {
    format: Option<&'static str>,
    bytes: usize,
    goals: Option<Goals>,
    quoted: [&'static str; 2],
}

#[derive(Clone, Copy)]
struct Goals {
    rate: f64,
    cpu: f64,
}

const WAYS: &[Way] = &[
    Way { format: None, bytes: 100, goals: None, quoted: ["103 to 291 MB/s", "0"] },
    Way {
        format: Some("default"),
        bytes: 100,
        goals: Some(Goals { rate: 200.0, cpu: 0.25 }),
        quoted: ["9.5 to 28 MB/s", "2.6 to 3.4 s"],
    },
    Way {
        format: Some("text"),
        bytes: 100,
        goals: None,
        quoted: ["14 to 16 MB/s", "3.4 to 3.8 s"],
    },
    Way {
        format: Some("json"),
        bytes: 100,
        goals: None,
        quoted: ["7.7 to 13.6 MB/s", "4.1 to 4.8 s"],
    },
    Way {
        format: Some("default"),
        bytes: 1_000,
        goals: None,
        quoted: ["43 to 115 MB/s", "4.8 to 6.4 s"],
    },
];

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.format {
            Some(format) => write!(f, "wrapped, {format}, lines of {} B", self.bytes),
            None => write!(f, "raw, lines of {} B", self.bytes),
        }
    }
}

/// One run.
#[derive(Clone, Copy)]
struct Flow {
    /// Payload that arrived, MB/s.
    rate: f64,
    /// Of init and worker, seconds for a million lines.
    cpu: f64,
    tally: Tally,
}

pub fn run(amounts: &Amounts, report: &mut Report) -> Result<()> {
    // The formats add less than a line of 100 bytes to it.
    let mut reader = Reader::new(amounts.payload * 2 + (64 << 20));
    for way in WAYS {
        let mut turns = |kind| -> Result<Vec<Flow>> {
            (0..amounts.log_turns).map(|_| flow(kind, *way, amounts.payload, &mut reader)).collect()
        };
        let ours = turns(Kind::Regrow);
        // A job that writes to the reader itself: what the two of them can do.
        let direct = way.format.is_none().then(|| turns(Kind::Direct));
        let rate = |flows: &Vec<Flow>| middle(flows.iter().map(|flow| flow.rate));
        let cost = |flows: &Vec<Flow>| middle(flows.iter().map(|flow| flow.cpu));
        let direct = direct.as_ref().map(|flows| cell(flows, |flows| rates(flows)));
        let reached = |right: &dyn Fn(Goals, &Vec<Flow>) -> bool| {
            way.goals.zip(ours.as_ref().ok()).map(|(goals, flows)| right(goals, flows))
        };
        report.add(Row {
            what: format!("{way}: payload, median (lowest to highest)"),
            cells: Cells {
                direct: direct.unwrap_or_default(),
                regrow: cell(&ours, |flows| rates(flows)),
                ..Cells::default()
            },
            goal: if way.goals.is_some() { "≥ 200 MB/s" } else { "" },
            reached: reached(&|goals, flows| rate(flows) >= goals.rate),
            containerpilot: way.quoted[0],
        });
        report.add(Row {
            what: format!("{way}: CPU of init and worker for a million lines; lines lost, wrong"),
            cells: Cells { regrow: cell(&ours, |flows| costs(flows)), ..Cells::default() },
            goal: if way.goals.is_some() { "≤ 0.25 s; none" } else { "none lost" },
            reached: ours.as_ref().ok().map(|flows| {
                whole(flows) && reached(&|goals, flows| cost(flows) <= goals.cpu) != Some(false)
            }),
            containerpilot: way.quoted[1],
        });
    }
    Ok(())
}

fn rates(flows: &[Flow]) -> String {
    let rates = || flows.iter().map(|flow| flow.rate);
    let [least, most] = [rates().fold(f64::INFINITY, f64::min), rates().fold(0.0, f64::max)];
    format!("{:.0} MB/s ({least:.0} to {most:.0})", middle(rates()))
}

fn costs(flows: &[Flow]) -> String {
    let sum = |of: fn(&Tally) -> usize| flows.iter().map(|flow| of(&flow.tally)).sum::<usize>();
    let cost = middle(flows.iter().map(|flow| flow.cpu));
    format!("{cost:.3} s; {}, {}", sum(|tally| tally.lost), sum(|tally| tally.wrong))
}

fn whole(flows: &[Flow]) -> bool {
    flows.iter().all(|flow| (flow.tally.lost, flow.tally.wrong) == (0, 0))
}

fn middle(figures: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<_> = figures.collect();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

fn flow(kind: Kind, way: Way, payload: usize, reader: &mut Reader) -> Result<Flow> {
    let bench = Bench::new()?;
    let gate = bench.fifo("gate")?;
    let lines = payload / way.bytes;
    let mut running = writer(&bench, &gate, kind, way, lines)?;
    let stdout = running.take_stdout()?;
    std::thread::sleep(SETTLE);
    let mut family = vec![];
    if kind == Kind::Regrow {
        family = vec![running.pid, running.worker(None)?];
    }
    let spent = || family.iter().map(|&pid| cpu(pid)).sum::<Result<Duration>>();
    let before = spent()?;
    let began = Instant::now();
    gate.put(1)?;
    let ended = reader.drain(&stdout, lines)?;
    let cpu = spent()?.saturating_sub(before);
    gate.put(1)?;
    running.ended(PATIENCE)?;
    let tally = reader.tally(way.bytes, lines);
    ensure!(tally.right > 0, "no line arrived{}", running.last_words());
    Ok(Flow {
        rate: (tally.right * way.bytes) as f64 / 1e6 / (ended - began).as_secs_f64(),
        cpu: cpu.as_secs_f64() / (lines as f64 / 1e6),
        tally,
    })
}

fn writer(bench: &Bench, gate: &Fifo, kind: Kind, way: Way, lines: usize) -> Result<Running> {
    let [bytes, lines] = [way.bytes, lines].map(|number| number.to_string());
    let job = job::words(["write", &gate.argument(), &bytes, &lines])?;
    let words = if kind == Kind::Regrow {
        let logging = json!({"level": "INFO", "format": way.format.unwrap_or("default")});
        let raw = way.format.is_none();
        let job = json!({"name": "app", "exec": job, "logging": {"raw": raw}});
        bench.regrow(&json!({"logging": logging}), &[job])?
    } else {
        bench.one(kind, &job)?
    };
    bench.start_with(Place::Plain, &words, Stdio::piped())
}

pub fn long_line(_: &Amounts, report: &mut Report) -> Result<()> {
    let way = Way { format: Some("default"), bytes: LONG, goals: None, quoted: [""; 2] };
    let read = long(way);
    let written = (LONG_LINES, LONG_LINES * (LONG - job::NUMBER));
    report.add(Row {
        what: "8 lines of 1 MiB: arrived in one piece; payload; exit code".into(),
        cells: Cells {
            regrow: cell(&read, |(whole, bytes, code)| {
                format!("{whole} of {}; {bytes} of {} B; {code}", written.0, written.1)
            }),
            ..Cells::default()
        },
        goal: "all of the payload",
        reached: read.as_ref().ok().map(|(_, bytes, code)| *bytes == written.1 && *code == 0),
        containerpilot: "at 100,000 B: none, the job dies",
    });
    Ok(())
}

/// Lines that arrived in one piece, bytes of payload that arrived in whatever pieces, exit code.
fn long(way: Way) -> Result<(usize, usize, i32)> {
    let bench = Bench::new()?;
    let gate = bench.fifo("gate")?;
    let mut running = writer(&bench, &gate, Kind::Regrow, way, LONG_LINES)?;
    let stdout = running.take_stdout()?;
    gate.put(2)?;
    let mut reader = Reader::new(LONG_LINES * LONG * 2);
    // It ends with its job, and the stream with it.
    reader.drain(&stdout, usize::MAX)?;
    let code = running.ended(PATIENCE)?.code().unwrap_or(-1);
    let filler = reader.read().iter().filter(|&&byte| byte == job::FILLER).count();
    Ok((reader.tally(LONG, LONG_LINES).right, filler, code))
}

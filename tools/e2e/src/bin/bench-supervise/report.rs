//! The figures as a table and as JSON.

use std::time::Duration;

use anyhow::{Context, Result};
use serde::Serialize;

/// What was measured of each program; an empty text where it was not.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Cells {
    /// Of the job without any supervisor.
    pub direct: String,
    pub regrow: String,
    pub tini: String,
    pub dumb_init: String,
}

/// One line.
#[derive(Debug, Default, Serialize)]
pub struct Row {
    /// What was measured.
    pub what: String,
    #[serde(flatten)]
    pub cells: Cells,
    /// What we want it to be.
    pub goal: &'static str,
    /// Whether it is; absent where nothing was measured, or there is no goal.
    pub reached: Option<bool>,
    /// The same of ContainerPilot, as it was measured once.
    pub containerpilot: &'static str,
}

/// All figures of a run.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The machine's load over a minute before and after the run.
    load: [String; 2],
    rows: Vec<Row>,
}

impl Report {
    pub fn new() -> Result<Self> {
        Ok(Self { load: [load()?, String::new()], rows: vec![] })
    }

    pub fn add(&mut self, row: Row) {
        let Cells { direct, regrow, tini, dumb_init } = &row.cells;
        eprintln!(
            "{}: direct {direct} | regrow {regrow} | tini {tini} | dumb-init {dumb_init} (goal {})",
            row.what, row.goal
        );
        self.rows.push(row);
    }

    /// The run is over.
    pub fn ended(&mut self) -> Result<()> {
        self.load[1] = load()?;
        Ok(())
    }

    /// The rows for people.
    pub fn table(&self) -> String {
        const HEAD: [&str; 8] = [
            "measure",
            "direct",
            "regrow",
            "tini",
            "dumb-init",
            "goal",
            "reached",
            "ContainerPilot (quoted)",
        ];
        let lines: Vec<_> = self.rows.iter().map(line).collect();
        let [before, after] = &self.load;
        let table = e2e::table(&HEAD, &lines);
        format!("{table}\nload of the machine over a minute: {before} before, {after} after\n")
    }

    /// The rows for programs.
    pub fn json(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }
}

fn line(row: &Row) -> Vec<String> {
    let reached = match row.reached {
        Some(true) => "yes",
        Some(false) => "NO",
        None => "",
    };
    let Cells { direct, regrow, tini, dumb_init } = &row.cells;
    let cells = [&row.what, direct, regrow, tini, dumb_init, row.goal, reached, row.containerpilot];
    let shown = |cell: &str| if cell.is_empty() { "-".to_owned() } else { cell.to_owned() };
    cells.map(shown).to_vec()
}

fn load() -> Result<String> {
    let text = std::fs::read_to_string("/proc/loadavg").context("read /proc/loadavg")?;
    Ok(text.split_whitespace().next().unwrap_or_default().to_owned())
}

/// A figure, or why there is none, in the words of a cell.
pub fn cell<T>(figure: &Result<T>, words: impl FnOnce(&T) -> String) -> String {
    match figure {
        Ok(figure) => words(figure),
        // A cell is one line of a table.
        Err(fault) => format!("failed: {fault:#}").replace(['\n', '|'], " "),
    }
}

/// Milliseconds with two digits.
pub fn ms(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1e3)
}

/// KiB as MiB with two digits.
pub fn mib(kib: u64) -> String {
    format!("{:.2} MiB", kib as f64 / 1024.0)
}

/// Processor time as a share of one core.
pub fn percent(cpu: Duration, of: Duration) -> f64 {
    cpu.as_secs_f64() / of.as_secs_f64() * 100.0
}

/// The middle one; zero where there are none.
pub fn median(times: &[Duration]) -> Duration {
    e2e::share(times, 0.5).unwrap_or_default()
}

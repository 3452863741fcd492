//! The figures as a table and as JSON.

use std::time::Duration;

use anyhow::Result;
use serde::Serialize;

/// One figure.
#[derive(Debug, Serialize)]
pub struct Row {
    /// What was measured.
    pub what: String,
    /// The figure with its unit, or why there is none.
    pub ours: String,
    /// The same of etcd, where it was measured.
    pub etcd: String,
    /// What we want it to be.
    pub goal: &'static str,
    /// Whether it is; absent where nothing was measured, or there is no goal.
    pub reached: Option<bool>,
}

/// All figures of a run.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// The machine's load over a minute before and after the run.
    pub load: [String; 2],
    rows: Vec<Row>,
}

impl Report {
    pub fn add(&mut self, row: Row) {
        eprintln!("{}: {} | etcd: {} (goal {})", row.what, row.ours, row.etcd, row.goal);
        self.rows.push(row);
    }

    /// The rows for people.
    pub fn table(&self) -> String {
        let cells = |row: &Row| {
            let reached = match row.reached {
                Some(true) => "yes",
                Some(false) => "NO",
                None => "-",
            };
            let cells = [&row.what, &row.ours, &row.etcd, row.goal, reached];
            cells.map(str::to_owned).to_vec()
        };
        let lines: Vec<_> = self.rows.iter().map(cells).collect();
        let [before, after] = &self.load;
        let table = e2e::table(&["measure", "regrow", "etcd 3.4", "goal", "reached"], &lines);
        format!("{table}\nload of the machine over a minute: {before} before, {after} after\n")
    }

    /// The rows for programs.
    pub fn json(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }
}

/// Milliseconds with two digits.
pub fn ms(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1e3)
}

use anyhow::Result;
use serde::Serialize;

/// One figure.
#[derive(Debug, Serialize)]
pub struct Row {
    /// What was measured.
    pub what: String,
    /// The figure with its unit, or why there is none.
    pub ours: String,
    /// What we want it to be.
    pub goal: &'static str,
    /// Whether it is; absent where nothing was measured.
    pub reached: Option<bool>,
    /// What InfraKit took.
    pub infrakit: &'static str,
}

/// All figures of a run.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    rows: Vec<Row>,
}

impl Report {
    pub fn add(&mut self, row: Row) {
        eprintln!("{}: {} (goal {})", row.what, row.ours, row.goal);
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
            [&row.what, &row.ours, row.goal, reached, row.infrakit].map(str::to_owned).to_vec()
        };
        let lines: Vec<_> = self.rows.iter().map(cells).collect();
        e2e::table(&["measure", "regrow", "goal", "reached", "InfraKit (quoted)"], &lines)
    }

    /// The rows for programs.
    pub fn json(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(self)?)
    }
}

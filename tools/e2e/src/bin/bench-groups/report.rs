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
        let head = ["measure", "regrow", "goal", "reached", "InfraKit (quoted)"];
        let mut lines = vec![head.map(str::to_owned)];
        for row in &self.rows {
            let reached = match row.reached {
                Some(true) => "yes",
                Some(false) => "NO",
                None => "-",
            };
            lines.push([
                row.what.clone(),
                row.ours.clone(),
                row.goal.to_owned(),
                reached.to_owned(),
                row.infrakit.to_owned(),
            ]);
        }
        let width = |column: usize| lines.iter().map(|l| l[column].chars().count()).max();
        let widths: Vec<_> = (0..head.len()).map(|column| width(column).unwrap_or(0)).collect();
        let print = |line: &[String; 5]| {
            let cells: Vec<_> = line.iter().zip(&widths).map(|(c, w)| format!("{c:<w$}")).collect();
            format!("| {} |\n", cells.join(" | "))
        };
        let rule: Vec<_> = widths.iter().map(|w| "-".repeat(*w)).collect();
        let mut text = print(&lines[0]);
        text += &format!("| {} |\n", rule.join(" | "));
        lines[1..].iter().for_each(|line| text += &print(line));
        text
    }

    /// The rows for programs.
    pub fn json(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(self)?)
    }
}

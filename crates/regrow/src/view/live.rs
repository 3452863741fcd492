//! The view of `up`: plain lines, and on a terminal a small table below them that is drawn anew.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::time::{Duration, Instant};

use crate::up::{GroupView, Line, LineLevel};

/// The table is drawn at most so often.
const FRAME: Duration = Duration::from_millis(100);
/// Most groups in the table; the rest is counted.
const MAX_ROWS: usize = 20;
/// Width when the terminal does not say.
const USUAL_COLUMNS: usize = 100;

/// How the story is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Lines.
    Plain,
    /// Lines with a table below them that is drawn anew.
    Terminal,
    /// One JSON document a line.
    Json,
}

/// Where the story of a run is told.
pub struct View {
    manner: Manner,
    /// Lines of the table that stand below the story.
    drawn: usize,
    drawn_at: Option<Instant>,
    latest: Vec<GroupView>,
}

impl View {
    /// A view.
    pub fn new(manner: Manner) -> Self {
        Self { manner, drawn: 0, drawn_at: None, latest: Vec::new() }
    }

    /// Tells a line.
    pub fn line(&mut self, line: &Line) {
        let text = format!("{:>8.3}s  {}", line.at.as_secs_f64(), line.text);
        match self.manner {
            Manner::Plain => return write_out(&format!("{text}\n")),
            Manner::Json => return write_out(&format!("{}\n", document(line))),
            Manner::Terminal => {}
        }
        let colour = match line.level {
            LineLevel::Good => "32",
            LineLevel::Info => "0",
            LineLevel::Warning => "33",
        };
        let table = self.table();
        let mut out = self.erased();
        let _ = write!(out, "\x1b[{colour}m{}\x1b[0m\n{table}", clip(&text, columns()));
        self.drawn = table.lines().count();
        write_out(&out);
    }

    /// Shows how the groups stand.
    pub fn groups(&mut self, groups: &BTreeMap<String, GroupView>) {
        if self.manner != Manner::Terminal {
            return;
        }
        let latest: Vec<_> = groups.values().cloned().collect();
        let early = self.drawn_at.is_some_and(|at| at.elapsed() < FRAME);
        let settled = latest.iter().all(|group| group.converged);
        if latest == self.latest || (early && !settled) {
            return;
        }
        self.latest = latest;
        let table = self.table();
        let out = self.erased() + &table;
        self.drawn = table.lines().count();
        self.drawn_at = Some(Instant::now());
        write_out(&out);
    }

    /// Leaves the last table as it is; what follows comes below it.
    pub fn end(&mut self) {
        self.drawn = 0;
        self.latest.clear();
    }

    /// Moves to where the table began and clears from there.
    fn erased(&self) -> String {
        match self.drawn {
            0 => String::new(),
            lines => format!("\x1b[{lines}A\r\x1b[J"),
        }
    }

    fn table(&self) -> String {
        if self.latest.is_empty() {
            return String::new();
        }
        let name = self.latest.iter().map(|group| group.id.len()).max().unwrap_or(0).max(5);
        let mut out = format!(
            "\x1b[1m{:<name$}  {:>6} {:>5} {:>7}  STATE\x1b[0m\n",
            "GROUP", "WANTED", "ALIVE", "HEALTHY"
        );
        for group in self.latest.iter().take(MAX_ROWS) {
            let healthy = group.healthy().map_or_else(|| "-".to_owned(), |count| count.to_string());
            let row = format!(
                "{:<name$}  {:>6} {:>5} {healthy:>7}  {}",
                group.id,
                group.wanted,
                group.alive(),
                state(group)
            );
            let _ = writeln!(out, "{}", clip(&row, columns()));
        }
        if self.latest.len() > MAX_ROWS {
            let _ = writeln!(out, "and {} more groups", self.latest.len() - MAX_ROWS);
        }
        out
    }
}

fn document(line: &Line) -> serde_json::Value {
    let level = match line.level {
        LineLevel::Good => "good",
        LineLevel::Info => "info",
        LineLevel::Warning => "warning",
    };
    let at = u64::try_from(line.at.as_millis()).unwrap_or(u64::MAX);
    serde_json::json!({"at_ms": at, "level": level, "text": line.text})
}

fn state(group: &GroupView) -> String {
    if let Some(reason) = group.blocked.first() {
        return format!("waits: {reason}");
    }
    match (group.converged, group.updating, group.coming) {
        (true, ..) => "converged".to_owned(),
        (_, true, _) => "updating".to_owned(),
        (_, _, 0) => "working".to_owned(),
        (_, _, coming) => format!("making {coming}"),
    }
}

fn clip(text: &str, columns: usize) -> String {
    if text.chars().count() <= columns {
        return text.to_owned();
    }
    text.chars().take(columns.saturating_sub(1)).chain(['…']).collect()
}

fn columns() -> usize {
    let size = rustix::termios::tcgetwinsize(std::io::stdout());
    size.map_or(USUAL_COLUMNS, |size| usize::from(size.ws_col)).max(20)
}

/// A reader that is gone is no reason to stop healing.
fn write_out(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes());
    let _ = out.flush();
}

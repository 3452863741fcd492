//! The drawing of a history: a lane a process, a bar an operation, the witness in colour.
//!
//! The horizontal axis counts events, not time: what matters is which bar ends before which begins, and bars of very
//! different length would hide that. Times are in the text of each bar.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::Failure;
use crate::history::{Op, Operation, Outcome, Seen};

/// The most bars on a page. What is near the conflict is drawn.
const MAX_BARS: usize = 60;
/// Pixels from one event to the next: wide enough for most texts.
const EVENT_WIDTH: usize = 90;
/// Pixels from one lane to the next.
const LANE_HEIGHT: usize = 44;
/// Pixels for the names of lanes.
const LEFT: usize = 90;

const STYLE: &str = "body{font:14px sans-serif;margin:24px;color:#222}\
.scroll{overflow-x:auto}text{font:11px monospace}.lane{stroke:#ddd}\
rect{fill:#e4e4e4;stroke:#999;rx:3}.witness{fill:#ffd9a0;stroke:#c77700}\
.conflict{fill:#f5a3a3;stroke:#b00000;stroke-width:2}.unknown{stroke-dasharray:5 3}.failed{fill:#fff}";

struct Bar<'a, O: Op> {
    operation: &'a Operation<O>,
    class: &'static str,
}

pub(super) fn page<O: Op>(failure: &Failure<'_, O>) -> String {
    let operations = failure.history.operations();
    let bars = bars(failure, &operations);
    let mut page = String::new();
    let summary = escape(&failure.summary());
    // Writing to a string does not fail.
    _ = writeln!(page, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">");
    _ = writeln!(page, "<title>{} of seed {}</title>", escape(failure.model), failure.seed);
    _ = writeln!(page, "<style>{STYLE}</style>\n</head>\n<body>\n<p>{summary}</p>");
    if let Some(start) = failure.witness().and_then(|witness| witness.start.as_ref()) {
        _ = writeln!(
            page,
            "<p>Before the coloured operations only this state was possible: <code>{}</code></p>",
            escape(start)
        );
    }
    _ = writeln!(
        page,
        "<p>{} of {} operations. Red: the reply that cannot be explained. Orange: what it contradicts. \
         Dashed: outcome unknown. White: failed. Bars are placed by the order of events, not by time.</p>",
        bars.len(),
        operations.len()
    );
    draw(&mut page, failure, &bars);
    page.push_str("</body>\n</html>\n");
    page
}

/// The witness, and around it as many other operations as there is room for.
fn bars<'a, O: Op>(failure: &Failure<'_, O>, operations: &'a [Operation<O>]) -> Vec<Bar<'a, O>> {
    let witness = failure.witness();
    let class = |index: usize| match witness {
        Some(witness) if witness.conflict == index => "conflict",
        Some(witness) if witness.operations.contains(&index) => "witness",
        _ => "other",
    };
    let centre = witness.map_or(0, |witness| witness.conflict);
    let mut chosen: Vec<usize> = (0..operations.len()).collect();
    chosen.sort_by_key(|index| (class(*index) == "other", index.abs_diff(centre)));
    chosen.truncate(MAX_BARS);
    chosen.sort_unstable();
    chosen
        .into_iter()
        .map(|index| Bar { operation: &operations[index], class: class(index) })
        .collect()
}

fn draw<O: Op>(page: &mut String, failure: &Failure<'_, O>, bars: &[Bar<'_, O>]) {
    let mut columns: BTreeMap<usize, usize> = bars
        .iter()
        .flat_map(|bar| std::iter::once(bar.operation.call).chain(shown_end(bar.operation)))
        .map(|position| (position, 0))
        .collect();
    columns.values_mut().zip(0..).for_each(|(column, number)| *column = number);
    let mut lanes: BTreeMap<u64, usize> =
        bars.iter().map(|bar| (bar.operation.process, 0)).collect();
    lanes.values_mut().zip(0..).for_each(|(lane, number)| *lane = number);

    let width = LEFT + (columns.len() + 1) * EVENT_WIDTH;
    let height = lanes.len() * LANE_HEIGHT + 10;
    _ = writeln!(
        page,
        "<div class=\"scroll\"><svg width=\"{width}\" height=\"{height}\" xmlns=\"http://www.w3.org/2000/svg\">"
    );
    for (process, lane) in &lanes {
        let y = lane * LANE_HEIGHT + LANE_HEIGHT / 2 + 5;
        _ = writeln!(
            page,
            "<line class=\"lane\" x1=\"{LEFT}\" x2=\"{width}\" y1=\"{y}\" y2=\"{y}\"/><text x=\"4\" y=\"{y}\">process {process}</text>"
        );
    }
    for bar in bars {
        let x = |position: &usize| {
            LEFT + columns.get(position).copied().unwrap_or(columns.len()) * EVENT_WIDTH
        };
        let from = x(&bar.operation.call);
        let to = shown_end(bar.operation).map_or(width - 10, |end| x(&end));
        let y = lanes.get(&bar.operation.process).map_or(0, |lane| lane * LANE_HEIGHT + 9);
        let (class, text, title) =
            (bar.class, escape(&label(bar.operation)), escape(&times(failure, bar.operation)));
        let outcome = match bar.operation.outcome {
            Outcome::Ok(_) => "ok",
            Outcome::Failed => "failed",
            Outcome::Unknown(_) => "unknown",
        };
        let bar_width = to.saturating_sub(from).max(8);
        _ = writeln!(
            page,
            "<g><title>{text} {title}</title><rect class=\"{class} {outcome}\" x=\"{from}\" y=\"{y}\" width=\"{bar_width}\" height=\"34\"/>\
             <text x=\"{}\" y=\"{}\">{}</text><text x=\"{}\" y=\"{}\">{}</text></g>",
            from + 4,
            y + 14,
            escape(&format!("{:?}", bar.operation.op)),
            from + 4,
            y + 28,
            escape(&result(bar.operation)),
        );
    }
    page.push_str("</svg></div>\n");
}

/// Where the bar ends; an unknown outcome stays open to the right edge.
fn shown_end<O: Op>(operation: &Operation<O>) -> Option<usize> {
    operation.end.filter(|_| !matches!(operation.outcome, Outcome::Unknown(_)))
}

fn label<O: Op>(operation: &Operation<O>) -> String {
    format!("{:?} {}", operation.op, result(operation))
}

fn result<O: Op>(operation: &Operation<O>) -> String {
    let seen = |seen: &Seen<O::Reply>| {
        let part = |name: &str, value: Option<u64>| {
            value.map_or_else(String::new, |value| format!(" {name} {value}"))
        };
        let marks = part("revision", seen.revision) + &part("fence", seen.fence);
        seen.reply.as_ref().map_or_else(String::new, |reply| format!("{reply:?}")) + &marks
    };
    match &operation.outcome {
        Outcome::Ok(told) => format!("→ {}", seen(told)),
        Outcome::Failed => "failed".to_owned(),
        Outcome::Unknown(told) => format!("unknown{}", seen(told)),
    }
}

fn times<O: Op>(failure: &Failure<'_, O>, operation: &Operation<O>) -> String {
    let events = failure.history.events();
    let at = |position: usize| events.get(position).map_or(0, |event| event.t);
    let end = operation.end.map_or_else(|| "open".to_owned(), |end| format!("{} µs", at(end)));
    format!("({} µs to {end})", at(operation.call))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

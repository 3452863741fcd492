//! Tests of telemetry: figures, their page, the server.

mod figures;
mod server;

use super::Telemetry;
use crate::config::{Metric, MetricKind};
use crate::log::Figures;

fn metric(parts: [&str; 3], kind: MetricKind) -> Metric {
    let [namespace, subsystem, name] = parts.map(str::to_owned);
    Metric { namespace, subsystem, name, help: "a metric".to_owned(), kind }
}

fn telemetry(metrics: &[Metric]) -> Telemetry {
    Telemetry::new(metrics, Figures::default())
}

/// The lines of the page that begin with this name.
fn lines(page: &str, name: &str) -> Vec<String> {
    page.lines().filter(|line| line.starts_with(name)).map(str::to_owned).collect()
}

//! Telemetry: figures about the supervisor and what its users put in, as Prometheus reads them, and
//! the status of all jobs, over HTTP.
//!
//! The registry is our own: four kinds of metric with at most two labels. The crates `metrics` and
//! `metrics-exporter-prometheus` were read for it; they would keep each observation of a histogram
//! until an upkeep task runs, forget nothing after a reload, and need a recorder that is global to
//! the process, which two supervisors in one test are not.
//!
//! Every name, label and text is ContainerPilot's where it has one. Sources of errors are texts there
//! and give a new series for each; here the text is folded to what stands before its first colon, and
//! there are never more than [`SERIES`] series of one name.
//!
//! Start reading at [`Telemetry`]; `metric.rs` has the four kinds, `server.rs` the HTTP side.

mod expose;
mod metric;
mod process;
mod server;
mod status;
mod window;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::config;
use crate::event::{Code, Event};
use crate::log::Figures;
use expose::{Family, Page};
use metric::Registered;

pub use server::{ListenError, StatusBody, listen, serve};
pub use status::{JobStatus, ServiceStatus, Status, status_json};

/// Most series of one name: more than a file of a few hundred jobs makes, and some hundred kilobytes.
/// What comes later is counted under `other`.
pub const SERIES: usize = 2000;
const OTHER: &str = "other";

/// Why a value was not taken.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetricError {
    /// It is no number.
    #[error("metric produced non-numeric value: {value}: {reason}")]
    NotNumeric {
        /// The value.
        value: String,
        /// Why not, in Go's words.
        reason: String,
    },
    /// A counter only grows.
    #[error(
        "metric {name} is a counter and was not changed by {value}: give a finite number that is not negative"
    )]
    NotCounted {
        /// Name of the metric.
        name: String,
        /// The value.
        value: String,
    },
    /// Nobody configured such a metric. ContainerPilot says nothing of it.
    #[error("there is no metric {key} in the configuration")]
    Unknown {
        /// What was asked for.
        key: String,
    },
}

/// All figures.
#[derive(Debug)]
pub struct Telemetry {
    counts: Mutex<Counts>,
    log: Figures,
}

#[derive(Debug, Default)]
struct Counts {
    events: Series,
    control: Series,
    instances: Series,
    metrics: Vec<Registered>,
}

/// Values by the texts of up to two labels.
type Series = BTreeMap<[String; 2], f64>;

impl Telemetry {
    /// Nothing counted yet. `log` are the figures of the log.
    pub fn new(metrics: &[config::Metric], log: Figures) -> Self {
        let telemetry = Self { counts: Mutex::default(), log };
        telemetry.reconfigure(metrics);
        telemetry
    }

    /// Counts an event, except values for metrics.
    pub fn event(&self, event: &Event) {
        let source = match event.code {
            Code::Metric => return,
            Code::Error => event.source.split(':').next().unwrap_or_default(),
            _ => &event.source,
        };
        *entry(&mut self.counts().events, [event.code.name(), source]) += 1.0;
    }

    /// Counts a request to the control socket.
    pub fn control_request(&self, code: u16, path: &str) {
        *entry(&mut self.counts().control, [&code.to_string(), path]) += 1.0;
    }

    /// How many instances a watch sees.
    pub fn watch_instances(&self, service: &str, instances: usize) {
        *entry(&mut self.counts().instances, [service, ""]) = instances as f64;
    }

    /// A value for a metric of the user's. `key` is its name with or without its empty parts: a
    /// metric with the name `zed` alone is `zed` and `__zed`.
    pub fn metric(&self, key: &str, value: &str) -> Result<(), MetricError> {
        self.metric_at(key, value, Instant::now())
    }

    fn metric_at(&self, key: &str, value: &str, now: Instant) -> Result<(), MetricError> {
        let counts = &mut *self.counts();
        let mut matching =
            counts.metrics.iter_mut().filter(|metric| metric.answers_to(key)).peekable();
        if matching.peek().is_none() {
            return Err(MetricError::Unknown { key: key.to_owned() });
        }
        let number = metric::number(value)?;
        matching.try_for_each(|metric| metric.take(number, now))
    }

    /// Other metrics from now on. Every configured one begins at zero; one that is gone stays in the
    /// page with its last value.
    pub fn reconfigure(&self, metrics: &[config::Metric]) {
        let now = Instant::now();
        let counts = &mut *self.counts();
        let mut registered: Vec<Registered> = Vec::new();
        for metric in metrics.iter().map(|metric| Registered::new(metric, now)) {
            if registered.iter().all(|other| other.name() != metric.name()) {
                registered.push(metric);
            }
        }
        for mut old in std::mem::take(&mut counts.metrics) {
            if registered.iter().all(|metric| metric.name() != old.name()) {
                old.retire();
                registered.push(old);
            }
        }
        counts.metrics = registered;
    }

    /// The page, in version 0.0.4 of Prometheus' text form.
    pub fn render(&self) -> String {
        self.render_at(Instant::now())
    }

    fn render_at(&self, now: Instant) -> String {
        let mut page = Page::default();
        {
            let counts = self.counts();
            for family in BUILT_IN {
                page.series(&family.about, family.labels, (family.of)(&counts));
            }
            for metric in &counts.metrics {
                metric.expose(&mut page, now);
            }
        }
        self.log_figures(&mut page);
        process::expose(&mut page);
        page.text()
    }

    fn log_figures(&self, page: &mut Page) {
        let figures = [
            (
                "regrow_log_stalled_seconds_total",
                "Time in which the log waited for its reader or its disk, and jobs that write with it.",
                self.log.stalled().as_secs_f64(),
            ),
            (
                "regrow_log_dropped_records_total",
                "Records of the supervisor that were not written because too many waited.",
                self.log.dropped() as f64,
            ),
            (
                "regrow_log_lost_records_total",
                "Records that were not written because nobody reads the log.",
                self.log.lost() as f64,
            ),
        ];
        for (name, help, value) in figures {
            page.value(&Family { name, help, kind: "counter" }, value);
        }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A built-in metric.
struct BuiltIn {
    about: Family<'static>,
    /// Names of its labels; an empty one is not there.
    labels: [&'static str; 2],
    of: fn(&Counts) -> &Series,
}

const BUILT_IN: &[BuiltIn] = &[
    BuiltIn {
        about: Family {
            name: "containerpilot_control_http_requests",
            help: "count of requests to control socket, partitioned by path and HTTP code",
            kind: "counter",
        },
        labels: ["code", "path"],
        of: |counts| &counts.control,
    },
    BuiltIn {
        about: Family {
            name: "containerpilot_events",
            help: "count of events, partitioned by type and source",
            kind: "counter",
        },
        labels: ["code", "source"],
        of: |counts| &counts.events,
    },
    BuiltIn {
        about: Family {
            name: "containerpilot_watch_instances",
            help: "number of instances found for each watch, partitioned by service",
            kind: "gauge",
        },
        labels: ["service", ""],
        of: |counts| &counts.instances,
    },
];

/// The value of these labels. Where there are too many series it is that of `other`.
fn entry<'a>(series: &'a mut Series, labels: [&str; 2]) -> &'a mut f64 {
    let mut key = labels.map(str::to_owned);
    if series.len() >= SERIES && !series.contains_key(&key) {
        let last = usize::from(!key[1].is_empty());
        OTHER.clone_into(&mut key[last]);
    }
    series.entry(key).or_default()
}

//! A kit of checks for plugins of any language (P4).
//!
//! [`run`] asks a plugin at any endpoint and reports what it does differently from the protocol.
//! Checks change nothing unless [`Options::provision`] is given; then an instance lives its whole
//! life. A check that meets a plugin without the interface in question is not applicable, which is
//! not the same as passed.

mod checks;
mod raw;
mod site;

use std::fmt;
use std::time::{Duration, Instant};

use regrow_codec::Any;
use serde::Serialize;

use crate::discovery::Endpoint;
use checks::ROWS;
use site::Site;

/// How to check.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long one answer may take.
    pub patience: Duration,
    /// Connections to open at once.
    pub connections: usize,
    /// Size of the body that must be refused or answered; 0 leaves that check out.
    pub oversize_bytes: usize,
    /// Object of the instance, flavor and L4 interfaces to check; the first one if absent.
    pub object: Option<String>,
    /// Settings that the flavor accepts.
    pub flavor_properties: Any,
    /// Settings that the instance plugin accepts. Only with these are instances made and destroyed.
    pub provision: Option<Any>,
    /// Only the checks whose id begins with one of these; all if empty.
    pub only: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            patience: Duration::from_secs(15),
            connections: 1_000,
            oversize_bytes: (64 << 20) + 1,
            object: None,
            flavor_properties: Any::from(serde_json::json!({})),
            provision: None,
            only: Vec::new(),
        }
    }
}

/// How much a check weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Level {
    /// Without it the plugin does not work with InfraKit or regrow.
    Must,
    /// Without it the plugin works, but worse.
    Should,
}

/// What came of a check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Outcome {
    /// The plugin does it right.
    Pass,
    /// It does not; this is how.
    Fail(String),
    /// The question does not arise; this is why.
    NotApplicable(String),
}

/// One check and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Stable name.
    pub id: &'static str,
    /// What a plugin that passes does.
    pub title: &'static str,
    /// How much it weighs.
    pub level: Level,
    /// What came of it.
    pub outcome: Outcome,
    /// How long it took.
    pub took: Duration,
}

/// All checks of one plugin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Where the plugin was asked.
    pub endpoint: String,
    /// The checks, in the order of the kit.
    pub checks: Vec<Check>,
}

/// How many checks came to what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// The plugin does it right.
    pub passed: usize,
    /// Failed, of weight [`Level::Must`].
    pub failed: usize,
    /// Failed, of weight [`Level::Should`].
    pub warnings: usize,
    /// The question does not arise.
    pub not_applicable: usize,
}

/// Name, title and weight of every check, in order.
pub fn catalogue() -> impl Iterator<Item = (&'static str, &'static str, Level)> {
    ROWS.iter().flat_map(|rows| rows.iter()).map(|row| (row.id, row.title, row.level))
}

/// The first of the given beginnings that no check's name has: most likely misspelt.
pub fn matches_nothing(only: &[String]) -> Option<&str> {
    let matches = |start: &&String| catalogue().any(|(id, ..)| id.starts_with(start.as_str()));
    only.iter().find(|start| !matches(start)).map(String::as_str)
}

/// Checks the plugin at an endpoint.
pub async fn run(endpoint: Endpoint, options: Options) -> Report {
    let name = endpoint.to_string();
    let site = Site::meet(endpoint, options).await;
    let mut checks = Vec::new();
    let wanted = |id: &str| {
        let only = &site.options.only;
        only.is_empty() || only.iter().any(|start| id.starts_with(start.as_str()))
    };
    for row in ROWS.iter().flat_map(|rows| rows.iter()).filter(|row| wanted(row.id)) {
        let start = Instant::now();
        let limit = site.options.patience * row.patience;
        let outcome = match tokio::time::timeout(limit, (row.run)(&site)).await {
            Ok(Ok(())) => Outcome::Pass,
            Ok(Err(Miss::Fail(why))) => Outcome::Fail(why),
            Ok(Err(Miss::NotApplicable(why))) => Outcome::NotApplicable(why),
            Err(_) => {
                Outcome::Fail(format!("no answer within {}", regrow_ids::GoDuration::new(limit)))
            }
        };
        let (id, title, level) = (row.id, row.title, row.level);
        checks.push(Check { id, title, level, outcome, took: start.elapsed() });
    }
    Report { endpoint: name, checks }
}

impl Report {
    /// True when no check of weight [`Level::Must`] failed.
    pub fn passed(&self) -> bool {
        !self.failures().any(|check| check.level == Level::Must)
    }

    /// The checks that failed, of any weight.
    pub fn failures(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(|check| matches!(check.outcome, Outcome::Fail(_)))
    }

    /// What came of one check.
    pub fn outcome(&self, id: &str) -> Option<&Outcome> {
        self.checks.iter().find(|check| check.id == id).map(|check| &check.outcome)
    }

    /// How many checks came to what.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for check in &self.checks {
            let count = match (&check.outcome, check.level) {
                (Outcome::Pass, _) => &mut counts.passed,
                (Outcome::Fail(_), Level::Must) => &mut counts.failed,
                (Outcome::Fail(_), Level::Should) => &mut counts.warnings,
                (Outcome::NotApplicable(_), _) => &mut counts.not_applicable,
            };
            *count += 1;
        }
        counts
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for check in &self.checks {
            let (mark, why) = match (&check.outcome, check.level) {
                (Outcome::Pass, _) => ("pass", ""),
                (Outcome::Fail(why), Level::Must) => ("FAIL", why.as_str()),
                (Outcome::Fail(why), Level::Should) => ("warn", why.as_str()),
                (Outcome::NotApplicable(why), _) => ("-", why.as_str()),
            };
            write!(f, "{mark:4}  {:28} {}", check.id, check.title)?;
            if !why.is_empty() {
                write!(f, ": {why}")?;
            }
            writeln!(f)?;
        }
        let Counts { passed, failed, warnings, not_applicable } = self.counts();
        let s = if warnings == 1 { "" } else { "s" };
        write!(
            f,
            "{}: {passed} passed, {failed} failed, {warnings} warning{s}, {not_applicable} not applicable",
            self.endpoint
        )
    }
}

/// A check that was not passed.
#[derive(Debug)]
enum Miss {
    Fail(String),
    NotApplicable(String),
}

type Verdict<T = ()> = Result<T, Miss>;

/// Fails a check with a text.
fn fail<T>(why: impl Into<String>) -> Verdict<T> {
    Err(Miss::Fail(why.into()))
}

/// Ends a check whose question does not arise.
fn not_applicable<T>(why: impl Into<String>) -> Verdict<T> {
    Err(Miss::NotApplicable(why.into()))
}

/// Fails a check unless something holds.
fn ensure(holds: bool, why: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { fail(why()) }
}

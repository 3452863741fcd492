//! What every backend must do, as named checks that run against any of them.
//!
//! Each check works under its own keys, so the service may be shared and in use. Where a backend
//! says in its [`Capabilities`] that it differs, the check asks for what it says.

mod bad;
mod bench;
mod data;
mod election;
mod lease;
mod txn;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{StreamExt, stream};
use regrow_ids::Revision;

use crate::coordinator::{Capabilities, Coordinator};
use bench::{Bench, Checked};

/// Time for one check. Generous: leases must end in it on a slow machine.
const LIMIT: Duration = Duration::from_secs(180);

/// Checks that run at the same time.
const AT_ONCE: usize = 8;

/// The service that is checked.
pub struct Subject<'s> {
    /// Makes one more client of it.
    pub connect: &'s (dyn Fn() -> Arc<dyn Coordinator> + Sync),
    /// Makes it forget the changes up to this revision, for watches from the past. `None` where it
    /// cannot be told to; the check is then reported as not run.
    pub forget: Option<&'s (dyn Fn(Revision) -> BoxFuture<'s, ()> + Sync)>,
}

/// What the checks found.
#[derive(Debug, Default)]
pub struct Report {
    /// Names of the checks that passed.
    pub passed: Vec<&'static str>,
    /// Names of those that failed, and why.
    pub failed: Vec<(&'static str, String)>,
    /// Names of those that were not run, and why.
    pub not_run: Vec<(&'static str, &'static str)>,
}

/// A named check.
struct Check {
    name: &'static str,
    run: fn(Bench) -> BoxFuture<'static, Checked>,
}

/// Makes the table of a module's checks: each is an async function, and named like it.
macro_rules! checks {
    ($($name:ident),+ $(,)?) => {
        pub(super) const CHECKS: &[crate::conformance::Check] = &[$(crate::conformance::Check {
            name: stringify!($name),
            run: |bench| Box::pin($name(bench)),
        }),+];
    };
}
use checks;

fn all() -> impl Iterator<Item = &'static Check> {
    [data::CHECKS, txn::CHECKS, bad::CHECKS, watch::CHECKS, lease::CHECKS, election::CHECKS]
        .into_iter()
        .flatten()
}

/// Runs all checks against a service.
pub async fn run(subject: &Subject<'_>) -> Report {
    let mut report = Report::default();
    let results: Vec<_> = stream::iter(all())
        .map(|check| async {
            let bench = Bench::new((subject.connect)(), (subject.connect)(), check.name);
            (check.name, within((check.run)(bench)).await)
        })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    for (name, result) in results {
        report.add(name, result);
    }
    // Alone and last: what it makes the service forget, another check could have been about.
    match subject.forget {
        Some(forget) => {
            let name = "what_is_forgotten_is_compacted";
            let bench = Bench::new((subject.connect)(), (subject.connect)(), name);
            report.add(name, within(watch::what_is_forgotten_is_compacted(bench, forget)).await);
        }
        None => {
            let reason = "this service cannot be told to forget";
            report.not_run.push(("what_is_forgotten_is_compacted", reason));
        }
    }
    report
}

async fn within(check: impl Future<Output = Checked>) -> Checked {
    let late = || Err(bench::Failed(format!("did not end within {LIMIT:?}")));
    tokio::time::timeout(LIMIT, check).await.unwrap_or_else(|_| late())
}

impl Report {
    fn add(&mut self, name: &'static str, result: Checked) {
        match result {
            Ok(()) => self.passed.push(name),
            Err(bench::Failed(reason)) => self.failed.push((name, reason)),
        }
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (passed, failed) = (self.passed.len(), self.failed.len());
        writeln!(f, "{passed} checks passed, {failed} failed, {} not run", self.not_run.len())?;
        for (name, reason) in &self.failed {
            writeln!(f, "failed: {name}: {reason}")?;
        }
        for (name, reason) in &self.not_run {
            writeln!(f, "not run: {name}: {reason}")?;
        }
        Ok(())
    }
}

/// Whether a backend shows every change.
fn shows_every_change(capabilities: &Capabilities) -> bool {
    capabilities.events == crate::Events::Every
}

//! What holds for every configuration and every history.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::draw::{Op, configs, op};
use super::world::{STOPS, World};
use crate::config::{Config, Job, When};
use crate::machine::Input;

/// The job runs when another stops.
pub fn is_hook(job: &Job) -> bool {
    match &job.when {
        When::Events { triggers, .. } => triggers.iter().any(|t| STOPS.contains(&t.code)),
        When::Startup | When::Interval(_) | When::Never => false,
    }
}

/// Histories of the random test, times the factor in `REGROW_SOAK` for a longer run.
fn runs() -> u32 {
    let factor = std::env::var("REGROW_SOAK").ok().and_then(|text| text.parse().ok());
    300 * factor.unwrap_or(1)
}

/// How long the end may take: each job that others wait for adds its own.
fn limit(config: &Config) -> Duration {
    let hooks = config.jobs.iter().filter(|job| is_hook(job)).count();
    let chain = u32::try_from(hooks).unwrap_or(u32::MAX) + 1;
    (config.stop_timeout + Duration::from_secs(1)) * chain
}

fn history(config: &Arc<Config>, other: &Arc<Config>, ops: &[Op], seed: u64) -> World {
    let mut world = World::new(Arc::clone(config), seed);
    world.hooks(config);
    world.hooks(other);
    world.give(Input::Begin);
    for op in ops {
        world.act(op, other);
    }
    world
}

proptest! {
    #![proptest_config(ProptestConfig { cases: runs(), max_shrink_iters: 4000, ..ProptestConfig::default() })]

    /// No panic, no impossible cell, never two processes of a job, nothing after the exit, nothing
    /// announced that was not fit, nothing told to end while the catalog shows it, nothing under a
    /// lost lock, the same from what was kept, no double start and no lost end after a crash
    /// (`World` checks all of these), and in the end it exits.
    #[test]
    fn whatever_happens_it_exits_in_time(
        config in configs(),
        other in configs(),
        ops in prop::collection::vec(op(), 0..80),
        obeys in any::<bool>(),
        catalog in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let mut world = history(&config, &other, &ops, seed);
        world.obeys = obeys;
        let reloaded = ops.iter().any(|op| matches!(op, Op::Reload(_)));
        let limit = if reloaded { limit(&config) + limit(&other) } else { limit(&config) };
        world.finish(limit, catalog);
    }
}

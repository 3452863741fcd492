//! What is no fault and makes no sense all the same: names that are there twice, events that never
//! come, jobs that wait for each other.

use std::collections::{BTreeMap, BTreeSet};

use super::super::job::{Job, Trigger, When};
use super::super::model::Config;
use super::Context;
use super::locks::SOURCE;
use crate::event::Code;

/// Warns of it.
pub(super) fn look(context: &mut Context<'_>, config: &Config) {
    twice(context, "jobs", config.jobs.iter().map(|job| &*job.name));
    twice(context, "watches", config.watches.iter().map(|watch| &*watch.name));
    if context.alone && !config.watches.is_empty() {
        context.warn("watches see nothing: 'discovery' is 'none'", None);
    }
    unknown_sources(context, config);
    circles(context, config);
    if config.jobs.iter().filter(|job| job.main).count() > 1 {
        context.warn("several jobs are 'main': the first of them that ends is", None);
    }
}

fn twice<'a>(context: &mut Context<'_>, what: &str, names: impl Iterator<Item = &'a str>) {
    let mut counts = BTreeMap::new();
    names.for_each(|name| *counts.entry(name).or_insert(0) += 1);
    for (name, count) in counts {
        if count > 1 {
            let text = format!("{count} {what} are named '{name}': their events look the same");
            context.warn(text, None);
        }
    }
}

fn triggers(job: &Job) -> &[Trigger] {
    match &job.when {
        When::Events { triggers, .. } => triggers,
        _ => &[],
    }
}

/// The name of the job whose event this is, if it is one's.
fn job_of<'a>(config: &Config, source: &'a str) -> Option<&'a str> {
    let name = source.strip_prefix("check.").filter(|name| has_job(config, name));
    name.or_else(|| has_job(config, source).then_some(source))
}

fn has_job(config: &Config, name: &str) -> bool {
    config.jobs.iter().any(|job| &*job.name == name)
}

/// The source exists and is no job.
fn is_known(config: &Config, source: &str) -> bool {
    let watched = |name: &str| config.watches.iter().any(|watch| &*watch.name == name);
    matches!(source, "global" | "SIGHUP" | "SIGUSR2")
        || source.strip_prefix("watch.").is_some_and(watched)
        || source.starts_with(SOURCE)
}

fn unknown_sources(context: &mut Context<'_>, config: &Config) {
    for job in &config.jobs {
        for trigger in triggers(job) {
            let source = &*trigger.source;
            // The source of an error is its text, which nobody can know.
            let known = source.is_empty()
                || trigger.code == Code::Error
                || is_known(config, source)
                || job_of(config, source).is_some();
            if !known {
                let text = format!(
                    "job[{}].when.source: no job, watch, lock or signal is called '{source}'{}",
                    job.name,
                    hint(config, source)
                );
                context.warn(text, None);
            }
        }
    }
}

/// A watch or lock of that name, where only the prefix is missing.
fn hint(config: &Config, source: &str) -> String {
    if config.watches.iter().any(|watch| &*watch.name == source) {
        return format!("; the watch is 'watch.{source}'");
    }
    if config.locks.iter().any(|lock| &*lock.name == source) {
        return format!("; the lock is '{SOURCE}{source}'");
    }
    String::new()
}

/// Finds jobs that can start only after each other. Grows the set of those that can start until it
/// grows no more.
fn circles(context: &mut Context<'_>, config: &Config) {
    let mut able: BTreeSet<&str> = BTreeSet::new();
    loop {
        let before = able.len();
        for job in &config.jobs {
            if can_start(config, &able, job) {
                able.insert(&job.name);
            }
        }
        if able.len() == before {
            break;
        }
    }
    let waits = |job: &&Job| {
        let known = |trigger: &Trigger| job_of(config, &trigger.source).is_some();
        !able.contains(&*job.name) && triggers(job).iter().any(known)
    };
    let names: Vec<&str> = config.jobs.iter().filter(waits).map(|job| &*job.name).collect();
    if !names.is_empty() {
        let names = names.join("', '");
        context.warn(format!("never started, what they wait for does not start: '{names}'"), None);
    }
}

fn can_start(config: &Config, able: &BTreeSet<&str>, job: &Job) -> bool {
    let When::Events { triggers, all, .. } = &job.when else { return job.when != When::Never };
    let comes = |trigger: &Trigger| match job_of(config, &trigger.source) {
        // A job that never ran ends all the same, at shutdown or when it has waited too long.
        Some(_) if matches!(trigger.code, Code::Stopping | Code::Stopped | Code::TimerExpired) => {
            true
        }
        Some(name) => able.contains(name),
        None => !trigger.source.is_empty(),
    };
    if *all { triggers.iter().all(comes) } else { triggers.iter().any(comes) }
}

//! What is no fault and makes no sense all the same: names that are there twice, events that never
//! come, jobs that wait for each other.

use std::collections::{BTreeMap, BTreeSet};

use super::super::error::Fault;
use super::super::job::{Job, Trigger, When};
use super::super::model::Config;
use super::Context;
use super::locks::SOURCE;
use crate::event::Code;

/// Warns of it.
///
/// # Errors
/// Jobs can start only after each other.
pub(super) fn look(context: &mut Context<'_>, config: &Config) -> Result<(), Fault> {
    twice(context, "jobs", config.jobs.iter().map(|job| &*job.name));
    twice(context, "watches", config.watches.iter().map(|watch| &*watch.name));
    if context.alone && !config.watches.is_empty() {
        context.warn("watches see nothing: 'discovery' is 'none'", None);
    }
    unknown_sources(context, config);
    if config.jobs.iter().filter(|job| job.main).count() > 1 {
        context.warn("several jobs are 'main': the first of them that ends is", None);
    }
    circles(context, config)
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
    for (index, job) in config.jobs.iter().enumerate() {
        let place = context.whens.get(index).copied().flatten();
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
                context.warn(text, place);
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

/// Finds jobs that can never start. Grows the set of those that can until it grows no more.
///
/// Those that wait for each other are a fault: whatever was meant, it is not this. ContainerPilot took
/// such a file, and so do we where it is asked for to keep to that. Those that wait for jobs which
/// never start are warned of, and so are circles with a `timeout` in them, which may be meant to count
/// time only.
fn circles(context: &mut Context<'_>, config: &Config) -> Result<(), Fault> {
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
    let waits = |job: &Job| {
        let known = |trigger: &Trigger| job_of(config, &trigger.source).is_some();
        !able.contains(&*job.name) && triggers(job).iter().any(known)
    };
    let stuck = Stuck { config, able: &able };
    let mut circle = Fault { text: String::new(), places: Vec::new() };
    for (index, job) in config.jobs.iter().enumerate().filter(|(_, job)| waits(job)) {
        let (name, place) = (&job.name, context.whens.get(index).copied().flatten());
        if stuck.waits_for_itself(job) && !config.strict {
            let and = if circle.text.is_empty() { "" } else { ", " };
            circle.text += &format!("{and}'{name}'");
            circle.places.extend(place);
        } else {
            let text = format!("job[{name}].when: it never starts, nor does what it waits for");
            context.warn(text, place);
        }
    }
    match circle.text.is_empty() {
        true => Ok(()),
        false => Err(circle.within("jobs that can start only after each other never do: ")),
    }
}

/// The jobs that cannot start.
struct Stuck<'a> {
    config: &'a Config,
    able: &'a BTreeSet<&'a str>,
}

impl<'a> Stuck<'a> {
    /// Whether a job waits for itself, directly or through others, and none of them ends by waiting.
    fn waits_for_itself(&self, job: &'a Job) -> bool {
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        let mut next = self.before(job);
        while let Some(name) = next.pop() {
            if name == &*job.name {
                return true;
            }
            if seen.insert(name) {
                let named = self.config.jobs.iter().filter(|job| &*job.name == name);
                next.extend(named.flat_map(|job| self.before(job)));
            }
        }
        false
    }

    /// The jobs that cannot start and for whose start this one waits.
    fn before(&self, job: &'a Job) -> Vec<&'a str> {
        if matches!(job.when, When::Events { timeout: Some(_), .. }) {
            return Vec::new();
        }
        let names = triggers(job).iter().filter_map(|it| job_of(self.config, &it.source));
        names.filter(|name| !self.able.contains(name)).collect()
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

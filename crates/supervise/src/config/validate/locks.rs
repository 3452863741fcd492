//! `locks`, and those that jobs name without an entry there.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::super::decode::{Block, list};
use super::super::error::Fault;
use super::super::job::{Job, When};
use super::super::keys;
use super::super::model::{Discovery, Lock, Watch};
use super::super::tree::Place;
use super::health::positive;
use super::{Context, checked};

/// Time until a silent holder has lost a lock, where the file does not say.
const TTL: Duration = Duration::from_secs(15);

/// The least that Consul allows, and the most.
const CONSUL_TTL: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(10)..=Duration::from_secs(86_400);

/// The least that makes sense anywhere: less than a pause of the machine would lose it.
const LEAST_TTL: Duration = Duration::from_secs(1);

/// What the source of a lock's events begins with.
pub(super) const SOURCE: &str = "lock:";

/// Longest name of a lock in bytes: it becomes part of a key of the catalog.
const MAX_NAME: usize = 128;

/// The locks of the file, of the jobs and of the watches, in the order of their names.
pub(super) fn locks(
    context: &mut Context<'_>,
    top: &Block<'_>,
    jobs: &[Job],
    watches: &[Watch],
    discovery: &Discovery,
) -> Result<Vec<Lock>, Fault> {
    let mut locks = declared(top, discovery)?;
    let mut wanted = BTreeMap::new();
    for job in jobs {
        for name in named(job) {
            check_name(name).map_err(|text| {
                Fault::new(format!("job[{}].when.source: {text}", job.name), top.place_of("jobs"))
            })?;
            wanted.insert(name, format!("job[{}] waits for", job.name));
        }
    }
    for watch in watches {
        let Some(name) = watch.lock() else { continue };
        check_name(name).map_err(|text| {
            Fault::new(format!("watch[{}].lock: {text}", watch.name), top.place_of("watches"))
        })?;
        wanted.insert(name, format!("watch[{}] follows", watch.name));
    }
    if let (Discovery::None, Some((name, who))) = (discovery, wanted.iter().next()) {
        let text = format!(
            "{who} lock '{name}', and nobody gives locks: set 'consul', or \
             'discovery' to 'embedded'"
        );
        return Err(Fault::new(text, top.place_of("discovery")));
    }
    for (name, (_, place)) in &locks {
        if !wanted.contains_key(&**name) {
            context.warn(format!("no job or watch waits for lock '{name}'"), *place);
        }
    }
    for name in wanted.into_keys() {
        locks.entry(name.into()).or_insert_with(|| (lock(name, TTL, None), None));
    }
    Ok(locks.into_values().map(|(lock, _)| lock).collect())
}

fn lock(name: &str, ttl: Duration, stop_before: Option<Duration>) -> Lock {
    Lock { name: name.into(), ttl, stop_before: stop_before.unwrap_or(ttl / 3) }
}

/// The locks that start a job.
fn named(job: &Job) -> impl Iterator<Item = &str> {
    let triggers = match &job.when {
        When::Events { triggers, .. } => triggers.as_slice(),
        _ => &[],
    };
    triggers.iter().filter_map(|trigger| trigger.source.strip_prefix(SOURCE))
}

type Placed = BTreeMap<Arc<str>, (Lock, Option<Place>)>;

fn declared(top: &Block<'_>, discovery: &Discovery) -> Result<Placed, Fault> {
    let Some(node) = top.get("locks") else { return Ok(Placed::new()) };
    let fields = checked(|faults| {
        let blocks = super::super::decode::blocks(faults, "", list(node), keys::LOCK);
        let read = |block: Block<'_>| {
            let texts = keys::LOCK.iter().map(|name| block.text(faults, name)).collect();
            (texts, block.place)
        };
        blocks.into_iter().map(read).collect::<Vec<(Vec<String>, _)>>()
    })
    .map_err(|fault| fault.within("locks: "))?;
    let mut locks = Placed::new();
    for (texts, place) in fields {
        let lock = check(&texts, place, discovery)?;
        let name = lock.name.clone();
        if locks.insert(name.clone(), (lock, place)).is_some() {
            return Err(Fault::new(format!("lock[{name}] is there twice"), place));
        }
    }
    Ok(locks)
}

fn check(texts: &[String], place: Option<Place>, discovery: &Discovery) -> Result<Lock, Fault> {
    let text = |index: usize| texts.get(index).map(String::as_str).unwrap_or_default();
    let (name, ttl_text, before_text) = (text(0), text(1), text(2));
    let wrong = |text: String| Fault::new(format!("lock[{name}]{text}"), place);
    check_name(name).map_err(|text| wrong(format!(": {text}")))?;
    let ttl = positive(&format!("lock[{name}].ttl"), ttl_text, TTL, place)?;
    if ttl < LEAST_TTL {
        return Err(wrong(format!(".ttl '{ttl_text}' cannot be less than 1s")));
    }
    if matches!(discovery, Discovery::Consul(_)) && !CONSUL_TTL.contains(&ttl) {
        return Err(wrong(format!(
            ".ttl '{ttl_text}' must be between 10s and 24h: Consul allows no other"
        )));
    }
    let what = format!("lock[{name}].stopBefore");
    let before = positive(&what, before_text, ttl / 3, place)?;
    if before >= ttl {
        return Err(wrong(format!(".stopBefore '{before_text}' must be shorter than its ttl")));
    }
    Ok(lock(name, ttl, Some(before)))
}

fn check_name(name: &str) -> Result<(), String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    if name.is_empty() || name.len() > MAX_NAME || !name.chars().all(fits) {
        return Err(format!(
            "'{name}' cannot be the name of a lock: letters, digits and '-_./', at most {MAX_NAME}"
        ));
    }
    Ok(())
}

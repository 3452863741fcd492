//! `when` and `restarts`: what starts a job, and how often.

use std::time::Duration;

use super::super::decode::{Block, Faults, plain, whole};
use super::super::error::Fault;
use super::super::job::{Restarts, Trigger, When};
use super::super::tree::{Node, Place, Value};
use super::super::{duration, keys};
use super::Context;
use super::health::positive;
use crate::event::Code;

/// What a `when` block says.
pub(super) struct WhenFields<'a> {
    block: Block<'a>,
    interval: String,
    source: String,
    once: String,
    each: String,
    timeout: String,
    any: Vec<Entry>,
    all: Vec<Entry>,
}

/// One of `any` or `all`.
struct Entry {
    source: String,
    once: String,
    each: String,
    place: Option<Place>,
}

impl<'a> WhenFields<'a> {
    pub(super) fn read(faults: &mut Faults, block: Block<'a>) -> Self {
        Self {
            interval: block.text(faults, "interval"),
            source: block.text(faults, "source"),
            once: block.text(faults, "once"),
            each: block.text(faults, "each"),
            timeout: block.text(faults, "timeout"),
            any: entries(faults, &block, "any"),
            all: entries(faults, &block, "all"),
            block,
        }
    }

    pub(super) fn check(self, context: &mut Context<'_>, job: &str) -> Result<When, Fault> {
        let given = [&self.interval, &self.once, &self.each];
        if given.iter().filter(|text| !text.is_empty()).count() > 1 {
            let text =
                format!("job[{job}].when can have only one of 'interval', 'once', or 'each'");
            return Err(Fault::new(text, self.block.place));
        }
        let several = !self.any.is_empty() || !self.all.is_empty();
        let single = !self.source.is_empty() || given.iter().any(|text| !text.is_empty());
        if several && (single || (!self.any.is_empty() && !self.all.is_empty())) {
            let text = format!(
                "job[{job}].when can have only one of 'any', 'all', or 'source' and its fields"
            );
            return Err(Fault::new(text, self.block.place));
        }
        if !self.interval.is_empty() {
            let what = format!("job[{job}].when.interval");
            let place = self.block.place_of("interval");
            return positive(&what, &self.interval, Duration::ZERO, place).map(When::Interval);
        }
        self.events(context, job, several)
    }

    fn events(self, context: &mut Context<'_>, job: &str, several: bool) -> Result<When, Fault> {
        let timeout = self.timeout(context, job)?;
        let (triggers, each) = if several { self.several(job)? } else { self.single(job)? };
        if triggers.is_empty() {
            let text = format!("job[{job}].when names no event: the job never starts");
            context.warn(text, self.block.place);
            if timeout.is_none() {
                return Ok(When::Never);
            }
        } else if triggers.iter().any(|trigger| trigger.source.is_empty()) {
            let text = format!("job[{job}].when has no 'source': the job never starts");
            context.warn(text, self.block.place);
        }
        Ok(When::Events { triggers, all: !self.all.is_empty(), each, timeout })
    }

    fn timeout(&self, context: &mut Context<'_>, job: &str) -> Result<Option<Duration>, Fault> {
        if self.timeout.is_empty() {
            return Ok(None);
        }
        let what = format!("job[{job}].when.timeout");
        let place = self.block.place_of("timeout");
        let length = duration::parse(&self.timeout)
            .map_err(|error| Fault::new(format!("unable to parse {what}: {error}"), place))?;
        let length = context.not_negative(&what, length, place);
        Ok((!length.is_zero()).then_some(length))
    }

    /// The one event of `source`, `once` and `each`, and whether each counts.
    fn single(&self, job: &str) -> Result<(Vec<Trigger>, bool), Fault> {
        let name = if self.once.is_empty() { "each" } else { "once" };
        let text = if self.once.is_empty() { &self.each } else { &self.once };
        let code = code(job, text, self.block.place_of(name))?;
        if is_signal(&self.source) {
            return Ok((vec![trigger(&self.source, Code::Signal)], true));
        }
        let triggers = code.map(|code| trigger(&self.source, code)).into_iter().collect();
        Ok((triggers, !self.each.is_empty()))
    }

    /// The events of `any` or `all`. All of them say `once`, or all of them `each`; signals count
    /// as the latter.
    fn several(&self, job: &str) -> Result<(Vec<Trigger>, bool), Fault> {
        let mut triggers = Vec::new();
        let mut each = None;
        for entry in self.any.iter().chain(&self.all) {
            let fault = |text: &str| Fault::new(format!("job[{job}].when: {text}"), entry.place);
            let signal = is_signal(&entry.source);
            let (text, this) = match (entry.once.is_empty(), entry.each.is_empty()) {
                (false, true) => (&entry.once, signal),
                (true, false) => (&entry.each, true),
                (true, true) if signal => (&entry.each, true),
                _ => return Err(fault("each entry needs one of 'once' or 'each'")),
            };
            if *each.get_or_insert(this) != this {
                return Err(fault("either all entries say 'once' or all say 'each'"));
            }
            let code = code(job, text, entry.place)?;
            let code = if signal { Some(Code::Signal) } else { code };
            triggers.extend(code.map(|code| trigger(&entry.source, code)));
        }
        Ok((triggers, each.unwrap_or(false)))
    }
}

fn entries(faults: &mut Faults, block: &Block<'_>, name: &str) -> Vec<Entry> {
    let blocks = block.blocks(faults, name, keys::TRIGGER);
    let read = |entry: Block<'_>| Entry {
        source: entry.text(faults, "source"),
        once: entry.text(faults, "once"),
        each: entry.text(faults, "each"),
        place: entry.place,
    };
    blocks.into_iter().map(read).collect()
}

fn is_signal(source: &str) -> bool {
    matches!(source, "SIGHUP" | "SIGUSR2")
}

fn trigger(source: &str, code: Code) -> Trigger {
    Trigger { source: source.into(), code }
}

fn code(job: &str, text: &str, place: Option<Place>) -> Result<Option<Code>, Fault> {
    if text.is_empty() {
        return Ok(None);
    }
    let code = Code::from_config(text).ok_or_else(|| {
        let text =
            format!("unable to parse job[{job}].when.event: {text} is not a valid event code");
        Fault::new(text, place)
    })?;
    Ok(Some(code))
}

/// It starts on each event of a kind. Signals may be many too, and are allowed.
fn on_each(when: &When) -> bool {
    let When::Events { triggers, each, .. } = when else { return false };
    *each && triggers.iter().any(|trigger| trigger.code != Code::Signal)
}

/// How often a job is started again.
pub(super) fn restarts(job: &str, node: Option<&Node>, when: &When) -> Result<Restarts, Fault> {
    let Some(node) = node else {
        let ticks = matches!(when, When::Interval(_));
        return Ok(if ticks { Restarts::Unlimited } else { Restarts::Times(0) });
    };
    let wrong = |reason: &str| {
        let value = plain(&node.value);
        let text = format!("job[{job}].restarts field '{value}' invalid: {reason}");
        Err(Fault::new(text, node.place))
    };
    let number = match &node.value {
        Value::Int(number) => Some(*number),
        Value::Float(number) => whole(*number),
        Value::Text(text) if text == "never" => Some(0),
        Value::Text(text) if text == "unlimited" => {
            if on_each(when) {
                return wrong(
                    "may not be used when 'job.when.each' is set because it may result in \
                     infinite processes",
                );
            }
            return Ok(Restarts::Unlimited);
        }
        Value::Text(text) => text.parse().ok(),
        _ => None,
    };
    match number.map(u64::try_from) {
        Some(Ok(times)) => Ok(Restarts::Times(times)),
        Some(Err(_)) => wrong("number must be positive integer"),
        None => wrong("accepts positive integers, \"unlimited\", or \"never\""),
    }
}

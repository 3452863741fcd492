//! `jobs`.

use std::time::Duration;

use super::super::decode::{Block, Faults, blocks};
use super::super::error::Fault;
use super::super::job::{Backoff, Job, Notify, SecretFile, SecretSource, When};
use super::super::tree::{Node, Place};
use super::super::{duration, keys};
use super::health::{HealthFields, LivenessFields, positive};
use super::service::ServiceFields;
use super::when::{WhenFields, restarts};
use super::{Context, checked, commands};

/// Pauses before a restart where the file does not say.
pub(super) const BACKOFF: Backoff = Backoff {
    first: Duration::from_millis(100),
    most: Duration::from_secs(30),
    reset: Duration::from_secs(10),
};

/// The jobs of the file. All are read before any is checked, so that names and types are told of
/// first, as ContainerPilot does.
pub(super) fn jobs(context: &mut Context<'_>, items: &[Node]) -> Result<Vec<Job>, Fault> {
    let fields: Vec<Fields<'_>> = checked(|faults| {
        let blocks = blocks(faults, "", items, keys::JOB);
        blocks.into_iter().map(|block| Fields::read(faults, block)).collect()
    })
    .map_err(|fault| fault.within("job configuration error: "))?;
    let place = |fields: &Fields<'_>| fields.block.place_of("when").or(fields.block.place);
    context.whens = fields.iter().map(place).collect();
    fields.into_iter().map(|fields| fields.check(context)).collect()
}

/// What a job says, before it is checked.
struct Fields<'a> {
    block: Block<'a>,
    name: String,
    exec: Option<&'a Node>,
    when: Option<WhenFields<'a>>,
    timeout: String,
    stop_timeout: String,
    health: Option<HealthFields<'a>>,
    liveness: Option<LivenessFields<'a>>,
    service: ServiceFields,
    raw: bool,
    main: bool,
    env: Vec<(String, String)>,
    backoff: [String; 3],
    notify: NotifyFields,
    secrets: Vec<SecretFields>,
}

#[derive(Default)]
struct NotifyFields {
    on: bool,
    ready_within: String,
    watchdog: String,
}

struct SecretFields {
    name: String,
    env: String,
    file: String,
    key: String,
    place: Option<Place>,
}

const DELAYS: [&str; 3] = ["restartDelay", "maxRestartDelay", "restartReset"];

impl<'a> Fields<'a> {
    fn read(faults: &mut Faults, block: Block<'a>) -> Self {
        let when = block.block(faults, "when", keys::WHEN);
        let health = block.block(faults, "health", keys::HEALTH);
        let liveness = block.block(faults, "liveness", keys::LIVENESS);
        let logging = block.block(faults, "logging", keys::JOB_LOGGING);
        Self {
            name: block.text(faults, "name"),
            exec: block.get("exec"),
            when: when.map(|when| WhenFields::read(faults, when)),
            timeout: block.text(faults, "timeout"),
            stop_timeout: block.text(faults, "stopTimeout"),
            health: health.map(|health| HealthFields::read(faults, health)),
            liveness: liveness.map(|liveness| LivenessFields::read(faults, liveness)),
            service: ServiceFields::read(faults, &block),
            raw: logging.and_then(|logging| logging.flag(faults, "raw")).unwrap_or(false),
            main: block.flag(faults, "main").unwrap_or(false),
            env: block.pairs(faults, "env"),
            backoff: DELAYS.map(|name| block.text(faults, name)),
            notify: NotifyFields::read(faults, &block),
            secrets: secrets(faults, &block),
            block,
        }
    }

    /// The checks in ContainerPilot's order, then those of what it does not have.
    fn check(mut self, context: &mut Context<'_>) -> Result<Job, Fault> {
        let name = std::mem::take(&mut self.name);
        let (block, name) = (&self.block, name.as_str());
        if self.service.port != 0 && self.health.is_none() {
            let text = format!("job[{name}].health must be set if 'port' is set");
            return Err(Fault::new(text, block.place_of("port")));
        }
        let health = self.health.map(|health| health.check(context, name)).transpose()?;
        let service = self.service.check(context, name)?;
        let when = match self.when {
            Some(when) => when.check(context, name)?,
            None => When::Startup,
        };
        let stop_timeout = stop_timeout(context, block, name, &self.stop_timeout)?;
        let restarts = restarts(name, block.get("restarts"), &when)?;
        let timeout = timeout(block, name, &self.timeout, &when)?;
        let exec = match self.exec {
            Some(node) => Some(commands::exec(context, &format!("job[{name}].exec"), node)?),
            None => None,
        };
        Ok(Job {
            exec,
            when,
            timeout,
            stop_timeout,
            restarts,
            backoff: backoff(context, block, name, &self.backoff)?,
            health,
            liveness: self.liveness.map(|it| it.check(context, name)).transpose()?,
            service,
            raw: self.raw,
            main: self.main,
            notify: self.notify.check(block, name)?,
            secrets: self.secrets.into_iter().map(|it| it.check(name)).collect::<Result<_, _>>()?,
            env: environment(block, name, self.env)?,
            telemetry: false,
            name: name.into(),
        })
    }
}

fn stop_timeout(
    context: &mut Context<'_>,
    block: &Block<'_>,
    job: &str,
    text: &str,
) -> Result<Option<Duration>, Fault> {
    if text.is_empty() {
        return Ok(None);
    }
    let what = format!("job[{job}].stopTimeout");
    let place = block.place_of("stopTimeout");
    let length = duration::parse(text)
        .map_err(|error| Fault::new(format!("unable to parse {what} '{text}': {error}"), place))?;
    let length = context.not_negative(&what, length, place);
    Ok((!length.is_zero()).then_some(length))
}

fn timeout(
    block: &Block<'_>,
    job: &str,
    text: &str,
    when: &When,
) -> Result<Option<Duration>, Fault> {
    if text.is_empty() {
        return Ok(match when {
            When::Interval(interval) => Some(*interval),
            _ => None,
        });
    }
    let what = format!("job[{job}].timeout");
    positive(&what, text, Duration::ZERO, block.place_of("timeout")).map(Some)
}

fn backoff(
    context: &mut Context<'_>,
    block: &Block<'_>,
    job: &str,
    texts: &[String; 3],
) -> Result<Backoff, Fault> {
    let mut backoff = BACKOFF;
    let fields = [&mut backoff.first, &mut backoff.most, &mut backoff.reset];
    for ((name, text), field) in DELAYS.iter().zip(texts).zip(fields) {
        if text.is_empty() {
            continue;
        }
        let what = format!("job[{job}].{name}");
        let place = block.place_of(name);
        let length = duration::parse(text).map_err(|error| {
            Fault::new(format!("unable to parse {what} '{text}': {error}"), place)
        })?;
        *field = context.not_negative(&what, length, place);
    }
    backoff.most = backoff.most.max(backoff.first);
    Ok(backoff)
}

/// Variables that a process can be given.
fn environment(
    block: &Block<'_>,
    job: &str,
    pairs: Vec<(String, String)>,
) -> Result<Vec<(String, String)>, Fault> {
    let bad = |(name, value): &&(String, String)| {
        name.is_empty() || name.contains(['=', '\0']) || value.contains('\0')
    };
    match pairs.iter().find(bad) {
        Some((name, _)) => {
            let text = format!("job[{job}].env: '{name}' cannot be a variable");
            Err(Fault::new(text, block.place_of("env")))
        }
        None => Ok(pairs),
    }
}

impl NotifyFields {
    fn read(faults: &mut Faults, block: &Block<'_>) -> Self {
        let Some(node) = block.get("notify") else { return Self::default() };
        if !matches!(node.value, super::Value::Map(_)) {
            let on = block.flag(faults, "notify").unwrap_or(false);
            return Self { on, ..Self::default() };
        }
        let Some(notify) = block.block(faults, "notify", keys::NOTIFY) else {
            return Self::default();
        };
        Self {
            on: true,
            ready_within: notify.text(faults, "readyWithin"),
            watchdog: notify.text(faults, "watchdog"),
        }
    }

    fn check(self, block: &Block<'_>, job: &str) -> Result<Option<Notify>, Fault> {
        if !self.on {
            return Ok(None);
        }
        let length = |name: &str, text: &str| {
            if text.is_empty() {
                return Ok(None);
            }
            let what = format!("job[{job}].notify.{name}");
            positive(&what, text, Duration::ZERO, block.place_of("notify")).map(Some)
        };
        let ready_within = length("readyWithin", &self.ready_within)?;
        let watchdog = length("watchdog", &self.watchdog)?;
        Ok(Some(Notify { ready_within, watchdog }))
    }
}

fn secrets(faults: &mut Faults, block: &Block<'_>) -> Vec<SecretFields> {
    let blocks = block.blocks(faults, "secrets", keys::SECRET);
    let read = |secret: Block<'_>| SecretFields {
        name: secret.text(faults, "name"),
        env: secret.text(faults, "env"),
        file: secret.text(faults, "file"),
        key: secret.text(faults, "key"),
        place: secret.place,
    };
    blocks.into_iter().map(read).collect()
}

impl SecretFields {
    fn check(self, job: &str) -> Result<SecretFile, Fault> {
        let wrong =
            |text: String| Err(Fault::new(format!("job[{job}].secrets: {text}"), self.place));
        let name = self.name.as_str();
        if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']) {
            return wrong(format!("'{name}' cannot be the name of a file"));
        }
        let from = match (self.env.as_str(), self.file.as_str(), self.key.as_str()) {
            (env, "", "") if !env.is_empty() => SecretSource::Env(self.env),
            ("", file, "") if !file.is_empty() => SecretSource::File(file.into()),
            ("", "", key) if !key.is_empty() => SecretSource::Key(self.key),
            _ => return wrong(format!("'{name}' needs one of 'env', 'file' or 'key'")),
        };
        Ok(SecretFile { name: self.name, from })
    }
}

//! `health` and `liveness`: how it is found out whether a job is fit, and alive.

use std::time::Duration;

use super::super::decode::{Block, Faults};
use super::super::error::Fault;
use super::super::job::{Check, Health, Liveness, Probe};
use super::super::tree::{Node, Value};
use super::super::{duration, keys};
use super::{Context, commands, seconds};

/// How long a liveness check may take, and how often it is made, where the file does not say.
const LIVENESS_INTERVAL: Duration = Duration::from_secs(10);

/// Failures in a row after which a process is killed.
const LIVENESS_FAILURES: i64 = 3;

/// What a `health` block says.
pub(super) struct HealthFields<'a> {
    block: Block<'a>,
    interval: i64,
    ttl: i64,
    timeout: String,
    raw: bool,
    fail_fast: bool,
    check: CheckFields<'a>,
}

impl<'a> HealthFields<'a> {
    pub(super) fn read(faults: &mut Faults, block: Block<'a>) -> Self {
        let logging = block.block(faults, "logging", keys::JOB_LOGGING);
        Self {
            interval: block.int(faults, "interval"),
            ttl: block.int(faults, "ttl"),
            timeout: block.text(faults, "timeout"),
            raw: logging.and_then(|logging| logging.flag(faults, "raw")).unwrap_or(false),
            fail_fast: block.flag(faults, "failFast").unwrap_or(true),
            check: CheckFields::read(faults, &block),
            block,
        }
    }

    pub(super) fn check(self, context: &mut Context<'_>, job: &str) -> Result<Health, Fault> {
        let wrong = |name: &str, text: String| Err(Fault::new(text, self.block.place_of(name)));
        if self.interval < 1 {
            return wrong("interval", format!("job[{job}].health.interval must be > 0"));
        }
        if self.ttl < 1 {
            return wrong("ttl", format!("job[{job}].health.ttl must be > 0"));
        }
        let interval = seconds(self.interval);
        let mut timeout = interval;
        if !self.timeout.is_empty() {
            let what = format!("job[{job}].health.timeout");
            let place = self.block.place_of("timeout");
            let length = duration::parse(&self.timeout).map_err(|error| {
                Fault::new(format!("could not parse {what} '{}': {error}", self.timeout), place)
            })?;
            let given = context.not_negative(&what, length, place);
            timeout = if given.is_zero() { interval } else { given };
        }
        let check = self.check.check(context, &format!("job[{job}].health"))?;
        Ok(Health {
            check,
            interval,
            ttl: seconds(self.ttl),
            timeout,
            raw: self.raw,
            fail_fast: self.fail_fast,
        })
    }
}

/// What a `liveness` block says.
pub(super) struct LivenessFields<'a> {
    block: Block<'a>,
    interval: String,
    timeout: String,
    grace: String,
    failures: Option<i64>,
    check: CheckFields<'a>,
}

impl<'a> LivenessFields<'a> {
    pub(super) fn read(faults: &mut Faults, block: Block<'a>) -> Self {
        Self {
            interval: block.text(faults, "interval"),
            timeout: block.text(faults, "timeout"),
            grace: block.text(faults, "grace"),
            failures: block.get("failures").map(|_| block.int(faults, "failures")),
            check: CheckFields::read(faults, &block),
            block,
        }
    }

    pub(super) fn check(self, context: &mut Context<'_>, job: &str) -> Result<Liveness, Fault> {
        let what = format!("job[{job}].liveness");
        let place = |name: &str| self.block.place_of(name);
        let length = |name: &str, text: &str, default| {
            positive(&format!("{what}.{name}"), text, default, place(name))
        };
        let interval = length("interval", &self.interval, LIVENESS_INTERVAL)?;
        let timeout = length("timeout", &self.timeout, interval)?;
        let grace = length("grace", &self.grace, interval)?;
        let failures = self.failures.unwrap_or(LIVENESS_FAILURES);
        let failures = u32::try_from(failures)
            .ok()
            .filter(|count| *count > 0)
            .ok_or_else(|| Fault::new(format!("{what}.failures must be > 0"), place("failures")))?;
        let start = self.block.place;
        let check = self.check.check(context, &what)?.ok_or_else(|| {
            Fault::new(format!("{what} needs one of 'exec', 'http', 'tcp' or 'grpc'"), start)
        })?;
        Ok(Liveness { check, interval, timeout, failures, grace })
    }
}

/// A duration that is at least a millisecond where it is given.
pub(super) fn positive(
    what: &str,
    text: &str,
    default: Duration,
    place: Option<super::Place>,
) -> Result<Duration, Fault> {
    if text.is_empty() {
        return Ok(default);
    }
    let length = duration::parse(text)
        .map_err(|error| Fault::new(format!("unable to parse {what} '{text}': {error}"), place))?;
    if length.or_zero() < Duration::from_millis(1) {
        return Err(Fault::new(format!("{what} '{text}' cannot be less than 1ms"), place));
    }
    Ok(length.or_zero())
}

/// The four ways to check, of which one is given.
struct CheckFields<'a> {
    exec: Option<&'a Node>,
    probes: Vec<(&'static str, Option<super::Place>, Probe)>,
}

impl<'a> CheckFields<'a> {
    fn read(faults: &mut Faults, block: &Block<'a>) -> Self {
        let mut probes = Vec::new();
        let mut add = |name, probe: Option<Probe>| {
            probes.extend(probe.map(|probe| (name, block.place_of(name), probe)));
        };
        add("http", http(faults, block));
        add("tcp", block.get("tcp").map(|_| Probe::Tcp(block.text(faults, "tcp"))));
        add("grpc", grpc(faults, block));
        Self { exec: block.get("exec"), probes }
    }

    fn check(self, context: &mut Context<'_>, what: &str) -> Result<Option<Check>, Fault> {
        if let Some((name, place, _)) = self.probes.get(usize::from(self.exec.is_none())) {
            let text = format!(
                "{what} can have only one of 'exec', 'http', 'tcp' or 'grpc': '{name}' is another"
            );
            return Err(Fault::new(text, *place));
        }
        if let Some(node) = self.exec {
            let exec = commands::exec(context, &format!("{what}.exec"), node)?;
            return Ok(Some(Check::Exec(exec)));
        }
        let Some((name, place, probe)) = self.probes.into_iter().next() else { return Ok(None) };
        match fault_of(&probe) {
            Some(fault) => Err(Fault::new(format!("{what}.{name}: {fault}"), place)),
            None => Ok(Some(Check::Probe(probe))),
        }
    }
}

fn http(faults: &mut Faults, block: &Block<'_>) -> Option<Probe> {
    let node = block.get("http")?;
    if !matches!(node.value, Value::Map(_)) {
        return Some(Probe::Http {
            url: block.text(faults, "http"),
            method: "GET".to_owned(),
            headers: Vec::new(),
            insecure: false,
        });
    }
    let http = block.block(faults, "http", keys::HTTP)?;
    let method = http.text(faults, "method").to_ascii_uppercase();
    Some(Probe::Http {
        url: http.text(faults, "url"),
        method: if method.is_empty() { "GET".to_owned() } else { method },
        headers: http.pairs(faults, "headers"),
        insecure: http.flag(faults, "insecure").unwrap_or(false),
    })
}

fn grpc(faults: &mut Faults, block: &Block<'_>) -> Option<Probe> {
    let node = block.get("grpc")?;
    if !matches!(node.value, Value::Map(_)) {
        let address = block.text(faults, "grpc");
        return Some(Probe::Grpc { address, service: String::new(), tls: false });
    }
    let grpc = block.block(faults, "grpc", keys::GRPC)?;
    Some(Probe::Grpc {
        address: grpc.text(faults, "address"),
        service: grpc.text(faults, "service"),
        tls: grpc.flag(faults, "tls").unwrap_or(false),
    })
}

/// What is wrong with a probe.
fn fault_of(probe: &Probe) -> Option<String> {
    match probe {
        Probe::Http { url, method, headers, .. } => {
            if let Err(error) = url.parse::<reqwest::Url>() {
                return Some(format!("'{url}' is no URL: {error}"));
            }
            if !url.starts_with("http://") && !url.starts_with("https://") {
                return Some(format!("'{url}' is no URL of http or https"));
            }
            if reqwest::Method::from_bytes(method.as_bytes()).is_err() {
                return Some(format!("'{method}' is no method"));
            }
            let bad = headers.iter().find(|(name, value)| {
                reqwest::header::HeaderName::from_bytes(name.as_bytes()).is_err()
                    || reqwest::header::HeaderValue::from_str(value).is_err()
            });
            bad.map(|(name, _)| format!("header '{name}' cannot be sent"))
        }
        Probe::Tcp(address) | Probe::Grpc { address, .. } => {
            let port = address.rsplit_once(':').filter(|(host, _)| !host.is_empty());
            let good = port.is_some_and(|(_, port)| port.parse::<u16>().is_ok_and(|port| port > 0));
            (!good).then(|| format!("'{address}' is no address: write HOST:PORT"))
        }
    }
}

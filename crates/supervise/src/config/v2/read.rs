//! A document of version 2, read: every block with known keys only, every rule of version 2 kept.
//!
//! Keys in blocks are compared without regard to case, and numbers may be texts: version 2 was as
//! lenient. Keys at the top are exact.

use regrow_ids::GoDuration;
use serde_json::{Map, Value};

use super::{V2Error, is};

/// Keys at the top of a file of version 2.
const TOP_KEYS: &[&str] = &[
    "backends",
    "consul",
    "coprocesses",
    "etcd",
    "logging",
    "onStart",
    "postStop",
    "preStart",
    "preStop",
    "services",
    "stopTimeout",
    "tasks",
    "telemetry",
];

/// A whole file. Fields of type [`Value`] are passed on as they are.
pub(super) struct File {
    pub consul: Value,
    pub logging: Option<Value>,
    pub stop_timeout: Option<Value>,
    pub on_start: bool,
    pub pre_start: Option<Value>,
    pub pre_stop: Option<Value>,
    pub post_stop: Option<Value>,
    pub services: Vec<Service>,
    pub backends: Vec<Backend>,
    pub tasks: Vec<Task>,
    pub coprocesses: Vec<Coprocess>,
    pub telemetry: Option<Telemetry>,
}

pub(super) struct Service {
    pub name: String,
    pub port: i64,
    pub poll: i64,
    pub ttl: i64,
    pub health: Option<Value>,
    pub timeout: Option<Value>,
    pub interfaces: Option<Value>,
    pub tags: Option<Value>,
    pub consul: Option<Value>,
}

pub(super) struct Backend {
    pub name: String,
    pub poll: i64,
    pub on_change: Value,
    pub tag: Option<Value>,
    pub timeout: Option<Value>,
}

pub(super) struct Task {
    pub name: String,
    pub command: Value,
    pub frequency: Value,
    pub timeout: Option<Value>,
}

pub(super) struct Coprocess {
    pub name: String,
    pub command: Value,
    pub restarts: Option<Value>,
}

pub(super) struct Telemetry {
    pub port: Option<Value>,
    pub interfaces: Option<Value>,
    pub tags: Option<Value>,
    pub sensors: Vec<Sensor>,
}

pub(super) struct Sensor {
    pub namespace: String,
    pub subsystem: String,
    pub name: String,
    pub help: Option<Value>,
    pub kind: Option<Value>,
    pub poll: i64,
    /// Program and arguments.
    pub check: Vec<Value>,
    pub timeout: Option<Value>,
}

pub(super) fn file(document: &Value) -> Result<File, V2Error> {
    let top = document.as_object().ok_or(V2Error::NoObject)?;
    let consul = backend(top)?;
    let unknown = top.keys().filter(|key| !TOP_KEYS.contains(&key.as_str()));
    let unknown: Vec<_> = unknown.cloned().collect();
    if !unknown.is_empty() {
        return Err(V2Error::UnknownKeys(unknown));
    }
    let get = |key: &str| top.get(key).filter(|value| !value.is_null());
    let hook = |key: &str| get(key).map(|value| command(key, value)).transpose();
    Ok(File {
        consul,
        logging: get("logging").cloned(),
        stop_timeout: get("stopTimeout").cloned(),
        on_start: get("onStart").is_some(),
        pre_start: hook("preStart")?,
        pre_stop: hook("preStop")?,
        post_stop: hook("postStop")?,
        services: list(get("services"), "services", service)?,
        backends: list(get("backends"), "backends", backend_block)?,
        tasks: list(get("tasks"), "tasks", task)?,
        coprocesses: list(get("coprocesses"), "coprocesses", coprocess)?,
        telemetry: get("telemetry").map(telemetry).transpose()?,
    })
}

/// The one discovery backend.
fn backend(top: &Map<String, Value>) -> Result<Value, V2Error> {
    match (top.get("consul"), top.get("etcd")) {
        (None, None) => Err(V2Error::NoBackend),
        (Some(_), Some(_)) => Err(V2Error::ManyBackends),
        (None, Some(_)) => Err(V2Error::Etcd),
        (Some(consul), None) => Ok(consul.clone()),
    }
}

fn service(mut block: Block) -> Result<Service, V2Error> {
    let name = block.text("name")?;
    let poll = block.positive("poll", "service", &name)?;
    let ttl = block.positive("ttl", "service", &name)?;
    let port = block.positive("port", "service", &name)?;
    let service = Service {
        port,
        poll,
        ttl,
        health: block.command("health")?,
        timeout: block.take("timeout"),
        interfaces: block.take("interfaces"),
        tags: block.take("tags"),
        consul: block.take("consul"),
        name,
    };
    block.end()?;
    Ok(service)
}

fn backend_block(mut block: Block) -> Result<Backend, V2Error> {
    let name = block.text("name")?;
    let required = || V2Error::Required { field: "onChange", kind: "backend", name: name.clone() };
    let on_change = block.command("onChange")?.ok_or_else(required)?;
    let poll = block.positive("poll", "backend", &name)?;
    let (tag, timeout) = (block.take("tag"), block.take("timeout"));
    block.end()?;
    Ok(Backend { name, poll, on_change, tag, timeout })
}

fn task(mut block: Block) -> Result<Task, V2Error> {
    let command = block.command("command")?.ok_or(V2Error::NoCommand("Task"))?;
    let name = block.named("task")?;
    let frequency = block.take("frequency").unwrap_or_else(|| "".into());
    check_frequency(&name, &frequency)?;
    let timeout = block.take("timeout");
    block.end()?;
    Ok(Task { name, command, frequency, timeout })
}

/// A duration in Go's manner or, without a unit, seconds.
fn check_frequency(task: &str, frequency: &Value) -> Result<(), V2Error> {
    let text = match frequency {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    if text.parse::<i64>().is_ok() {
        return Ok(());
    }
    let parsed: Result<GoDuration, _> = text.parse();
    let unreadable = |_| V2Error::Frequency { task: task.to_owned(), value: text.clone() };
    parsed.map(drop).map_err(unreadable)
}

fn coprocess(mut block: Block) -> Result<Coprocess, V2Error> {
    let command = block.command("command")?.ok_or(V2Error::NoCommand("Coprocess"))?;
    let name = block.named("coprocess")?;
    let restarts = block.take("restarts");
    if let Some(value) = &restarts {
        check_restarts(value)?;
    }
    block.end()?;
    Ok(Coprocess { name, command, restarts })
}

fn check_restarts(value: &Value) -> Result<(), V2Error> {
    let good = match value {
        Value::String(text) if ["unlimited", "never"].contains(&text.as_str()) => true,
        Value::String(text) => text.parse::<u64>().is_ok(),
        other => other.as_f64().is_some_and(|number| number >= 0.0),
    };
    let shown = || value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    if good { Ok(()) } else { Err(V2Error::Restarts(shown())) }
}

fn telemetry(value: &Value) -> Result<Telemetry, V2Error> {
    let mut block = Block::new("telemetry".to_owned(), value)?;
    let sensors = block.take("sensors");
    let telemetry = Telemetry {
        port: block.take("port"),
        interfaces: block.take("interfaces"),
        tags: block.take("tags"),
        sensors: list(sensors.as_ref(), "telemetry.sensors", sensor)?,
    };
    block.end()?;
    Ok(telemetry)
}

fn sensor(mut block: Block) -> Result<Sensor, V2Error> {
    let name = block.text("name")?;
    let required = || V2Error::Required { field: "check", kind: "sensor", name: name.clone() };
    let check = block.command("check")?.ok_or_else(required)?;
    let sensor = Sensor {
        namespace: block.text("namespace")?,
        subsystem: block.text("subsystem")?,
        help: block.take("help"),
        kind: block.take("type"),
        poll: block.positive("poll", "sensor", &name)?,
        check: words(check),
        timeout: block.take("timeout"),
        name,
    };
    block.end()?;
    Ok(sensor)
}

/// A command in one text is split at each space, as both versions do.
fn words(command: Value) -> Vec<Value> {
    match command {
        Value::Array(words) => words,
        Value::String(text) => text.trim().split(' ').map(Value::from).collect(),
        other => vec![other],
    }
}

fn list<T>(
    value: Option<&Value>,
    at: &str,
    read: impl Fn(Block) -> Result<T, V2Error>,
) -> Result<Vec<T>, V2Error> {
    let Some(value) = value else { return Ok(Vec::new()) };
    let items = value.as_array().ok_or_else(|| kind_error(at, "a list", value))?;
    let blocks = items.iter().enumerate().map(|(n, item)| Block::new(format!("{at}[{n}]"), item));
    blocks.map(|block| read(block?)).collect()
}

fn command(at: &str, value: &Value) -> Result<Value, V2Error> {
    match value {
        Value::String(_) | Value::Array(_) => Ok(value.clone()),
        other => Err(kind_error(at, "a command: a text or a list of words", other)),
    }
}

fn kind_error(at: &str, expected: &'static str, value: &Value) -> V2Error {
    let found = match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    V2Error::Kind { at: at.to_owned(), expected, found }
}

/// An object whose fields are taken one by one; what is left is unknown.
struct Block {
    at: String,
    fields: Vec<(String, Value)>,
}

impl Block {
    fn new(at: String, value: &Value) -> Result<Self, V2Error> {
        let object = value.as_object().ok_or_else(|| kind_error(&at, "an object", value))?;
        let fields = object.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        Ok(Self { at, fields })
    }

    /// A field; null is none.
    fn take(&mut self, name: &str) -> Option<Value> {
        let at = self.fields.iter().position(|(key, _)| is(key, name))?;
        Some(self.fields.swap_remove(at).1).filter(|value| !value.is_null())
    }

    fn text(&mut self, name: &str) -> Result<String, V2Error> {
        Ok(match self.take(name) {
            None => String::new(),
            Some(Value::String(text)) => text,
            Some(Value::Number(number)) => number.to_string(),
            Some(other) => return Err(kind_error(&self.place(name), "a text", &other)),
        })
    }

    /// Its name, or where it stands: `task-0`.
    fn named(&mut self, kind: &str) -> Result<String, V2Error> {
        let name = self.text("name")?;
        if !name.is_empty() {
            return Ok(name);
        }
        let number = self.at.trim_end_matches(']').rsplit('[').next().unwrap_or_default();
        Ok(format!("{kind}-{number}"))
    }

    fn command(&mut self, name: &str) -> Result<Option<Value>, V2Error> {
        let at = self.place(name);
        self.take(name).map(|value| command(&at, &value)).transpose()
    }

    /// A number of at least 1; fractions are cut off.
    fn positive(
        &mut self,
        field: &'static str,
        kind: &'static str,
        name: &str,
    ) -> Result<i64, V2Error> {
        let number = match self.take(field) {
            None => 0,
            Some(Value::Number(number)) => {
                number.as_i64().or(number.as_f64().map(|number| number as i64)).unwrap_or_default()
            }
            Some(Value::String(text)) if text.parse::<i64>().is_ok() => {
                text.parse().unwrap_or_default()
            }
            Some(other) => return Err(kind_error(&self.place(field), "a number", &other)),
        };
        if number < 1 {
            return Err(V2Error::NotPositive { field, kind, name: name.to_owned() });
        }
        Ok(number)
    }

    fn place(&self, name: &str) -> String {
        format!("{}.{name}", self.at)
    }

    fn end(self) -> Result<(), V2Error> {
        if self.fields.is_empty() {
            return Ok(());
        }
        let mut keys: Vec<_> = self.fields.into_iter().map(|(key, _)| key).collect();
        keys.sort();
        Err(V2Error::InvalidKeys { block: self.at, keys })
    }
}

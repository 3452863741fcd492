//! From blocks to a [`Config`]: the order of the checks, and their texts, are ContainerPilot's.

mod backend;
mod commands;
mod health;
mod jobs;
mod locks;
mod logging;
mod sense;
mod service;
mod telemetry;
mod watches;
mod when;

use std::path::PathBuf;
use std::time::Duration;

use super::address::Surroundings;
use super::decode::{Block, Faults, sort_keys};
use super::error::Fault;
use super::model::{Config, SignalAct, SignalUse, UserSignal};
use super::tree::{Node, Place, Value};
use super::{duration, keys};

/// When the catalog takes out a service that stays critical, where nothing else is said.
const TAKEN_OUT_AFTER: &str = "1h";
/// Where ContainerPilot has its control socket.
const CONTROL_SOCKET: &str = "/var/run/containerpilot.socket";

/// How long processes have to end, in seconds, where the file does not say.
const STOP_TIMEOUT: i64 = 5;

/// Oddities that are no faults, and where they are, as far as known.
pub(super) type Warnings = Vec<(String, Option<Place>)>;

/// What the checks know beside the block that they check.
pub(super) struct Context<'a> {
    pub(super) surroundings: &'a Surroundings,
    /// Nobody is told of addresses.
    pub(super) alone: bool,
    /// Where each job says when it starts, in the order of the jobs.
    pub(super) whens: Vec<Option<Place>>,
    /// Oddities that are no faults.
    pub(super) warnings: Warnings,
}

impl Context<'_> {
    fn warn(&mut self, text: impl Into<String>, place: Option<Place>) {
        self.warnings.push((text.into(), place));
    }

    /// A duration that is not negative; a negative one counts as none and is warned of.
    fn not_negative(
        &mut self,
        what: &str,
        length: duration::Signed,
        place: Option<Place>,
    ) -> Duration {
        if length.is_negative() {
            self.warn(format!("{what} is negative and counts as 0"), place);
        }
        length.or_zero()
    }
}

/// The longest time that is counted: Go's longest duration, some 292 years.
const LONGEST: Duration = Duration::from_nanos(i64::MAX as u64);

/// Whole seconds; none where negative.
fn seconds(count: i64) -> Duration {
    Duration::from_secs(u64::try_from(count).unwrap_or(0)).min(LONGEST)
}

/// The configuration of a file and what is odd about it.
pub(super) fn config(
    root: &Node,
    surroundings: &Surroundings,
) -> Result<(Config, Warnings), Fault> {
    let top = top(root)?;
    let mut context =
        Context { surroundings, alone: false, whens: Vec::new(), warnings: Vec::new() };
    let discovery = backend::discovery(&mut context, &top)?;
    let stop_timeout = stop_timeout(&mut context, &top)?;
    let control_socket = control_socket(&top)?;
    let control_named = top.get("control").is_some();
    let mut jobs = match array(&mut context, &top, "jobs") {
        Some(items) => jobs::jobs(&mut context, items)
            .map_err(|fault| fault.within("unable to parse jobs: "))?,
        None => Vec::new(),
    };
    let watches = match array(&mut context, &top, "watches") {
        Some(items) => watches::watches(&mut context, items)
            .map_err(|fault| fault.within("unable to parse watches: "))?,
        None => Vec::new(),
    };
    let telemetry = match top.get("telemetry") {
        Some(node) => {
            let (telemetry, job) = telemetry::telemetry(&mut context, node)?;
            jobs.push(job);
            Some(telemetry)
        }
        None => None,
    };
    let logging = logging::logging(top.get("logging"))?;
    let locks = locks::locks(&mut context, &top, &jobs, &watches, &discovery)?;
    let strict = compatibility(&top)?;
    if !strict {
        for service in jobs.iter_mut().filter_map(|job| job.service.as_mut()) {
            service.deregister_critical_after.get_or_insert_with(|| TAKEN_OUT_AFTER.to_owned());
        }
    }
    let signals = signals(&top)?;
    let config = Config {
        discovery,
        logging,
        stop_timeout,
        control_socket,
        control_named,
        jobs,
        watches,
        locks,
        telemetry,
        strict,
        signals,
    };
    sense::look(&mut context, &config)?;
    Ok((config, context.warnings))
}

/// The top of the file, all of its keys known.
fn top(root: &Node) -> Result<Block<'_>, Fault> {
    let Value::Map(entries) = &root.value else {
        let text = format!(
            "could not parse configuration: an object is wanted, and this is a {}",
            root.value.go_type()
        );
        return Err(Fault::new(text, root.place));
    };
    let (_, unknown) = sort_keys(entries, keys::TOP);
    if !unknown.is_empty() {
        let mut names: Vec<&str> = unknown.iter().map(|(key, _)| key.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        let places = unknown.iter().filter_map(|(_, node)| node.place).collect();
        let text = format!("unknown config keys: [{}]", names.join(" "));
        return Err(Fault { text, places });
    }
    Ok(Block::open(&mut Faults::default(), String::new(), root, keys::TOP))
}

/// Reads something of a block and fails on its faults.
fn checked<T>(read: impl FnOnce(&mut Faults) -> T) -> Result<T, Fault> {
    let mut faults = Faults::default();
    let value = read(&mut faults);
    faults.check().map(|()| value)
}

/// A list at the top; what is none counts as absent.
fn array<'a>(context: &mut Context<'_>, top: &Block<'a>, name: &str) -> Option<&'a [Node]> {
    let node = top.get(name)?;
    match &node.value {
        Value::List(items) => Some(items),
        _ => {
            context.warn(format!("'{name}' is not a list and is ignored"), node.place);
            None
        }
    }
}

fn stop_timeout(context: &mut Context<'_>, top: &Block<'_>) -> Result<Duration, Fault> {
    let count = checked(|faults| top.int(faults, "stopTimeout"))?;
    if count < 0 {
        let text = "'stopTimeout' is negative: processes are killed at once";
        context.warn(text, top.place_of("stopTimeout"));
    }
    Ok(seconds(if count == 0 { STOP_TIMEOUT } else { count }))
}

/// The control socket that a file names; the rest of it may be wrong.
pub(super) fn control_socket_of(root: &Node) -> Result<PathBuf, Fault> {
    control_socket(&Block::open(&mut Faults::default(), String::new(), root, keys::TOP))
}

fn control_socket(top: &Block<'_>) -> Result<PathBuf, Fault> {
    let Some(node) = top.get("control") else { return Ok(CONTROL_SOCKET.into()) };
    let (socket, given) = checked(|faults| {
        let block = Block::open(faults, String::new(), node, keys::CONTROL);
        (block.text(faults, "socket"), block.get("socket").is_some())
    })
    .map_err(|fault| fault.within("control config parsing error: "))?;
    match (given, socket.is_empty()) {
        (false, _) => Ok(CONTROL_SOCKET.into()),
        (true, false) => Ok(socket.into()),
        (true, true) => Err(Fault::new(
            "control: validate failed with control server not loading due to missing config",
            node.place,
        )),
    }
}

fn compatibility(top: &Block<'_>) -> Result<bool, Fault> {
    match checked(|faults| top.text(faults, "compatibility"))?.as_str() {
        "" => Ok(false),
        "containerpilot" => Ok(true),
        other => Err(Fault::new(
            format!("compatibility must be 'containerpilot' or absent, not '{other}'"),
            top.place_of("compatibility"),
        )),
    }
}

fn signals(top: &Block<'_>) -> Result<Vec<SignalUse>, Fault> {
    let pairs = checked(|faults| top.pairs(faults, "signals"))?;
    let wrong = |text| Fault::new(text, top.place_of("signals"));
    let mut uses = Vec::new();
    for (name, act) in pairs {
        let signal = match name.to_ascii_uppercase().as_str() {
            "SIGHUP" => UserSignal::Hup,
            "SIGUSR1" => UserSignal::Usr1,
            "SIGUSR2" => UserSignal::Usr2,
            _ => {
                let text = format!("signals: '{name}' is none of SIGHUP, SIGUSR1 and SIGUSR2");
                return Err(wrong(text));
            }
        };
        let act = match act.as_str() {
            "reload" => SignalAct::Reload,
            "maintenance" => SignalAct::Maintenance,
            _ => {
                let text = format!("signals.{name} must be 'reload' or 'maintenance', not '{act}'");
                return Err(wrong(text));
            }
        };
        uses.push(SignalUse { signal, act });
    }
    Ok(uses)
}

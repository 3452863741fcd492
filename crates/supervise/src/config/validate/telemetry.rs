//! `telemetry`: the endpoint, its metrics, and the job that announces it.

use std::time::Duration;

use super::super::decode::{Block, blocks};
use super::super::error::Fault;
use super::super::job::{Health, Job, Restarts, Service, When};
use super::super::keys;
use super::super::model::{Metric, MetricKind, Telemetry};
use super::super::tree::{Node, Value};
use super::jobs::BACKOFF;
use super::service::address;
use super::{Context, checked};

/// Port where the file does not say.
const PORT: i64 = 9090;

/// The name of the job that announces the endpoint.
const NAME: &str = "containerpilot";

/// How often it is announced, and how long that is believed.
const INTERVAL: Duration = Duration::from_secs(5);
const TTL: Duration = Duration::from_secs(15);

/// The endpoint and its job.
pub(super) fn telemetry(context: &mut Context<'_>, node: &Node) -> Result<(Telemetry, Job), Fault> {
    let (block, port, interfaces, mut tags) = checked(|faults| {
        let block = Block::open(faults, String::new(), node, keys::TELEMETRY);
        let port = block.get("port").map_or(PORT, |_| block.int(faults, "port"));
        let (interfaces, tags) = (block.texts(faults, "interfaces"), block.texts(faults, "tags"));
        (block, port, interfaces, tags)
    })
    .map_err(|fault| fault.within("telemetry configuration error: "))?;
    let invalid = |text: String, name| {
        Fault::new(format!("telemetry validation error: {text}"), block.place_of(name))
    };
    let port = u16::try_from(port)
        .ok()
        .filter(|port| *port > 0)
        .ok_or_else(|| invalid(format!("port '{port}' must be between 1 and 65535"), "port"))?;
    let address = address(context, &interfaces).map_err(|text| invalid(text, "interfaces"))?;
    let metrics = metrics(context, &block)?;
    tags.extend(context.surroundings.version.clone());
    let job = job(Service {
        id: format!("{NAME}-{}", context.surroundings.hostname),
        name: NAME.to_owned(),
        port,
        address,
        tags,
        meta: Vec::new(),
        initial_status: None,
        enable_tag_override: false,
        deregister_critical_after: None,
    });
    Ok((Telemetry { port, address, metrics }, job))
}

fn job(service: Service) -> Job {
    Job {
        name: NAME.into(),
        exec: None,
        when: When::Startup,
        timeout: None,
        stop_timeout: None,
        restarts: Restarts::Times(0),
        backoff: BACKOFF,
        health: Some(Health {
            check: None,
            interval: INTERVAL,
            ttl: TTL,
            timeout: INTERVAL,
            raw: false,
            fail_fast: true,
        }),
        liveness: None,
        service: Some(service),
        raw: false,
        main: false,
        notify: None,
        secrets: Vec::new(),
        env: Vec::new(),
        telemetry: true,
    }
}

fn metrics(context: &mut Context<'_>, telemetry: &Block<'_>) -> Result<Vec<Metric>, Fault> {
    let Some(node) = telemetry.get("metrics") else { return Ok(Vec::new()) };
    let Value::List(items) = &node.value else {
        context.warn("'telemetry.metrics' is not a list and is ignored", node.place);
        return Ok(Vec::new());
    };
    let fields = checked(|faults| {
        let blocks = blocks(faults, "", items, keys::METRIC);
        let read = |block: Block<'_>| {
            let texts = keys::METRIC.iter().map(|name| block.text(faults, name)).collect();
            (texts, block.place_of("type"))
        };
        blocks.into_iter().map(read).collect::<Vec<(Vec<String>, _)>>()
    })
    .map_err(|fault| fault.within("MetricConfig configuration error: "))?;
    let check = |(texts, place): (Vec<String>, _)| {
        let mut texts = texts.into_iter();
        let mut next = || texts.next().unwrap_or_default();
        let (namespace, subsystem, name, help) = (next(), next(), next(), next());
        let kind = kind(&next()).map_err(|text| Fault::new(text, place))?;
        Ok(Metric { namespace, subsystem, name, help, kind })
    };
    fields.into_iter().map(check).collect()
}

fn kind(text: &str) -> Result<MetricKind, String> {
    match text {
        "counter" => Ok(MetricKind::Counter),
        "gauge" => Ok(MetricKind::Gauge),
        "histogram" => Ok(MetricKind::Histogram),
        "summary" => Ok(MetricKind::Summary),
        _ => Err(format!("invalid metric type: {text}")),
    }
}

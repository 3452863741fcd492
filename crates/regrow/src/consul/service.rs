//! `regrow service`: what runs where, and how well.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};
use regrow_ids::GoDuration;
use serde_json::{Map, Value, json};

use super::client::{Client, ClientArgs};
use crate::output::{OutputArgs, table};

/// Largest registration that is read, in bytes.
const FILE_BYTES: u64 = 1 << 20;

/// `regrow service`.
#[derive(Args, Debug)]
pub struct ServiceCommand {
    #[command(flatten)]
    client: ClientArgs,
    #[command(subcommand)]
    verb: Verb,
}

/// Verbs of `service`.
#[derive(Subcommand, Debug)]
enum Verb {
    /// Register a service on the node that is asked
    Register(Box<RegisterArgs>),
    /// Take a service of the node that is asked out
    Deregister(DeregisterArgs),
    /// List the names of all services with their tags
    Ls(OutputArgs),
    /// Show the instances of a service with their health
    Health(HealthArgs),
}

/// Arguments of `service register`.
#[derive(Args, Debug)]
struct RegisterArgs {
    /// Its name
    #[arg(required_unless_present = "file", conflicts_with = "file")]
    name: Option<String>,
    /// A whole registration as JSON instead, in Consul's form; - for standard input
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Unique on the node [default: the name]
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// Address [default: the node's]
    #[arg(long, value_name = "HOST")]
    address: Option<String>,
    /// Port
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// A tag; may be repeated
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// It is critical unless it says that it is well at least so often
    #[arg(long, value_name = "DURATION", group = "check")]
    check_ttl: Option<GoDuration>,
    /// It is well while this URL answers 2xx
    #[arg(long, value_name = "URL", group = "check")]
    check_http: Option<String>,
    /// It is well while a connection to this can be made
    #[arg(long, value_name = "HOST:PORT", group = "check")]
    check_tcp: Option<String>,
    /// How often it is looked
    #[arg(long, value_name = "DURATION", default_value = "10s")]
    interval: GoDuration,
}

/// Arguments of `service deregister`.
#[derive(Args, Debug)]
struct DeregisterArgs {
    /// Its id
    id: String,
}

/// Arguments of `service health`.
#[derive(Args, Debug)]
struct HealthArgs {
    /// Its name
    name: String,
    /// Only those that are well
    #[arg(long)]
    passing: bool,
    #[command(flatten)]
    output: OutputArgs,
}

impl ServiceCommand {
    /// Does it.
    pub async fn run(self) -> Result<()> {
        let client = self.client.client()?;
        match self.verb {
            Verb::Register(args) => args.run(&client).await,
            Verb::Deregister(DeregisterArgs { id }) => {
                let call = client.put("agent/service/deregister", &id)?;
                call.send().await.with_context(|| format!("deregister service {id:?}")).map(drop)
            }
            Verb::Ls(output) => {
                let services: Value = client.get("catalog/services", "")?.send().await?.json()?;
                output.print(&services, || names(&services))
            }
            Verb::Health(args) => args.run(&client).await,
        }
    }
}

impl RegisterArgs {
    async fn run(self, client: &Client) -> Result<()> {
        let body = match &self.file {
            Some(path) => read(path)?,
            None => self.body().to_string().into_bytes(),
        };
        let call = client.put("agent/service/register", "")?.body(body);
        call.send().await.context("register the service").map(drop)
    }

    fn body(&self) -> Value {
        let mut body = Map::new();
        let mut set = |field: &str, value: Option<Value>| {
            if let Some(value) = value {
                body.insert(field.to_owned(), value);
            }
        };
        set("Name", self.name.as_ref().map(|name| json!(name)));
        set("ID", self.id.as_ref().map(|id| json!(id)));
        set("Address", self.address.as_ref().map(|address| json!(address)));
        set("Port", self.port.map(|port| json!(port)));
        set("Tags", (!self.tags.is_empty()).then(|| json!(self.tags)));
        set("Check", self.check());
        Value::Object(body)
    }

    fn check(&self) -> Option<Value> {
        let interval = self.interval.to_string();
        match (&self.check_ttl, &self.check_http, &self.check_tcp) {
            (Some(ttl), _, _) => Some(json!({"TTL": ttl.to_string()})),
            (_, Some(url), _) => Some(json!({"HTTP": url, "Interval": interval})),
            (_, _, Some(address)) => Some(json!({"TCP": address, "Interval": interval})),
            _ => None,
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let about = || format!("read {}", path.display());
    let source: Box<dyn std::io::Read> = match path.to_str() {
        Some("-") => Box::new(std::io::stdin().lock()),
        _ => Box::new(std::fs::File::open(path).with_context(about)?),
    };
    let mut body = Vec::new();
    source.take(FILE_BYTES + 1).read_to_end(&mut body).with_context(about)?;
    if body.len() as u64 > FILE_BYTES {
        bail!("read {}: it is longer than {FILE_BYTES} bytes", path.display());
    }
    serde_json::from_slice::<Value>(&body).with_context(about)?;
    Ok(body)
}

impl HealthArgs {
    async fn run(self, client: &Client) -> Result<()> {
        let call = client.get("health/service", &self.name)?;
        let call = if self.passing { call.with("passing", "") } else { call };
        let found: Vec<Value> = call.send().await?.json()?;
        self.output.print(&found, || instances(&found))
    }
}

fn names(services: &Value) -> String {
    let services = services.as_object().cloned().unwrap_or_default();
    let row = |(name, tags): (&String, &Value)| {
        let tags = tags.as_array().into_iter().flatten().filter_map(Value::as_str);
        vec![name.clone(), tags.collect::<Vec<_>>().join(",")]
    };
    let rows: Vec<_> = services.iter().map(row).collect();
    table(&["SERVICE", "TAGS"], &rows)
}

fn instances(found: &[Value]) -> String {
    let row = |instance: &Value| {
        let text = |path: &str| instance.pointer(path).and_then(Value::as_str).unwrap_or_default();
        let own = text("/Service/Address");
        let address = if own.is_empty() { text("/Node/Address") } else { own };
        let port = instance.pointer("/Service/Port").and_then(Value::as_u64).unwrap_or(0);
        vec![
            text("/Service/ID").to_owned(),
            text("/Node/Node").to_owned(),
            format!("{address}:{port}"),
            worst(instance).to_owned(),
        ]
    };
    let rows: Vec<_> = found.iter().map(row).collect();
    table(&["ID", "NODE", "ADDRESS", "HEALTH"], &rows)
}

/// The worst status of all checks.
fn worst(instance: &Value) -> &'static str {
    let checks = instance.pointer("/Checks").and_then(Value::as_array).into_iter().flatten();
    let states: Vec<_> = checks.filter_map(|check| check.get("Status")?.as_str()).collect();
    let known = ["critical", "warning"];
    known.into_iter().find(|status| states.contains(status)).unwrap_or("passing")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_is_as_well_as_its_worst_check() {
        let instance = |states: &[&str]| {
            let checks: Vec<_> = states.iter().map(|status| json!({"Status": status})).collect();
            json!({"Node": {"Node": "n", "Address": "10.0.0.1"},
                "Service": {"ID": "web-1", "Port": 80}, "Checks": checks})
        };
        assert_eq!(worst(&instance(&[])), "passing");
        assert_eq!(worst(&instance(&["passing", "warning"])), "warning");
        assert_eq!(worst(&instance(&["critical", "warning"])), "critical");
        let shown = instances(&[instance(&["passing"])]);
        assert_eq!(shown, "ID     NODE  ADDRESS      HEALTH\nweb-1  n     10.0.0.1:80  passing\n");
    }
}

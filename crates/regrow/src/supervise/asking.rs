//! Questions to a supervisor that runs: `regrow supervise reload|maintenance|yield|putenv|putmetric|ping|status`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};
use regrow_ids::GoDuration;
use regrow_supervise::config::Source;
use regrow_supervise::control::client;
use serde_json::Value;

use super::{CONFIG_VARIABLE, environment};
use crate::output::{OutputArgs, print, table};

/// Where the control socket is when nothing says so.
const USUAL_SOCKET: &str = "/var/run/containerpilot.socket";

/// Which supervisor is asked.
#[derive(Args, Debug)]
pub struct ControlArgs {
    /// Its control socket [default: as its configuration says, else /var/run/containerpilot.socket]
    #[arg(long, value_name = "PATH", conflicts_with = "config")]
    socket: Option<PathBuf>,
    /// Its configuration, which says where the socket is
    #[arg(short, long, value_name = "FILE", env = CONFIG_VARIABLE, hide_env_values = true)]
    config: Option<String>,
}

impl ControlArgs {
    fn path(&self) -> Result<PathBuf> {
        if let Some(socket) = &self.socket {
            return Ok(socket.clone());
        }
        match self.config.as_deref().and_then(Source::from_word) {
            Some(source) => Ok(source.control_socket(&environment())?),
            None => Ok(USUAL_SOCKET.into()),
        }
    }
}

/// A word for on and off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    /// Services are withdrawn and checks pause
    Enable,
    /// Services are announced again
    Disable,
}

/// Arguments of `reload` and `ping`.
#[derive(Args, Debug)]
pub struct PlainArgs {
    #[command(flatten)]
    control: ControlArgs,
}

impl PlainArgs {
    /// Has the configuration read again.
    pub async fn reload(&self) -> Result<()> {
        Ok(client::reload(&self.control.path()?).await?)
    }

    /// Asks whether the supervisor answers.
    pub async fn ping(&self) -> Result<()> {
        client::ping(&self.control.path()?).await?;
        print("ok\n")
    }
}

/// Arguments of `maintenance`.
#[derive(Args, Debug)]
pub struct MaintenanceArgs {
    /// Begin it or end it
    switch: Switch,
    #[command(flatten)]
    control: ControlArgs,
}

impl MaintenanceArgs {
    /// Begins or ends maintenance.
    pub async fn run(&self) -> Result<()> {
        let on = self.switch == Switch::Enable;
        Ok(client::maintenance(&self.control.path()?, on).await?)
    }
}

/// Arguments of `yield`.
#[derive(Args, Debug)]
pub struct YieldArgs {
    /// The lock, without `lock:`
    lock: String,
    /// How long this supervisor does not compete for it after it was given back
    #[arg(long = "for", value_name = "DURATION", default_value = "10s")]
    time: GoDuration,
    #[command(flatten)]
    control: ControlArgs,
}

impl YieldArgs {
    /// Has a lock left to others.
    pub async fn run(&self) -> Result<()> {
        Ok(client::yield_lock(&self.control.path()?, &self.lock, self.time).await?)
    }
}

/// Arguments of `putenv` and `putmetric`.
#[derive(Args, Debug)]
pub struct PairsArgs {
    /// Names and values; a value may have equals signs
    #[arg(value_name = "NAME=VALUE", required = true, value_parser = pair)]
    pairs: Vec<(String, String)>,
    #[command(flatten)]
    control: ControlArgs,
}

impl PairsArgs {
    /// Sets variables for processes that start later.
    pub async fn putenv(&self) -> Result<()> {
        let variables: BTreeMap<_, _> = self.pairs.iter().cloned().collect();
        Ok(client::putenv(&self.control.path()?, &variables).await?)
    }

    /// Hands values to telemetry.
    pub async fn putmetric(&self) -> Result<()> {
        Ok(client::putmetric(&self.control.path()?, &self.pairs).await?)
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').filter(|(name, _)| !name.is_empty());
    let (name, value) = pair.ok_or("write it as NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// Arguments of `status`.
#[derive(Args, Debug)]
pub struct StatusArgs {
    #[command(flatten)]
    control: ControlArgs,
    #[command(flatten)]
    output: OutputArgs,
}

impl StatusArgs {
    /// Shows how the jobs are.
    pub async fn run(&self) -> Result<()> {
        let text = client::status(&self.control.path()?).await?;
        let status: Value = serde_json::from_str(&text).context("read the status as JSON")?;
        self.output.print(&status, || rows(&status))
    }
}

/// Jobs and services in the order in which they come; what is only watched is last.
fn rows(status: &Value) -> String {
    let list = |key: &str| status[key].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let row = |item: &Value| {
        let address = match (item["Address"].as_str(), item["Port"].as_u64()) {
            (Some(address), Some(port)) if address.contains(':') => format!("[{address}]:{port}"),
            (Some(address), Some(port)) => format!("{address}:{port}"),
            _ => "-".to_owned(),
        };
        vec![text(&item["Name"]), text(&item["Status"]), address]
    };
    let mut rows: Vec<_> = list("Jobs").iter().chain(&list("Services")).map(row).collect();
    rows.extend(
        list("Watches")
            .iter()
            .map(|watch| vec![format!("watch.{}", text(watch)), "-".to_owned(), "-".to_owned()]),
    );
    table(&["JOB", "STATUS", "ADDRESS"], &rows)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_status_is_a_table() {
        let status = json!({
            "Version": "1",
            "Jobs": null,
            "Services": [
                {"Name": "web", "Address": "10.0.0.1", "Port": 80, "Status": "healthy"},
                {"Name": "six", "Address": "fd00::1", "Port": 81, "Status": "unknown"},
            ],
            "Watches": ["db"],
        });
        let expected = "JOB       STATUS   ADDRESS\n\
                        web       healthy  10.0.0.1:80\n\
                        six       unknown  [fd00::1]:81\n\
                        watch.db  -        -\n";
        assert_eq!(rows(&status), expected);
    }

    #[test]
    fn a_pair_is_split_at_its_first_equals_sign() {
        assert_eq!(pair("A=b=c"), Ok(("A".to_owned(), "b=c".to_owned())));
        assert_eq!(pair("A="), Ok(("A".to_owned(), String::new())));
        assert!(pair("A").is_err());
        assert!(pair("=b").is_err());
    }
}

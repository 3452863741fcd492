//! `regrow event fire` and `regrow event ls`: events of a catalog, beside those of plugins.

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};

use super::client::ClientArgs;
use super::kv::line;
use crate::output::{OutputArgs, table};

/// Verbs of `event` that speak with a catalog.
#[derive(Subcommand, Debug)]
pub enum EventCommand {
    /// Fire an event of the catalog and print its id
    Fire(FireArgs),
    /// List the catalog's latest events
    Ls(LsArgs),
}

/// Arguments of `event fire`.
#[derive(Args, Debug)]
pub struct FireArgs {
    #[command(flatten)]
    client: ClientArgs,
    /// Its name
    name: String,
    /// Any text
    #[arg(default_value = "")]
    payload: String,
    /// Only for nodes whose name matches this expression
    #[arg(long, value_name = "EXPRESSION")]
    node: Option<String>,
    /// Only for nodes with a service whose name matches
    #[arg(long, value_name = "EXPRESSION")]
    service: Option<String>,
    /// And one of its tags
    #[arg(long, value_name = "EXPRESSION", requires = "service")]
    tag: Option<String>,
}

/// Arguments of `event ls`.
#[derive(Args, Debug)]
pub struct LsArgs {
    #[command(flatten)]
    client: ClientArgs,
    /// Only those of this name
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Event {
    #[serde(rename = "ID")]
    id: String,
    name: String,
    payload: Option<String>,
    #[serde(rename = "LTime", default)]
    l_time: u64,
}

impl EventCommand {
    /// Does it.
    pub async fn run(self) -> Result<()> {
        match self {
            Self::Fire(args) => args.run().await,
            Self::Ls(args) => args.run().await,
        }
    }
}

impl FireArgs {
    async fn run(self) -> Result<()> {
        let client = self.client.client()?;
        let call = client.put("event/fire", &self.name)?;
        let call = call
            .with_some("node", self.node.as_deref())
            .with_some("service", self.service.as_deref())
            .with_some("tag", self.tag.as_deref());
        let answer = call.body(self.payload.into_bytes()).send().await.context("fire the event")?;
        line(&answer.json::<Event>()?.id)
    }
}

impl LsArgs {
    async fn run(self) -> Result<()> {
        let client = self.client.client()?;
        let call = client.get("event/list", "")?.with_some("name", self.name.as_deref());
        let events: Vec<Event> = call.send().await.context("list events")?.json()?;
        self.output.print(&events, || shown(&events))
    }
}

fn shown(events: &[Event]) -> String {
    let row = |event: &Event| {
        let payload = BASE64_STANDARD.decode(event.payload.as_deref().unwrap_or_default());
        let payload = payload.unwrap_or_default();
        vec![
            event.id.clone(),
            event.name.clone(),
            String::from_utf8_lossy(&payload).escape_debug().to_string(),
        ]
    };
    let rows: Vec<_> = events.iter().map(row).collect();
    table(&["ID", "NAME", "PAYLOAD"], &rows)
}

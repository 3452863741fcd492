//! `regrow session`: what holds locks.

use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand, ValueEnum};
use regrow_ids::GoDuration;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::client::{Client, ClientArgs};
use super::kv::line;
use crate::output::{OutputArgs, table};

/// `regrow session`.
#[derive(Args, Debug)]
pub struct SessionCommand {
    #[command(flatten)]
    client: ClientArgs,
    #[command(subcommand)]
    verb: Verb,
}

/// Verbs of `session`.
#[derive(Subcommand, Debug)]
enum Verb {
    /// Make a session and print its id
    Create(CreateArgs),
    /// List sessions
    Ls(OutputArgs),
    /// Start the time of a session anew
    Renew(IdArgs),
    /// End a session; its locks are released
    Destroy(IdArgs),
}

/// What becomes of the keys of a session that ends.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Behavior {
    /// They stay, without a holder.
    Release,
    /// They are deleted.
    Delete,
}

/// Arguments of `session create`.
#[derive(Args, Debug)]
struct CreateArgs {
    /// Any text
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// It ends when it is not renewed for so long, 10s to 24h; never without
    #[arg(long, value_name = "DURATION")]
    ttl: Option<GoDuration>,
    /// How long nobody gets a lock that it lost
    #[arg(long, value_name = "DURATION", default_value = "15s")]
    lock_delay: GoDuration,
    /// What becomes of its keys when it ends
    #[arg(long, value_enum, default_value = "release")]
    behavior: Behavior,
    /// It lives even while its node is lost, as long as it is renewed
    #[arg(long)]
    without_checks: bool,
}

/// A session.
#[derive(Args, Debug)]
struct IdArgs {
    /// Its id
    id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Made {
    #[serde(rename = "ID")]
    id: String,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Session {
    #[serde(rename = "ID")]
    id: String,
    name: String,
    node: String,
    behavior: String,
    #[serde(rename = "TTL")]
    ttl: String,
    create_index: u64,
}

impl SessionCommand {
    /// Does it.
    pub async fn run(self) -> Result<()> {
        let client = self.client.client()?;
        match self.verb {
            Verb::Create(args) => args.run(&client).await,
            Verb::Ls(output) => {
                let sessions: Vec<Session> =
                    client.get("session/list", "")?.send().await?.json()?;
                output.print(&sessions, || shown(&sessions))
            }
            Verb::Renew(IdArgs { id }) => renew(&client, &id).await,
            Verb::Destroy(IdArgs { id }) => destroy(&client, &id).await,
        }
    }
}

impl CreateArgs {
    async fn run(self, client: &Client) -> Result<()> {
        let mut body = Map::new();
        body.insert("LockDelay".into(), json!(self.lock_delay.to_string()));
        let behavior = match self.behavior {
            Behavior::Release => "release",
            Behavior::Delete => "delete",
        };
        body.insert("Behavior".into(), json!(behavior));
        if let Some(name) = self.name {
            body.insert("Name".into(), json!(name));
        }
        if let Some(ttl) = self.ttl {
            body.insert("TTL".into(), json!(ttl.to_string()));
        }
        if self.without_checks {
            body.insert("Checks".into(), json!([]));
        }
        line(&create(client, &Value::Object(body)).await?)
    }
}

/// Makes a session; its id.
pub async fn create(client: &Client, body: &Value) -> Result<String> {
    let call = client.put("session/create", "")?.body(body.to_string().into_bytes());
    let made: Made = call.send().await.context("create a session")?.json()?;
    Ok(made.id)
}

/// Starts the time of a session anew.
pub async fn renew(client: &Client, id: &str) -> Result<()> {
    client.put("session/renew", id)?.send().await.context("renew the session").map(drop)
}

/// Ends a session.
pub async fn destroy(client: &Client, id: &str) -> Result<()> {
    let answer = client.put("session/destroy", id)?.send().await.context("destroy the session")?;
    if !answer.json::<bool>()? {
        bail!("destroy the session: the catalog said no");
    }
    Ok(())
}

fn shown(sessions: &[Session]) -> String {
    let row = |session: &Session| {
        vec![
            session.id.clone(),
            session.name.clone(),
            session.node.clone(),
            session.behavior.clone(),
            if session.ttl.is_empty() { "-".to_owned() } else { session.ttl.clone() },
        ]
    };
    let rows: Vec<_> = sessions.iter().map(row).collect();
    table(&["ID", "NAME", "NODE", "AT ITS END", "TTL"], &rows)
}

//! Questions to the agent on this machine, through the door in its state folder.

use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use clap::{Args, Subcommand};
use regrow_agent::AgentError;
use regrow_agent::door::{self, Answer, Reply, Request, StatusView};

use crate::output::{OutputArgs, table};
use crate::places::Places;

/// Longest wait for an answer: an election, and a slow disk.
const WITHIN: Duration = Duration::from_secs(60);

/// Asks the agent whose state folder this is.
///
/// # Errors
/// No agent runs there, it refused, or it did not answer in time.
pub async fn ask(places: &Places, request: &Request) -> Result<Answer> {
    let state = places.state();
    match tokio::time::timeout(WITHIN, door::ask(&state, request)).await {
        Ok(answer) => answer.map_err(said),
        Err(_) => bail!(
            "ask the agent with state in {}: no answer within {} s; look at what it prints",
            state.display(),
            WITHIN.as_secs()
        ),
    }
}

/// An agent's error as it stands: its text names the cause, which must not be printed again.
#[expect(clippy::needless_pass_by_value, reason = "the form that `map_err` wants")]
pub fn said(error: AgentError) -> anyhow::Error {
    anyhow!("{error}")
}

/// Has something done.
///
/// # Errors
/// As for [`ask`].
pub async fn tell(places: &Places, request: &Request) -> Result<()> {
    match ask(places, request).await?.reply {
        Reply::Done => Ok(()),
        other => bail!("{}", strange(&other)),
    }
}

/// What is said about an answer to another question.
pub fn strange(reply: &Reply) -> String {
    format!("the agent answered {reply:?}; it is of another version, use the same program for both")
}

/// Arguments of `status`.
#[derive(Args, Debug)]
pub struct StatusArgs {
    #[command(flatten)]
    output: OutputArgs,
}

impl StatusArgs {
    /// Prints how the node stands.
    pub async fn run(self, places: &Places) -> Result<()> {
        match ask(places, &Request::Status).await?.reply {
            Reply::Status(status) => self.output.print(&status, || shown(&status)),
            other => bail!("{}", strange(&other)),
        }
    }
}

fn shown(status: &StatusView) -> String {
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let voters: Vec<_> = status.voters.iter().map(u64::to_string).collect();
    let row = |name: &str, value: String| vec![name.to_owned(), value];
    let rows = [
        row("cluster", status.cluster.clone()),
        row("node", format!("{} ({})", status.number, status.name)),
        row("address", status.address.clone()),
        row("leader", or_none(status.leader.map(|leader| leader.to_string()))),
        row("term", status.term.to_string()),
        row("applied", status.applied.to_string()),
        row("voters", voters.join(", ")),
        row("authority", or_none(status.authority.clone())),
        row("halted", or_none(status.halted.clone())),
    ];
    table(&["WHAT", "IS"], &rows)
}

/// Verbs of `ca`.
#[derive(Subcommand, Debug)]
pub enum CaCommand {
    /// Begin to replace the cluster's certificate authority; the cluster does the rest by itself
    Rotate,
}

impl CaCommand {
    /// Does it.
    pub async fn run(self, places: &Places) -> Result<()> {
        let Self::Rotate = self;
        tell(places, &Request::RotateAuthority).await?;
        eprintln!(
            "begun; `regrow status` shows how far it is: cross-signed, new-issuing, and steady at the end"
        );
        Ok(())
    }
}

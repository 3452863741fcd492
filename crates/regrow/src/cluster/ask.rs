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
        row("leader", leader(status)),
        row("term", status.term.to_string()),
        row("applied", status.applied.to_string()),
        row("voters", voters.join(", ")),
        row("authority", or_none(status.authority.clone())),
        row("halted", or_none(status.halted.clone())),
    ];
    table(&["WHAT", "IS"], &rows)
}

fn leader(status: &StatusView) -> String {
    match (status.leader, status.last_contact_ms) {
        (Some(leader), _) => leader.to_string(),
        (None, Some(ms)) => format!("none, no majority heard for {} s", ms / 1_000),
        (None, None) => "none, no majority heard since the start".to_owned(),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_nobody_leads_it_is_said_since_when() {
        let status = |leader, last_contact_ms| StatusView {
            cluster: "c".into(),
            number: 1,
            name: "a".into(),
            address: "10.0.0.1:7400".into(),
            leader,
            last_contact_ms,
            term: 2,
            applied: 3,
            voters: vec![1, 2, 3],
            authority: None,
            halted: None,
        };
        let shown = |leader, ms| shown(&status(leader, ms));
        assert!(shown(Some(2), Some(0)).contains("leader     2\n"));
        assert!(
            shown(None, Some(14_700)).contains("leader     none, no majority heard for 14 s\n")
        );
        assert!(shown(None, None).contains("heard since the start"));
    }
}

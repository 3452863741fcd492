//! `regrow token`: what lets other nodes in.

use anyhow::{Result, bail};
use clap::{Args, Subcommand, ValueEnum};
use jiff::Timestamp;
use regrow_agent::door::{Reply, Request, StatusView, TokenView};
use regrow_ids::GoDuration;
use regrow_pki::Role;

use super::ask::{ask, strange, tell};
use crate::output::{OutputArgs, print, table};
use crate::places::Places;

/// Verbs of `token`.
#[derive(Subcommand, Debug)]
pub enum TokenCommand {
    /// Make a token and print it: whoever has it can join
    Create(CreateArgs),
    /// List tokens, without their secrets
    Ls(OutputArgs),
    /// Forget a token; nodes that joined with it stay
    Revoke {
        /// The token's id, as `regrow token ls` shows it
        id: String,
    },
}

/// What a token makes of a node.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum RoleName {
    /// It may vote, and sign for others.
    Server,
    /// It runs what it is given.
    Worker,
}

impl From<RoleName> for Role {
    fn from(name: RoleName) -> Self {
        match name {
            RoleName::Server => Self::Server,
            RoleName::Worker => Self::Worker,
        }
    }
}

/// Arguments of `token create`.
#[derive(Args, Debug)]
pub struct CreateArgs {
    /// What the nodes become that join with it
    #[arg(long, value_enum, value_name = "ROLE", default_value = "worker")]
    role: RoleName,
    /// How long it lives, in whole seconds [default: 1h for servers, 24h for workers]
    #[arg(long, value_name = "DURATION")]
    ttl: Option<GoDuration>,
    /// How many nodes can join with it [default: 1 server, 1000 workers]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    uses: Option<u32>,
}

impl TokenCommand {
    /// Does it.
    pub async fn run(self, places: &Places) -> Result<()> {
        match self {
            Self::Create(args) => args.run(places).await,
            Self::Ls(output) => match ask(places, &Request::Tokens).await?.reply {
                Reply::Tokens(tokens) => output.print(&tokens, || shown(&tokens)),
                other => bail!("{}", strange(&other)),
            },
            Self::Revoke { id } => tell(places, &Request::RevokeToken { id }).await,
        }
    }
}

impl CreateArgs {
    /// The token alone goes to standard output, so that scripts can use it; what to do with it goes
    /// to standard error.
    async fn run(self, places: &Places) -> Result<()> {
        let status = match ask(places, &Request::Status).await?.reply {
            Reply::Status(status) => status,
            other => bail!("{}", strange(&other)),
        };
        let ttl_seconds = self.ttl.map(|ttl| ttl.as_duration().as_secs());
        let request = Request::CreateToken { role: self.role.into(), ttl_seconds, uses: self.uses };
        match ask(places, &request).await?.reply {
            Reply::Token(token) => {
                print(&format!("{token}\n"))?;
                eprintln!("{}", advice(&token, &status));
                Ok(())
            }
            other => bail!("{}", strange(&other)),
        }
    }
}

fn advice(token: &str, status: &StatusView) -> String {
    format!("on the other machine: regrow agent --join {token}@{}", status.address)
}

fn shown(tokens: &[TokenView]) -> String {
    let row = |token: &TokenView| {
        let ends = i64::try_from(token.expires_ms).ok();
        let ends = ends.and_then(|ends| Timestamp::from_millisecond(ends).ok());
        vec![
            token.id.clone(),
            token.role.clone(),
            ends.map_or_else(|| "-".to_owned(), |ends| format!("{ends:.0}")),
            token.uses_left.to_string(),
        ]
    };
    let rows: Vec<_> = tokens.iter().map(row).collect();
    table(&["ID", "ROLE", "ENDS", "USES LEFT"], &rows)
}

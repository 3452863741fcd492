//! `regrow acl token`: who may do what with a catalog.

use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::client::{Client, ClientArgs};
use crate::output::{OutputArgs, confirm, print, table};

/// Name of the policy that allows everything.
const MANAGEMENT: &str = "global-management";

/// `regrow acl`.
#[derive(Args, Debug)]
#[command(
    after_help = "A catalog has tokens where its agent was started with --acl-token-file. These \
    commands need a management token, in CONSUL_HTTP_TOKEN or with --token-file."
)]
pub struct AclCommand {
    #[command(flatten)]
    client: ClientArgs,
    #[command(subcommand)]
    noun: Noun,
}

/// Nouns of `acl`.
#[derive(Subcommand, Debug)]
enum Noun {
    /// Make, list and remove tokens
    #[command(subcommand)]
    Token(Verb),
}

/// Verbs of `acl token`.
#[derive(Subcommand, Debug)]
enum Verb {
    /// Make a token and print its id and its secret, which is shown only now
    Create(CreateArgs),
    /// List tokens, without their secrets
    Ls(OutputArgs),
    /// Remove a token by its id
    Rm(RmArgs),
}

/// Arguments of `acl token create`.
#[derive(Args, Debug)]
struct CreateArgs {
    /// What people read
    #[arg(long, value_name = "TEXT", default_value = "")]
    description: String,
    /// Rules as Consul writes them, such as 'key_prefix "app/" { policy = "write" }' for all names
    /// that begin so and 'key "mode" { policy = "read" }' for one; of keys, services, nodes, sessions,
    /// events and agents; and operator = "read"
    #[arg(long, value_name = "TEXT", required_unless_present = "management")]
    rules: Option<String>,
    /// It may do everything
    #[arg(long, conflicts_with = "rules")]
    management: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// Arguments of `acl token rm`.
#[derive(Args, Debug)]
struct RmArgs {
    /// Its id, as `ls` shows it
    id: String,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Policy {
    name: String,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Token {
    #[serde(rename = "AccessorID")]
    accessor_id: String,
    #[serde(rename = "SecretID", default, skip_serializing_if = "Option::is_none")]
    secret_id: Option<String>,
    description: String,
    #[serde(default)]
    policies: Vec<Policy>,
    #[serde(default)]
    rules: String,
}

impl AclCommand {
    /// Does it.
    pub async fn run(self) -> Result<()> {
        let client = self.client.client()?;
        let Noun::Token(verb) = self.noun;
        match verb {
            Verb::Create(args) => args.run(&client).await,
            Verb::Ls(output) => {
                let call = client.get("acl/tokens", "")?;
                let tokens: Vec<Token> = call.send().await.context("list tokens")?.json()?;
                output.print(&tokens, || shown(&tokens))
            }
            Verb::Rm(args) => args.run(&client).await,
        }
    }
}

impl CreateArgs {
    async fn run(self, client: &Client) -> Result<()> {
        let policies: Vec<_> =
            self.management.then(|| json!({"Name": MANAGEMENT})).into_iter().collect();
        let body = json!({
            "Description": self.description,
            "Rules": self.rules.unwrap_or_default(),
            "Policies": policies,
        });
        let call = client.put("acl/token", "")?.body(body.to_string().into_bytes());
        let token: Token = call.send().await.context("make a token")?.json()?;
        self.output.print(&token, || {
            let secret = token.secret_id.as_deref().unwrap_or_default();
            format!("id      {}\nsecret  {secret}\n", token.accessor_id)
        })
    }
}

impl RmArgs {
    async fn run(self, client: &Client) -> Result<()> {
        // An id that is none is an error; removing it would say nothing.
        let call = client.get("acl/token", &self.id)?;
        let token: Token =
            call.send().await.with_context(|| format!("look for token {:?}", self.id))?.json()?;
        if !self.yes {
            confirm(
                &format!("remove token {:?} ({})", token.accessor_id, token.description),
                false,
            )?;
        }
        let call = client.call(Method::DELETE, "acl/token", &self.id)?;
        if !call.send().await.context("remove the token")?.json::<bool>()? {
            bail!("remove token {:?}: the catalog said no", self.id);
        }
        print(&format!("removed {}\n", token.accessor_id))
    }
}

fn shown(tokens: &[Token]) -> String {
    let row = |token: &Token| {
        let all = token.policies.iter().any(|policy| policy.name == MANAGEMENT);
        let may = if all { "everything".to_owned() } else { token.rules.clone() };
        vec![token.accessor_id.clone(), token.description.clone(), may]
    };
    let rows: Vec<_> = tokens.iter().map(row).collect();
    table(&["ID", "DESCRIPTION", "MAY"], &rows)
}

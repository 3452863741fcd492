//! `regrow kv`: keys.

use std::io::{IsTerminal as _, Read as _, Write as _};

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use clap::{Args, Subcommand};
use reqwest::{Method, StatusCode};
use serde::{Deserialize, Serialize};

use super::client::{Client, ClientArgs};
use super::lock::LockArgs;
use crate::output::{OutputArgs, confirm, print, table};

/// Largest value that a catalog takes, in bytes.
const VALUE_BYTES: u64 = 512 << 10;

/// `regrow kv`.
#[derive(Args, Debug)]
pub struct KvCommand {
    #[command(flatten)]
    client: ClientArgs,
    #[command(subcommand)]
    verb: Verb,
}

/// Verbs of `kv`.
#[derive(Subcommand, Debug)]
enum Verb {
    /// Print the value of a key
    Get(GetArgs),
    /// Write a key
    Put(PutArgs),
    /// Delete a key, or all below a prefix
    Delete(DeleteArgs),
    /// List keys
    Ls(LsArgs),
    /// Run a command while a lock is held
    Lock(LockArgs),
}

/// Arguments of `kv get`.
#[derive(Args, Debug)]
struct GetArgs {
    /// The key
    key: String,
    /// Print everything about it, with the value in base64
    #[arg(long)]
    detailed: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// Arguments of `kv put`.
#[derive(Args, Debug)]
struct PutArgs {
    /// The key
    key: String,
    /// The value; from standard input where it is - or missing
    #[arg(allow_hyphen_values = true)]
    value: Option<String>,
    /// Only if this is the index of its last change; 0 for a key that is not there
    #[arg(long, value_name = "INDEX")]
    cas: Option<u64>,
    /// Any number, kept with it
    #[arg(long, value_name = "N")]
    flags: Option<u64>,
}

/// Arguments of `kv delete`.
#[derive(Args, Debug)]
struct DeleteArgs {
    /// The key, or the prefix
    key: String,
    /// All keys that begin so
    #[arg(long, conflicts_with = "cas")]
    recurse: bool,
    /// Only if this is the index of its last change
    #[arg(long, value_name = "INDEX")]
    cas: Option<u64>,
    /// Do not ask before --recurse
    #[arg(long)]
    yes: bool,
}

/// Arguments of `kv ls`.
#[derive(Args, Debug)]
struct LsArgs {
    /// Those that begin so; all without
    #[arg(default_value = "")]
    prefix: String,
    /// Up to the first of these after the prefix
    #[arg(long, value_name = "TEXT")]
    separator: Option<String>,
    #[command(flatten)]
    output: OutputArgs,
}

/// A key as a catalog shows it.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Entry {
    /// The key.
    pub key: String,
    /// In base64.
    pub value: Option<String>,
    /// Any number.
    pub flags: u64,
    /// Grows with each new holder.
    pub lock_index: u64,
    /// Who holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// Index at which it was made.
    pub create_index: u64,
    /// Index of its last change.
    pub modify_index: u64,
}

impl KvCommand {
    /// Does it.
    pub async fn run(self) -> Result<()> {
        let client = self.client.client()?;
        match self.verb {
            Verb::Get(args) => args.run(&client).await,
            Verb::Put(args) => args.run(&client).await,
            Verb::Delete(args) => args.run(&client).await,
            Verb::Ls(args) => args.run(&client).await,
            Verb::Lock(args) => args.run(&client).await,
        }
    }
}

/// A key that names something.
pub fn check(key: &str) -> Result<&str> {
    if key.is_empty() || key.starts_with('/') {
        bail!("key {key:?}: expected a name that does not begin with /");
    }
    Ok(key)
}

impl GetArgs {
    async fn run(self, client: &Client) -> Result<()> {
        let answer = client.get("kv", check(&self.key)?)?.any().await?;
        match answer.status {
            StatusCode::NOT_FOUND => bail!("key {:?}: it does not exist", self.key),
            status if !status.is_success() => bail!("key {:?}: {}", self.key, answer.refusal()),
            _ => {}
        }
        let entries: Vec<Entry> = answer.json()?;
        let entry = entries.first().context("the catalog answered without an entry")?;
        if self.detailed {
            return self.output.print_document(entry);
        }
        let value = BASE64_STANDARD.decode(entry.value.as_deref().unwrap_or_default())?;
        let mut out = std::io::stdout().lock();
        out.write_all(&value)?;
        out.write_all(line_end(&value, out.is_terminal()))?;
        Ok(out.flush()?)
    }
}

/// What follows a value: on a terminal the prompt must not stand behind it, everybody else gets its
/// bytes alone.
fn line_end(value: &[u8], on_terminal: bool) -> &'static [u8] {
    if on_terminal && !value.ends_with(b"\n") { b"\n" } else { b"" }
}

/// The value, as given or from standard input.
fn value(given: Option<&str>) -> Result<Vec<u8>> {
    match given {
        Some(value) if value != "-" => Ok(value.as_bytes().to_vec()),
        _ => {
            let mut value = Vec::new();
            let limit = std::io::stdin().lock().take(VALUE_BYTES + 1).read_to_end(&mut value);
            limit.context("read the value from standard input")?;
            if value.len() as u64 > VALUE_BYTES {
                bail!("read the value from standard input: it is longer than {VALUE_BYTES} bytes");
            }
            Ok(value)
        }
    }
}

impl PutArgs {
    async fn run(self, client: &Client) -> Result<()> {
        let call = client.put("kv", check(&self.key)?)?;
        let cas = self.cas.map(|index| index.to_string());
        let flags = self.flags.map(|flags| flags.to_string());
        let call = call.with_some("cas", cas.as_deref()).with_some("flags", flags.as_deref());
        let answer = call.body(value(self.value.as_deref())?).send().await?;
        if !answer.json::<bool>()? {
            bail!("key {:?}: not written; it changed since that index", self.key);
        }
        Ok(())
    }
}

impl DeleteArgs {
    async fn run(self, client: &Client) -> Result<()> {
        if !self.recurse {
            check(&self.key)?;
        } else if !self.yes {
            let count = keys(client, &self.key, None).await?.len();
            confirm(&format!("delete {count} keys that begin with {:?}", self.key), false)?;
        }
        let call = client.call(Method::DELETE, "kv", &self.key)?;
        let cas = self.cas.map(|index| index.to_string());
        let call = call.with_some("cas", cas.as_deref());
        let call = if self.recurse { call.with("recurse", "") } else { call };
        if !call.send().await?.json::<bool>()? {
            bail!("key {:?}: not deleted; it changed since that index", self.key);
        }
        Ok(())
    }
}

async fn keys(client: &Client, prefix: &str, separator: Option<&str>) -> Result<Vec<String>> {
    // Without a prefix the path ends with its slash.
    let call = client.get(if prefix.is_empty() { "kv/" } else { "kv" }, prefix)?;
    let call = call.with("keys", "").with_some("separator", separator);
    let answer = call.any().await?;
    match answer.status {
        StatusCode::NOT_FOUND => Ok(Vec::new()),
        status if status.is_success() => answer.json(),
        _ => bail!("list keys: {}", answer.refusal()),
    }
}

impl LsArgs {
    async fn run(self, client: &Client) -> Result<()> {
        let keys = keys(client, &self.prefix, self.separator.as_deref()).await?;
        self.output.print(&keys, || {
            let rows: Vec<_> = keys.iter().map(|key| vec![key.clone()]).collect();
            table(&["KEY"], &rows)
        })
    }
}

/// Prints a line.
pub fn line(text: &str) -> Result<()> {
    print(&format!("{text}\n"))
}

#[cfg(test)]
mod tests {
    use super::line_end;

    #[test]
    fn a_value_ends_its_line_on_a_terminal_only() {
        for (value, on_terminal, end) in
            [("a", true, "\n"), ("", true, "\n"), ("a\n", true, ""), ("a", false, "")]
        {
            assert_eq!(line_end(value.as_bytes(), on_terminal), end.as_bytes(), "{value:?}");
        }
    }
}

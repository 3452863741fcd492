//! Launch rules, as InfraKit writes them: what a key of `plugin start` means.

use anyhow::{Result, anyhow};
use regrow_codec::{Any, decode};
use serde::Deserialize;

use crate::documents::{Loader, RenderArgs};

/// One rule.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Rule {
    /// The word that it is for.
    pub key: String,
    /// What to do.
    pub launch: Launch,
}

/// What a rule starts. The names are lower case in documents; case does not matter.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Launch {
    /// In this process.
    pub inproc: Option<Inproc>,
    /// As a process of its own.
    pub os: Option<Os>,
}

/// A plugin of this program.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Inproc {
    /// Its kind.
    pub kind: String,
    /// Its options.
    pub options: Any,
}

/// A shell command.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Os {
    /// What the shell runs.
    pub cmd: String,
    /// It gets the signals that this process gets.
    #[serde(rename = "SamePgID")]
    pub same_group: bool,
}

/// Reads rules; without a URL there are none.
pub async fn read(url: Option<&str>, render: &RenderArgs) -> Result<Vec<Rule>> {
    let Some(url) = url else { return Ok(Vec::new()) };
    let document = Loader::new(render.clone()).document(url).await?;
    decode::from_value_strict(&document.value)
        .map_err(|fault| anyhow!("read rules of --config-url {}: {fault}", document.place))
}

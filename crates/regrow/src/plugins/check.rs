//! `plugin check`: the conformance kit on any plugin.

use std::path::Path;

use anyhow::{Context as _, Result, anyhow, bail};
use clap::Args;
use regrow_codec::Any;
use regrow_plugin::Endpoint;
use regrow_plugin::conformance::{self, Options};

use crate::documents::{Loader, RenderArgs};
use crate::finder::Finder;
use crate::local::plugin_name;
use crate::output::{OutputArgs, print};

/// Arguments of `plugin check`.
#[derive(Args, Debug)]
pub struct CheckArgs {
    /// A socket, an address (tcp://host:port), or the name of a plugin that runs; NAME/OBJECT checks
    /// that object
    #[arg(value_name = "SOCKET|NAME", required_unless_present = "list")]
    plugin: Option<String>,
    /// Settings of an instance: only with these are instances made and destroyed
    #[arg(long, value_name = "URL")]
    provision: Option<String>,
    /// Settings that the flavor accepts
    #[arg(long, value_name = "URL")]
    flavor: Option<String>,
    /// Only the checks whose name begins so
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    only: Vec<String>,
    /// List the checks instead of running them
    #[arg(long)]
    list: bool,
    #[command(flatten)]
    output: OutputArgs,
}

impl CheckArgs {
    /// Runs the checks; fails if one that must be passed was not.
    pub async fn run(&self, finder: &Finder) -> Result<()> {
        if self.list {
            let rows = conformance::catalogue().map(|(id, title, level)| {
                vec![id.to_owned(), format!("{level:?}").to_lowercase(), title.to_owned()]
            });
            let rows: Vec<_> = rows.collect();
            return print(&crate::output::table(&["CHECK", "WEIGHT", "WHAT"], &rows));
        }
        let Some(plugin) = &self.plugin else { bail!("check a plugin: name it") };
        if let Some(unknown) = conformance::matches_nothing(&self.only) {
            bail!(
                "check plugin {plugin}: no check's name begins with {unknown:?} (--only); \
                 `regrow plugin check --list` shows all"
            );
        }
        let (endpoint, object) = find(finder, plugin)?;
        let mut options = Options { object, only: self.only.clone(), ..Options::default() };
        options.provision = match &self.provision {
            Some(url) => Some(settings(url).await?),
            None => None,
        };
        if let Some(url) = &self.flavor {
            options.flavor_properties = settings(url).await?;
        }
        let report = conformance::run(endpoint, options).await;
        self.output.print(&report, || format!("{report}\n"))?;
        if !report.passed() {
            bail!("check plugin {plugin}: {} checks failed", report.counts().failed);
        }
        Ok(())
    }
}

async fn settings(url: &str) -> Result<Any> {
    let document = Loader::new(RenderArgs::default()).document(url).await?;
    Ok(Any::from(&document.value))
}

/// An address stands for itself; anything else is a name.
fn find(finder: &Finder, plugin: &str) -> Result<(Endpoint, Option<String>)> {
    if plugin.contains("://") || Path::new(plugin).is_absolute() || Path::new(plugin).exists() {
        let endpoint = plugin.parse().map_err(|fault| anyhow!("check plugin {plugin}: {fault}"))?;
        return Ok((endpoint, None));
    }
    let name = plugin_name(plugin);
    let client = finder.client(&name).with_context(|| format!("check plugin {plugin}"))?;
    let object = Some(name.subtype().to_owned()).filter(|object| !object.is_empty());
    Ok((client.endpoint().clone(), object))
}

//! `regrow template`: renders a template, or turns one form of data into another.

use std::io::Read as _;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow, bail};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::Value;

use crate::documents::{Loader, RenderArgs};
use crate::finder::Finder;
use crate::metadata::PluginMetadata;
use crate::output::{print, yaml};

/// Largest input of `template format`.
const MAX_BYTES: u64 = 64 << 20;

/// Arguments of `template`.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct TemplateArgs {
    #[command(subcommand)]
    verb: Option<TemplateVerb>,
    /// Template: a file, a URL, str:// and a text, or - for standard input
    #[arg(value_name = "URL", required = true)]
    url: Option<String>,
    /// Write to this file
    #[arg(short = 'o', long = "output", value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    render: RenderArgs,
}

#[derive(Subcommand, Debug)]
enum TemplateVerb {
    /// Turn YAML or JSON from standard input into the other
    Format {
        /// What to print
        form: Form,
    },
    /// List the functions that templates can call
    Functions,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    Json,
    Yaml,
}

impl TemplateArgs {
    /// Does it.
    pub async fn run(&self, finder: Finder) -> Result<()> {
        match &self.verb {
            Some(TemplateVerb::Format { form }) => return format(*form),
            Some(TemplateVerb::Functions) => return functions(),
            None => {}
        }
        let Some(url) = &self.url else { bail!("render a template: name it") };
        let metadata = Arc::new(PluginMetadata::new(finder));
        let mut text = Loader::new(self.render.clone()).metadata(metadata).text(url).await?;
        if self.render.yaml {
            // `-y` says that the template gives YAML; data leaves this program as JSON.
            let value: Value = serde_saphyr::from_str(&text)
                .map_err(|fault| anyhow!("read what {url} gives as YAML: {fault}"))?;
            text = serde_json::to_string_pretty(&value)? + "\n";
        }
        match &self.file {
            Some(path) => {
                std::fs::write(path, text).with_context(|| format!("write {}", path.display()))
            }
            None => print(&text),
        }
    }
}

fn format(form: Form) -> Result<()> {
    let mut text = String::new();
    std::io::stdin().take(MAX_BYTES).read_to_string(&mut text).context("read standard input")?;
    let options = serde_saphyr::options! { strict_booleans: true, with_snippet: false };
    // JSON is YAML as well, but its numbers may be longer than YAML's reader keeps.
    let value: Value = match serde_json::from_str(&text) {
        Ok(value) => value,
        Err(_) => serde_saphyr::from_str_with_options(&text, options)
            .map_err(|fault| anyhow!("read standard input as JSON or YAML: {fault}"))?,
    };
    match form {
        Form::Json => print(&(serde_json::to_string_pretty(&value)? + "\n")),
        Form::Yaml => print(&yaml(&value)?),
    }
}

fn functions() -> Result<()> {
    let rows = regrow_template::builtin_help().into_iter().map(|help| {
        let about = help.description.first().cloned().unwrap_or_default();
        vec![help.name, help.usage, about]
    });
    print(&crate::output::table(&["NAME", "USAGE", "ABOUT"], &rows.collect::<Vec<_>>()))
}

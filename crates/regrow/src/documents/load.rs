//! Getting a document and rendering it.

use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow, bail};
use clap::Args;
use regrow_template::{Function, MetadataLookup, Options, Template, TemplateError, Value};

use super::Document;

/// Largest document from a file or standard input.
const MAX_BYTES: u64 = 16 << 20;

/// The flags of every command that reads a document; the names are InfraKit's.
#[derive(Args, Clone, Debug, Default)]
pub struct RenderArgs {
    /// Set a template variable; numbers and true/false become such
    #[arg(long = "var", value_name = "K=V", value_parser = parse_var)]
    pub vars: Vec<(String, serde_json::Value)>,
    /// Render for the last time: an unset variable no longer prints itself back
    #[arg(short = 'f', long = "final")]
    pub last_pass: bool,
    /// Print the rendered document to standard error
    #[arg(short = 'x', long)]
    pub dump: bool,
    /// The document is YAML (it is recognised without this)
    #[arg(short = 'y', long)]
    pub yaml: bool,
}

/// `k=v`, where the value is a number or a truth value if it looks like one.
pub fn parse_var(text: &str) -> Result<(String, serde_json::Value), String> {
    let Some((name, value)) = text.split_once('=') else {
        return Err(format!("{text:?} has no '='; write it like size=5"));
    };
    if name.is_empty() {
        return Err(format!("{text:?} has no name before '='; write it like size=5"));
    }
    Ok((name.to_owned(), scalar(value)))
}

/// A number, a truth value, or the text as it is.
pub fn scalar(text: &str) -> serde_json::Value {
    if let Ok(number) = text.parse::<i64>() {
        return number.into();
    }
    match text {
        "true" => true.into(),
        "false" => false.into(),
        other => other.into(),
    }
}

/// Loads and renders documents.
#[derive(Clone, Default)]
pub struct Loader {
    args: RenderArgs,
    metadata: Option<Arc<dyn MetadataLookup>>,
}

impl Loader {
    /// With the user's flags.
    pub fn new(args: RenderArgs) -> Self {
        Self { args, metadata: None }
    }

    /// Where templates find metadata.
    #[must_use]
    pub fn metadata(mut self, lookup: Arc<dyn MetadataLookup>) -> Self {
        self.metadata = Some(lookup);
        self
    }

    /// The rendered text of a document: a path, a URL, or `-` for standard input.
    pub async fn text(&self, url: &str) -> Result<String> {
        let (this, owned) = (self.clone(), url.to_owned());
        // Loading may wait for a network, and rendering may take long.
        let rendered = tokio::task::spawn_blocking(move || this.render(&owned)).await;
        rendered.map_err(|fault| anyhow!("render {url}: {fault}"))?
    }

    /// The documents in a file: one in JSON, any number in YAML.
    pub async fn documents(&self, url: &str) -> Result<Vec<Document>> {
        let text = self.text(url).await?;
        super::decode::documents(url, &text).map_err(|fault| match unset(&text) {
            Some(name) => anyhow!(
                "{fault:#}; variable {name:?} is not set: give --var {name}=VALUE, or --final to take \
                 its default"
            ),
            None => fault,
        })
    }

    /// The only document in a file.
    pub async fn document(&self, url: &str) -> Result<Document> {
        let mut all = self.documents(url).await?;
        match (all.pop(), all.len()) {
            (Some(only), 0) => Ok(only),
            (None, _) => bail!("read {url}: it is empty; expected one document"),
            (_, more) => bail!("read {url}: it holds {} documents, expected one", more + 1),
        }
    }

    fn render(&self, url: &str) -> Result<String> {
        let options = Options { multi_pass: !self.args.last_pass, ..Options::default() };
        let mut template = match read(url)? {
            Some((text, base)) => Template::from_text(&text, &base, &options),
            None => {
                Template::from_url(url, &options).map_err(|error| failed("load", url, &error))?
            }
        };
        if let Some(metadata) = &self.metadata {
            template = template.metadata(Arc::clone(metadata));
        }
        for (name, value) in &self.args.vars {
            template = template.var(name, value);
        }
        let own = Function::new(
            "executable",
            "func() string",
            "Path of the running regrow program",
            |_, args| match std::env::current_exe() {
                Ok(path) => Ok(Value::Str(path.display().to_string().into())),
                Err(error) => Err(args.fail(error.to_string())),
            },
        );
        let rendered = template.function(own).render(&serde_json::Value::Null);
        let text = rendered.map_err(|error| failed("render", url, &error))?.text;
        if self.args.dump {
            eprintln!("{text}");
        }
        Ok(text)
    }
}

/// The first variable that printed itself back, because it has no value yet.
fn unset(rendered: &str) -> Option<&str> {
    rendered.split("{{ var `").nth(1)?.split_once("` }}").map(|(name, _)| name)
}

fn failed(doing: &str, url: &str, error: &TemplateError) -> anyhow::Error {
    anyhow!("{doing} {url}: {}", error.report())
}

/// Text and base URL of what is no URL: a file, or standard input.
fn read(url: &str) -> Result<Option<(String, String)>> {
    if url == "-" {
        let mut text = String::new();
        std::io::stdin()
            .take(MAX_BYTES)
            .read_to_string(&mut text)
            .context("read standard input")?;
        return Ok(Some((text, file_url(Path::new(".")).unwrap_or_default() + "/")));
    }
    if url.contains("://") && !url.starts_with("file://") {
        return Ok(None);
    }
    let path = Path::new(url.strip_prefix("file://").unwrap_or(url));
    let about = || format!("read {}", path.display());
    let meta = std::fs::metadata(path).with_context(about)?;
    if meta.is_dir() {
        bail!("{}: it is a folder; name a file in it", about());
    }
    // A pipe has no length beforehand.
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).with_context(about)?;
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).with_context(about)?;
    if bytes.len() as u64 > MAX_BYTES {
        bail!("{}: it has more than {MAX_BYTES} bytes", about());
    }
    let text = String::from_utf8(bytes)
        .map_err(|fault| anyhow!("{}: it is not text (UTF-8): {}", about(), fault.utf8_error()))?;
    Ok(Some((text, file_url(path)?)))
}

/// `file://` URL of a path. What a shell makes of `<(command)` leads to a pipe, which has no other
/// path than the one given.
fn file_url(path: &Path) -> Result<String> {
    let whole = path.canonicalize().or_else(|_| std::path::absolute(path));
    let whole = whole.with_context(|| format!("resolve {}", path.display()))?;
    Ok(format!("file://{}", whole.display()))
}

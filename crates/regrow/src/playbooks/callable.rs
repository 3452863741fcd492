//! One callable: a template that is rendered several times (InfraKit specification §7.3).
//!
//! First to learn its flags, errors aside; then, with the flags given, for the script. The line
//! `{{/* =% sh %= */}}` names the backend that gets the script.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, anyhow, bail};
use regrow_template::{Args, CallError, Function, MetadataLookup, Options, Template, Value};

use super::flags::{self, Flags};

/// What surrounds the backend line.
const BACKEND: (&str, &str) = ("=%", "%=");

/// How missing values are dealt with.
#[derive(Clone, Copy, Debug, Default)]
pub struct Manners {
    /// Take defaults instead of asking.
    pub accept_defaults: bool,
}

/// A callable that was loaded.
pub struct Callable {
    url: String,
    text: String,
    flags: Flags,
    metadata: Arc<dyn MetadataLookup>,
}

impl Callable {
    /// Collects the flags of a text.
    pub fn new(url: &str, text: String, metadata: Arc<dyn MetadataLookup>) -> Self {
        let flags = Flags::default();
        let this = Self { url: url.to_owned(), text, flags, metadata };
        // Whatever comes behind a fault of this pass has no flags; the last pass says what it is.
        if let Err(fault) = this.render(Manners { accept_defaults: true }) {
            tracing::debug!(%fault, url, "collect the flags of a callable");
        }
        this
    }

    /// The flags.
    pub fn flags(&self) -> &Flags {
        &self.flags
    }

    /// The words between `=%` and `%=`.
    pub fn backend(&self) -> Result<Vec<String>> {
        let (left, right) = BACKEND;
        let inside = self.text.split_once(left).and_then(|(_, rest)| rest.split_once(right));
        let Some((words, _)) = inside else {
            bail!(
                "run {}: it names no backend; write one in it, such as {{{{/* =% sh %= */}}}}",
                self.url
            );
        };
        let words = words.split_whitespace();
        Ok(words.map(|word| word.trim_matches(['"', '`']).to_owned()).collect())
    }

    /// The script.
    pub fn script(&self, manners: Manners) -> Result<String> {
        self.render(manners)
    }

    fn render(&self, manners: Manners) -> Result<String> {
        let options = Options { multi_pass: false, ..Options::default() };
        let template = Template::from_text(&self.text, &self.url, &options)
            .metadata(Arc::clone(&self.metadata))
            .functions("playbook", self.functions(manners));
        let rendered = template.render(&serde_json::Value::Null);
        Ok(rendered.map_err(|fault| anyhow!("run {}: {}", self.url, fault.report()))?.text)
    }

    fn functions(&self, manners: Manners) -> Vec<Function> {
        let declare = |name: &'static str, list: bool| {
            let flags = self.flags.clone();
            let signature = "func(string, string, string, ...interface {}) interface {}";
            Function::new(
                name,
                signature,
                "Declares a flag and yields its value",
                move |_, args| flags.declare(args, list),
            )
        };
        let prompt = |name: &'static str, list: bool| {
            let flags = self.flags.clone();
            let signature = "func(string, string, ...interface {}) interface {}";
            let about = "Asks for a value that was not given";
            Function::new(name, signature, about, move |_, args| ask(&flags, manners, args, list))
        };
        let collecting = self.flags.clone();
        let file = Function::new(
            "file",
            "func(string, interface {}) string",
            "Writes a file",
            move |_, args| {
                if collecting.is_collecting() {
                    return Ok(Value::from(""));
                }
                let path = args.text(0)?;
                std::fs::write(Path::new(path), args.any(1).to_string())
                    .map_err(|error| args.fail(format!("write {path}: {error}")))?;
                Ok(Value::from(""))
            },
        );
        let cond = Function::new(
            "cond",
            "func(interface {}, interface {}) interface {}",
            "Lets the prompt behind it ask only if its first argument is true",
            |_, args| {
                let wanted = match args.any(0).as_str() {
                    Some(text) => ["true", "yes", "y", "1"].contains(&text.to_lowercase().as_str()),
                    None => args.any(0).is_true(),
                };
                let value = args.any(1).clone();
                // An empty text is a value: nobody is asked for it.
                Ok(if wanted || !matches!(value, Value::Nil) { value } else { Value::from("") })
            },
        );
        vec![
            declare("flag", false),
            declare("param", false),
            declare("listflag", true),
            declare("listparam", true),
            prompt("prompt", false),
            prompt("listprompt", true),
            file,
            cond,
        ]
    }
}

/// `VALUE | prompt "text" "type" [default]`: the value is the last argument.
fn ask(flags: &Flags, manners: Manners, args: &Args<'_>, list: bool) -> Result<Value, CallError> {
    let (text, kind) = (args.text(0)?, args.text(1)?);
    let (default, piped) = match args.len() {
        0..=2 => (Value::Nil, Value::Nil),
        3 => (Value::Nil, args.any(2).clone()),
        _ => (args.any(2).clone(), args.any(args.len() - 1).clone()),
    };
    if !matches!(piped, Value::Nil) || flags.is_collecting() {
        return Ok(piped);
    }
    // A default that is written as a text is read as an answer would be.
    let default = match default {
        Value::Str(text) => flags::read(&text, kind, list),
        other => other,
    };
    if manners.accept_defaults || !std::io::stdin().is_terminal() {
        return match default {
            Value::Nil => Err(args.fail(format!("{text}: no value was given; give it as a flag"))),
            default => Ok(default),
        };
    }
    let shown = match &default {
        Value::Nil => String::new(),
        default => format!("[{default}] "),
    };
    eprint!("{text} {shown}");
    // What cannot be shown will be missed by nobody but the reader.
    let _ = std::io::stderr().flush();
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    read.map_err(|error| args.fail(format!("{text}: {error}")))?;
    match answer.trim() {
        "" if matches!(default, Value::Nil) => Err(args.fail(format!("{text}: no answer"))),
        "" => Ok(default),
        answer => Ok(flags::read(answer, kind, list)),
    }
}

//! One callable: a template that is rendered several times (InfraKit specification §7.3).
//!
//! First to learn its flags, errors aside; then, with the flags given, for the script; then, with the
//! variables of the script, for the line that names the backend (see `line`).
//!
//! While the flags are learnt nothing is fetched: `include` yields `{}` and `fetch` an empty text, as
//! the paths of both are often made of flags; definitions that several callables share are brought in
//! with `source`. In the run that makes the script they yield the same where they fail, with a warning:
//! callables look so for files that not everybody has. Where a plugin gets the script as a document,
//! they end the run: a document that lacks a part asks for something else.

use std::collections::BTreeMap;
use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, anyhow};
use regrow_template::{
    Args, CallError, Function, MetadataLookup, Object, Options, Rendered, Template, TemplateError,
    Value,
};

use super::flags::{self, Flags};
use super::line;
use super::pages::Pages;

/// Type of what `cond` hands on in place of a missing value that nobody is to be asked for.
const UNASKED: &str = "unasked";

/// How missing values are dealt with.
#[derive(Clone, Copy, Debug, Default)]
pub struct Manners {
    /// Take defaults instead of asking.
    pub accept_defaults: bool,
    /// A part that `include` or `fetch` cannot have ends the run.
    pub whole: bool,
}

/// Functions that read a part, and what they yield without it.
const PARTS: [(&str, &str); 2] = [("include", "{}"), ("fetch", "")];

/// Variables of a template.
type Vars = BTreeMap<String, serde_json::Value>;

/// A callable that was loaded.
pub struct Callable {
    url: String,
    text: String,
    flags: Flags,
    /// Name of the backend, or why there is none.
    backend: Result<String, String>,
    pages: Pages,
    metadata: Arc<dyn MetadataLookup>,
}

impl Callable {
    /// Collects the flags of a text.
    pub fn new(url: &str, text: String, pages: Pages, metadata: Arc<dyn MetadataLookup>) -> Self {
        let flags = Flags::default();
        let backend = Ok(String::new());
        let mut this = Self { url: url.to_owned(), text, flags, backend, pages, metadata };
        // Whatever comes behind a fault of this pass has no flags; the last pass says what it is.
        let rendered = this.script(Manners::default()).map(|rendered| rendered.vars);
        let vars = rendered.unwrap_or_else(|fault| {
            tracing::debug!(%fault, url, "collect the flags of a callable");
            Vars::new()
        });
        this.backend = match this.line(&vars, Manners::default()) {
            Ok(words) => Ok(words.into_iter().next().unwrap_or_default()),
            // What the backend is called with may only be right when the flags are given.
            Err(fault) => line::name(&this.text).ok_or_else(|| format!("{fault:#}")),
        };
        this
    }

    /// The flags.
    pub fn flags(&self) -> &Flags {
        &self.flags
    }

    /// The name of the backend as it is before the flags are given.
    pub fn backend(&self) -> Result<&str> {
        self.backend.as_deref().map_err(|fault| anyhow!("{fault}"))
    }

    /// The name of the backend and the words behind it, with the variables that the script left.
    pub fn line(&self, vars: &Vars, manners: Manners) -> Result<Vec<String>> {
        let (left, right) = line::DELIMITERS;
        let template = self.template((left, right), manners);
        let template =
            vars.iter().fold(template, |template, (name, value)| template.var(name, value));
        line::words(template)
    }

    /// The script, and the variables that it leaves.
    pub fn script(&self, manners: Manners) -> Result<Rendered> {
        let rendered = self.template(("{{", "}}"), manners).render(&serde_json::Value::Null);
        rendered.map_err(|fault| anyhow!("run {}: {}", self.url, fault.report()))
    }

    fn template(&self, (left, right): (&str, &str), manners: Manners) -> Template {
        let delimiters = (left.to_owned(), right.to_owned());
        let options = Options { delimiters, ..self.pages.options() };
        Template::from_text(&self.text, &base(&self.url), &options)
            .metadata(Arc::clone(&self.metadata))
            .functions("playbook", self.functions(manners))
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
                Ok(if wanted || !is_missing(&value) { value } else { unasked() })
            },
        );
        let mut all = vec![
            declare("flag", false),
            declare("param", false),
            declare("listflag", true),
            declare("listparam", true),
            prompt("prompt", false),
            prompt("listprompt", true),
            file,
            cond,
        ];
        if self.flags.is_collecting() {
            all.extend(PARTS.map(|(name, answer)| unread(name, answer)));
        } else if !manners.whole {
            all.extend(PARTS.map(|(name, answer)| spared(name, answer)));
        }
        all
    }
}

/// Where the parts of a callable are relative to.
pub fn base(url: &str) -> String {
    match std::path::absolute(url) {
        Ok(path) if !url.contains("://") => format!("file://{}", path.display()),
        _ => url.to_owned(),
    }
}

/// A function that reads nothing and yields the same each time.
fn unread(name: &str, answer: &'static str) -> Function {
    let signature = "func(string, ...interface {}) string";
    Function::new(name, signature, "Reads nothing while flags are collected", move |_, _| {
        Ok(Value::from(answer))
    })
}

/// A function that warns where it fails, and yields what it yields while flags are collected.
fn spared(name: &str, answer: &'static str) -> Function {
    let signature = "func(string, ...interface {}) string";
    Function::new(name, signature, "Reads a part that may be missing", move |scope, args| {
        scope.builtin(args).or_else(|fault| {
            if is_bound(&fault) {
                return Err(fault);
            }
            let (name, what) = (args.name(), args.any(0).to_string());
            let fault = anyhow::Error::from(fault);
            tracing::warn!("{name} {what:?} yields {answer:?} in its place: {fault:#}");
            Ok(Value::from(answer))
        })
    })
}

/// True if a bound of the rendering was reached, here or in an included template: whoever went on
/// behind it would reach it again and again.
fn is_bound(fault: &CallError) -> bool {
    match fault {
        CallError::Limit { .. } | CallError::Cycle { .. } => true,
        CallError::Included(inner) => match inner.as_ref() {
            TemplateError::Execute { source, .. } => is_bound(source),
            _ => false,
        },
        _ => false,
    }
}

/// Prints as an empty text, as a flag without value does in InfraKit.
fn unasked() -> Value {
    Value::Object(Arc::new(Object { type_name: UNASKED.to_owned(), ..Object::default() }))
}

/// True for what InfraKit's flags have for a value that was not given: nothing, or an empty text.
fn is_missing(value: &Value) -> bool {
    match value {
        Value::Nil => true,
        Value::Str(text) => text.is_empty(),
        Value::List(list) => list.items().iter().all(is_missing),
        _ => false,
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
    match &piped {
        Value::Object(mark) if mark.type_name == UNASKED => return Ok(Value::from("")),
        given if !is_missing(given) || flags.is_collecting() => return Ok(piped),
        _ => {}
    }
    let default = match default {
        // An empty default of the flag stands where the prompt has none: a text may be empty.
        Value::Nil if kind == "string" => piped,
        // A default that is written as a text is read as an answer would be.
        Value::Str(text) => flags::read(&text, kind, list),
        other => other,
    };
    if manners.accept_defaults || !std::io::stdin().is_terminal() {
        return match default {
            // InfraKit takes an empty text for an answer here and runs the script with it.
            Value::Nil => Err(args.fail(format!(
                "{text}: it has no default, and nobody is asked here (without a terminal, or with \
                 --accept-defaults); give its flag a value, \"\" for an empty text"
            ))),
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

//! One callable: a template that is rendered several times (InfraKit specification §7.3).
//!
//! First to learn its flags, errors aside; then, with the flags given, for the script. The line
//! `{{/* =% sh %= */}}` names the backend that gets the script.
//!
//! While the flags are learnt nothing is fetched: `include` yields `{}` and `fetch` an empty text, as
//! the paths of both are often made of flags; definitions that several callables share are brought in
//! with `source`. In the run that makes the script both fail where they cannot read, with the place.
//! InfraKit goes on there with `{}` and an empty text, and so runs a script that lacks a part.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, anyhow, bail};
use regrow_template::{
    Args, CallError, Function, MetadataLookup, Object, Options, Template, Value,
};

use super::flags::{self, Flags};

/// What surrounds the backend line.
const BACKEND: (&str, &str) = ("=%", "%=");

/// Type of what `cond` hands on in place of a missing value that nobody is to be asked for.
const UNASKED: &str = "unasked";

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
        Ok(split_words(words))
    }

    /// The script.
    pub fn script(&self, manners: Manners) -> Result<String> {
        self.render(manners)
    }

    fn render(&self, manners: Manners) -> Result<String> {
        let options = Options { multi_pass: false, ..Options::default() };
        let template = Template::from_text(&self.text, &base(&self.url), &options)
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
            all.extend([unread("include", "{}"), unread("fetch", "")]);
        }
        all
    }
}

/// Where the parts of a callable are relative to.
fn base(url: &str) -> String {
    match std::path::absolute(url) {
        Ok(path) if !url.contains("://") => format!("file://{}", path.display()),
        _ => url.to_owned(),
    }
}

/// Words with blanks between; a word in quotes may hold blanks.
fn split_words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let quoted = ['"', '`'].contains(&first).then(|| rest[1..].split_once(first)).flatten();
        let (word, behind) =
            quoted.unwrap_or_else(|| rest.split_once(char::is_whitespace).unwrap_or((rest, "")));
        words.push(word.to_owned());
        rest = behind.trim_start();
    }
    words
}

/// A function that reads nothing and yields the same each time.
fn unread(name: &str, answer: &'static str) -> Function {
    let signature = "func(string, ...interface {}) string";
    Function::new(name, signature, "Reads nothing while flags are collected", move |_, _| {
        Ok(Value::from(answer))
    })
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

#[cfg(test)]
mod tests {
    use super::split_words;

    #[test]
    fn quotes_keep_blanks() {
        for (text, words) in [
            (" sh ", vec!["sh"]),
            ("http \"POST\" `a b` c=d", vec!["http", "POST", "a b", "c=d"]),
            ("x \"open end", vec!["x", "\"open", "end"]),
            ("x \"\"", vec!["x", ""]),
            ("", vec![]),
        ] {
            assert_eq!(split_words(text), words, "{text}");
        }
    }
}

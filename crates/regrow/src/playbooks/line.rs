//! The line of a callable that names its backend: `{{/* =% http (var `method`) "http://h/" %= */}}`.
//!
//! As InfraKit does, the callable is rendered as a template with the delimiters `=%` and `%=`, in which
//! each backend is a function: what it is called with are the words of the line. A line that is no
//! template, such as `=% ssh --hostport a,b %=`, is taken as words.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Result, anyhow, bail};
use regrow_template::{Function, FunctionSet, Template, Value};

use super::backends;

/// What surrounds the line.
pub const DELIMITERS: (&str, &str) = ("=%", "%=");

/// The call of a backend: its name, and what it is called with.
#[derive(Clone, Default)]
struct Call(Arc<Mutex<Option<Vec<String>>>>);

/// The name of the backend and the words behind it. `template` is the callable, with [`DELIMITERS`]
/// and the variables that its script left.
///
/// # Errors
/// That no backend is named, or why the line cannot be rendered.
pub fn words(template: Template) -> Result<Vec<String>> {
    let url = template.url().to_owned();
    let call = Call::default();
    let template = template.functions("backend", call.functions());
    if let Err(fault) = template.validate() {
        // Parentheses are only written by who means a template.
        return match plain(template.text()).filter(|line| !line.contains('(')) {
            Some(line) => Ok(split(line)),
            None => bail!("read the line of the backend: {}", fault.report()),
        };
    }
    let rendered = template.render(&serde_json::Value::Null);
    rendered.map_err(|fault| anyhow!("read the line of the backend: {}", fault.report()))?;
    match call.take() {
        Some(words) => Ok(words),
        None => {
            bail!("run {url}: it names no backend; write one in it, such as {{{{/* =% sh %= */}}}}")
        }
    }
}

/// The first word of the line, which names the backend before the rest can be known.
pub fn name(text: &str) -> Option<String> {
    split(plain(text)?).into_iter().next()
}

fn plain(text: &str) -> Option<&str> {
    let (left, right) = DELIMITERS;
    Some(text.split_once(left)?.1.split_once(right)?.0)
}

/// Words with blanks between; a word in quotes may hold blanks.
fn split(text: &str) -> Vec<String> {
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

impl Call {
    /// A function for each backend. Of several calls the last one counts.
    fn functions(&self) -> FunctionSet {
        let function = |name: &'static str| {
            let call = self.clone();
            let signature = "func(...interface {}) string";
            Function::new(name, signature, "Names the backend", move |_, args| {
                let given = args.values().iter().map(Value::to_string);
                let words = std::iter::once(name.to_owned()).chain(given).collect();
                *call.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(words);
                Ok(Value::from(""))
            })
        };
        backends::names().map(function).collect()
    }

    fn take(&self) -> Option<Vec<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

#[cfg(test)]
mod tests {
    use regrow_template::{Options, Template};

    use super::{DELIMITERS, words};

    fn of(text: &str) -> Result<Vec<String>, String> {
        let delimiters = (DELIMITERS.0.to_owned(), DELIMITERS.1.to_owned());
        let options = Options { delimiters, multi_pass: false, ..Options::default() };
        let template = Template::from_text(text, "file:///p/x.ikt", &options);
        words(template.var("m", &"put".into()).var("n", &5.into())).map_err(|f| format!("{f:#}"))
    }

    #[test]
    fn lines_are_words_or_templates() {
        for (line, said) in [
            ("sh", vec!["sh"]),
            ("sh \"-s\" `--`", vec!["sh", "-s", "--"]),
            ("http (var `m` | upper) `a b` \"c=\\\"d\\\"\"", vec!["http", "PUT", "a b", "c=\"d\""]),
            ("ssh (var \"n\") true", vec!["ssh", "5", "true"]),
            ("if eq (var `m`) `put` %= =% print %= =% else %= =% sh %= =% end", vec!["print"]),
            ("http \"POST\" `a b` c=d", vec!["http", "POST", "a b", "c=d"]),
            ("ssh --user \"open end", vec!["ssh", "--user", "\"open", "end"]),
            ("ssh --user \"\"", vec!["ssh", "--user", ""]),
            ("vmwscript", vec!["vmwscript"]),
            ("teleport now", vec!["teleport", "now"]),
        ] {
            assert_eq!(of(&format!("{{{{/* =% {line} %= */}}}} x")).expect(line), said, "{line}");
        }
        for (text, part) in [
            ("none", "names no backend"),
            ("=% http (vra `m`) %=", "function \"vra\" not defined"),
            ("=% http (fail `so`) %=", "so"),
            ("=% sh", "read the line"),
        ] {
            let fault = of(text).expect_err(text);
            assert!(fault.contains(part), "{text}: {fault}");
        }
    }
}

//! Documentation of functions as InfraKit's `functions.json` shows it.

use super::Callable;

/// Help for one function. Serializes as InfraKit's plugins serve it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct FunctionHelp {
    /// The name in templates.
    pub name: String,
    /// Lines of help; `None` as a word when there are none, as InfraKit prints it.
    pub description: Vec<String>,
    /// The signature in Go's notation.
    pub function: String,
    /// An example of its use.
    pub usage: String,
}

impl FunctionHelp {
    pub(crate) fn of(callable: &Callable) -> Self {
        let (name, description, function, usage) = match callable {
            Callable::Builtin(builtin) => (
                builtin.name.to_owned(),
                builtin.description.iter().map(|line| (*line).to_owned()).collect(),
                builtin.signature.to_owned(),
                String::new(),
            ),
            Callable::Added(function) => (
                function.name.clone(),
                function.description.clone(),
                function.signature.clone(),
                function.usage.clone(),
            ),
        };
        let usage = if usage.is_empty() { usage_of(&name, &function) } else { usage };
        let description = match description {
            lines if lines.is_empty() => vec!["None".to_owned()],
            lines => lines,
        };
        Self { name, description, function, usage }
    }
}

/// `{{ name "string" any [ any ... ] }}` from a Go signature.
fn usage_of(name: &str, signature: &str) -> String {
    let inside = signature.strip_prefix("func(").and_then(|rest| rest.split_once(')'));
    let parameters = inside.map_or("", |(parameters, _)| parameters);
    let mut usage = format!("{{{{ {name} ");
    for parameter in parameters.split(',').map(str::trim).filter(|text| !text.is_empty()) {
        let text = match parameter.strip_prefix("...") {
            Some(repeated) => format!("[ {} ... ]", argument(repeated)),
            None => argument(parameter),
        };
        usage.push_str(&text);
        usage.push(' ');
    }
    usage.push_str("}}");
    usage
}

fn argument(kind: &str) -> String {
    match kind {
        "string" => "\"string\"".to_owned(),
        "interface {}" => "any".to_owned(),
        other => other.replace(' ', ""),
    }
}

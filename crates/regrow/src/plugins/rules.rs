//! Launch rules, as InfraKit writes them: what a key of `plugin start` means.

use anyhow::{Result, anyhow};
use regrow_codec::{Any, decode};
use serde::Deserialize;
use serde_json::Value;

use crate::documents::{Document, Loader, RenderArgs};

/// One rule.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Rule {
    /// The word that it is for.
    pub key: String,
    /// What to do.
    pub launch: Launch,
}

/// What a rule starts. The names are lower case in documents; case does not matter. A document may
/// name further ways (`docker-run`), as InfraKit's published ones do: they matter only to a program
/// that has them.
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
    rules_of(Loader::new(render.clone()).document(url).await?)
}

fn rules_of(mut document: Document) -> Result<Vec<Rule>> {
    for rule in document.value.as_array_mut().into_iter().flatten() {
        keep_own_ways(rule);
    }
    decode::from_value_strict(&document.value)
        .map_err(|fault| anyhow!("read rules of --config-url {}: {fault}", document.place))
}

/// Drops the ways that this program does not have from a rule.
fn keep_own_ways(rule: &mut Value) {
    let is = |key: &str, name: &str| key.eq_ignore_ascii_case(name);
    let fields = rule.as_object_mut().into_iter().flatten();
    for (_, launch) in fields.filter(|(key, _)| is(key, "launch")) {
        if let Some(ways) = launch.as_object_mut() {
            ways.retain(|way, _| is(way, "inproc") || is(way, "os"));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Rule, rules_of};
    use crate::documents::{Document, Place};

    fn read(launch: &Value) -> anyhow::Result<Vec<Rule>> {
        let place = Place { source: "rules.json".to_owned(), pointer: String::new() };
        rules_of(Document { place, value: json!([{"Key": "file", "Launch": launch}]) })
    }

    #[test]
    fn ways_of_other_programs_are_let_be() {
        let run = json!({"Cmd": "docker run x", "Anything": [1]});
        let rules = read(&json!({"OS": {"Cmd": "infrakit-file"}, "docker-run": run}));
        let rules = rules.expect("rules");
        let os = rules[0].launch.os.as_ref().map(|os| os.cmd.as_str());
        assert_eq!(os, Some("infrakit-file"));
        assert!(rules[0].launch.inproc.is_none());
        let fault = read(&json!({"inproc": {"Knid": "x"}})).expect_err("a word nobody knows");
        let said = "rules.json: at /0/Launch/inproc/Knid: unknown field; did you mean \"Kind\"?";
        assert!(fault.to_string().ends_with(said), "{fault}");
    }
}

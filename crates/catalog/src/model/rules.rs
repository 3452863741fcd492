//! Rules of a token as text, in the two forms that Consul has:
//!
//! ```text
//! key_prefix "app/" { policy = "write" }          {"key_prefix": {"app/": {"policy": "write"}},
//! key "app/mode" { policy = "read" }               "key": {"app/mode": {"policy": "read"}},
//! operator = "read"                                "operator": "read"}
//! ```
//!
//! A kind that ends with `_prefix` is for all names that begin so, one without for one exact name.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde_json::Value;

use super::{Access, Resource, Rule};

/// Longest text of rules, in bytes.
pub const RULES_BYTES_MAX: usize = 64 << 10;

const KINDS: &[(&str, Resource)] = &[
    ("agent", Resource::Agent),
    ("event", Resource::Event),
    ("key", Resource::Key),
    ("node", Resource::Node),
    ("service", Resource::Service),
    ("session", Resource::Session),
];
/// What a kind ends with whose rules are for all names that begin so.
const PREFIX: &str = "_prefix";
const OPERATOR: &str = "operator";
const POLICIES: &[(&str, Access)] =
    &[("deny", Access::Deny), ("read", Access::Read), ("write", Access::Write)];

/// Why a text is no list of rules.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RulesError {
    /// It is longer than rules may be.
    #[error("read rules: {bytes} bytes, more than {RULES_BYTES_MAX}; use fewer rules")]
    TooLong {
        /// Its size.
        bytes: usize,
    },
    /// It is no JSON object.
    #[error("read rules: {0}; expected {{\"key_prefix\": {{\"app/\": {{\"policy\": \"read\"}}}}}}")]
    Json(String),
    /// Something else stands where a part of a rule should.
    #[error("read rules: line {line}: expected {expected}, found {found}")]
    Form {
        /// Line, from 1.
        line: usize,
        /// What belongs there.
        expected: &'static str,
        /// What stands there.
        found: String,
    },
    /// There is no such kind of rule here.
    #[error("read rules: {0:?} is no kind of rule here; use {KNOWN} or operator")]
    Kind(String),
    /// There is no such policy here.
    #[error("read rules: policy {0:?}; use deny, read or write")]
    Policy(String),
}

const KNOWN: &str = "agent, event, key, node, service, session, each also with _prefix behind it,";

/// Reads rules; an empty text has none.
///
/// # Errors
/// The text is too long, or something in it is no rule.
pub fn parse(text: &str) -> Result<Vec<Rule>, RulesError> {
    if text.len() > RULES_BYTES_MAX {
        return Err(RulesError::TooLong { bytes: text.len() });
    }
    if text.trim_start().starts_with('{') { of_json(text) } else { of_blocks(text) }
}

/// The rules as JSON, each kind and name once: of several for the same the one that gives least,
/// which is the one that decides.
pub fn print(rules: &[Rule]) -> String {
    let mut kinds: BTreeMap<String, Value> = BTreeMap::new();
    // Those that give least come last, over the others.
    let mut ordered: Vec<&Rule> = rules.iter().collect();
    ordered.sort_by_key(|rule| Reverse(rule.access));
    for rule in ordered {
        let policy = POLICIES.iter().find(|(_, access)| *access == rule.access);
        let policy = policy.map_or("deny", |(name, _)| name);
        match KINDS.iter().find(|(_, resource)| *resource == rule.resource) {
            None => drop(kinds.insert(OPERATOR.to_owned(), policy.into())),
            Some((kind, _)) => {
                let kind = format!("{kind}{}", if rule.exact { "" } else { PREFIX });
                let below = kinds.entry(kind).or_insert_with(|| serde_json::json!({}));
                below[&rule.name] = serde_json::json!({ "policy": policy });
            }
        }
    }
    serde_json::json!(kinds).to_string()
}

fn rule(kind: &str, name: &str, policy: &str) -> Result<Rule, RulesError> {
    let (bare, exact) = match kind.strip_suffix(PREFIX) {
        Some(bare) => (bare, false),
        // There is one operator: it has no name that could be exact.
        None => (kind, kind != OPERATOR),
    };
    let resource = match KINDS.iter().find(|(known, _)| *known == bare) {
        Some((_, resource)) => *resource,
        None if kind == OPERATOR => Resource::Operator,
        None => return Err(RulesError::Kind(kind.to_owned())),
    };
    let access = POLICIES.iter().find(|(known, _)| *known == policy);
    let access = access.ok_or_else(|| RulesError::Policy(policy.to_owned()))?.1;
    Ok(Rule { resource, name: name.to_owned(), exact, access })
}

fn of_json(text: &str) -> Result<Vec<Rule>, RulesError> {
    let kinds: BTreeMap<String, Value> =
        serde_json::from_str(text).map_err(|error| RulesError::Json(error.to_string()))?;
    let mut rules = Vec::new();
    for (kind, value) in &kinds {
        match value {
            Value::String(policy) if kind == OPERATOR => rules.push(rule(kind, "", policy)?),
            Value::Object(below) if kind != OPERATOR => {
                for (prefix, value) in below {
                    let policy = value.get("policy").and_then(Value::as_str).unwrap_or_default();
                    rules.push(rule(kind, prefix, policy)?);
                }
            }
            _ => return Err(RulesError::Json(format!("{kind:?} has no rules in it"))),
        }
    }
    Ok(rules)
}

fn of_blocks(text: &str) -> Result<Vec<Rule>, RulesError> {
    let mut words = Words { rest: text, line: 1 };
    let mut rules = Vec::new();
    while let Some(kind) = words.next()? {
        let Word::Name(kind) = kind else { return Err(words.unlike("a kind of rule", Some(kind))) };
        if kind == OPERATOR {
            words.sign('=')?;
            rules.push(rule(kind, "", &words.text()?)?);
            continue;
        }
        let prefix = words.text()?;
        words.sign('{')?;
        match words.next()? {
            Some(Word::Name("policy")) => words.sign('=')?,
            other => return Err(words.unlike("policy", other)),
        }
        rules.push(rule(kind, &prefix, &words.text()?)?);
        words.sign('}')?;
    }
    Ok(rules)
}

#[derive(Debug)]
enum Word<'t> {
    Name(&'t str),
    Text(String),
    Sign(char),
}

/// The words of a text, without spaces and comments.
struct Words<'t> {
    rest: &'t str,
    line: usize,
}

impl<'t> Words<'t> {
    fn unlike(&self, expected: &'static str, found: Option<Word<'_>>) -> RulesError {
        let found = match found {
            None => "the end".to_owned(),
            Some(Word::Name(name)) => name.to_owned(),
            Some(Word::Text(text)) => format!("{text:?}"),
            Some(Word::Sign(sign)) => sign.to_string(),
        };
        RulesError::Form { line: self.line, expected, found }
    }

    fn sign(&mut self, wanted: char) -> Result<(), RulesError> {
        let expected = match wanted {
            '=' => "=",
            '{' => "{",
            _ => "}",
        };
        match self.next()? {
            Some(Word::Sign(sign)) if sign == wanted => Ok(()),
            other => Err(self.unlike(expected, other)),
        }
    }

    fn text(&mut self) -> Result<String, RulesError> {
        match self.next()? {
            Some(Word::Text(text)) => Ok(text),
            other => Err(self.unlike("a text in quotes", other)),
        }
    }

    fn skip(&mut self) {
        loop {
            let trimmed = self.rest.trim_start();
            let spaces = self.rest.get(..self.rest.len() - trimmed.len()).unwrap_or_default();
            self.line += spaces.matches('\n').count();
            self.rest = trimmed;
            if !(trimmed.starts_with('#') || trimmed.starts_with("//")) {
                return;
            }
            self.rest = trimmed.find('\n').and_then(|end| trimmed.get(end..)).unwrap_or_default();
        }
    }

    fn next(&mut self) -> Result<Option<Word<'t>>, RulesError> {
        self.skip();
        let Some(first) = self.rest.chars().next() else { return Ok(None) };
        let (length, word) = match first {
            '"' => self.quoted()?,
            '{' | '}' | '=' => (1, Word::Sign(first)),
            _ => {
                let named = |c: char| c.is_ascii_alphanumeric() || c == '_';
                let end = self.rest.find(|c| !named(c)).unwrap_or(self.rest.len());
                let name = self.rest.get(..end).unwrap_or_default();
                if name.is_empty() {
                    let found = Some(Word::Text(first.to_string()));
                    return Err(self.unlike("a word", found));
                }
                (end, Word::Name(name))
            }
        };
        self.rest = self.rest.get(length..).unwrap_or_default();
        Ok(Some(word))
    }

    /// A text as JSON writes it, with its quotes.
    fn quoted(&self) -> Result<(usize, Word<'t>), RulesError> {
        let unended = || self.unlike("a text that ends in its line", Some(Word::Sign('"')));
        let mut values = serde_json::Deserializer::from_str(self.rest).into_iter::<String>();
        match values.next() {
            Some(Ok(text)) => Ok((values.byte_offset(), Word::Text(text))),
            _ => Err(unended()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(prefix: &str, access: Access) -> Rule {
        Rule::prefix(Resource::Key, prefix, access)
    }

    #[test]
    fn both_forms_say_the_same() {
        let blocks = "# all\nkey_prefix \"\" { policy = \"read\" }\n\
            key_prefix \"a\\\"b/\" {\n  policy = \"write\" // here\n}\noperator = \"deny\"\n\
            key \"a\" { policy = \"deny\" }";
        let rules = parse(blocks).expect("rules");
        let operator = Rule::prefix(Resource::Operator, "", Access::Deny);
        let exact = Rule::exact(Resource::Key, "a", Access::Deny);
        assert_eq!(rules, [key("", Access::Read), key("a\"b/", Access::Write), operator, exact]);
        let json = print(&rules);
        let again = parse(&json).expect("rules");
        assert_eq!(print(&again), json);
        assert_eq!(again.len(), 4);
        let twice =
            parse("key \"a\" {policy=\"deny\"} key \"a\" {policy=\"write\"}").expect("rules");
        assert_eq!(print(&twice), r#"{"key":{"a":{"policy":"deny"}}}"#);
        assert_eq!(parse(" \n# nothing\n"), Ok(Vec::new()));
        assert_eq!(parse("{}"), Ok(Vec::new()));
    }

    #[test]
    fn what_is_no_rule_is_refused_with_its_place() {
        let refused = |text: &str| parse(text).expect_err(text).to_string();
        assert!(refused("query \"a\" { policy = \"read\" }").contains("\"query\" is no kind"));
        assert!(
            refused("{\"operator_prefix\": {\"\": {\"policy\": \"read\"}}}").contains("no kind")
        );
        assert!(refused("key_prefix \"a\" { policy = \"list\" }").contains("policy \"list\""));
        assert!(refused("\n\nkey_prefix { }").contains("line 3: expected a text in quotes"));
        assert!(refused("key_prefix \"a\" { polic").contains("expected policy, found polic"));
        assert!(refused("key_prefix \"a").contains("a text that ends"));
        assert!(refused("key_prefix \"a\" {").contains("found the end"));
        assert!(refused("?").contains("expected a word"));
        assert!(refused("{\"key_prefix\": \"read\"}").contains("no rules in it"));
        assert!(refused("{\"key_prefix\"").contains("EOF"));
        assert!(refused(&"#".repeat(RULES_BYTES_MAX + 1)).contains("more than"));
    }
}

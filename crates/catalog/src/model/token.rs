//! Tokens: who may do what.

use std::cmp::Reverse;

use serde::{Deserialize, Serialize};

/// What a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Resource {
    /// Keys, by key.
    Key,
    /// Services, by name.
    Service,
    /// Nodes, by name.
    Node,
    /// Sessions, by node.
    Session,
    /// Events, by name.
    Event,
    /// The agent itself, by node.
    Agent,
    /// The cluster's own affairs.
    Operator,
}

/// How far a rule goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Access {
    /// Nothing.
    Deny,
    /// Look.
    Read,
    /// Look and change.
    Write,
}

/// One rule. Among those that fit a name, one for exactly this name decides, else the one for the
/// longest beginning; among equal ones the one that gives least.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// What it is about.
    pub resource: Resource,
    /// The name, or what names begin with.
    pub name: String,
    /// True for this name alone, false for all names that begin so.
    pub exact: bool,
    /// How far it goes.
    pub access: Access,
}

impl Rule {
    /// A rule for all names that begin so.
    pub fn prefix(resource: Resource, name: impl Into<String>, access: Access) -> Self {
        Self { resource, name: name.into(), exact: false, access }
    }

    /// A rule for one name.
    pub fn exact(resource: Resource, name: impl Into<String>, access: Access) -> Self {
        Self { resource, name: name.into(), exact: true, access }
    }

    fn fits(&self, name: &str) -> bool {
        if self.exact { name == self.name } else { name.starts_with(&self.name) }
    }
}

/// What a token may do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Stored", into = "Stored")]
pub enum Policy {
    /// Everything.
    Management,
    /// What the rules say; what no rule fits is decided by the default of the catalog.
    Rules(Vec<Rule>),
}

/// A rule as it is stored: what kind of name it has is said by where it stands.
#[derive(Clone, Serialize, Deserialize)]
struct StoredRule {
    resource: Resource,
    name: String,
    access: Access,
}

/// A policy as it is stored: the last form came with version 2 of commands and rows.
#[derive(Clone, Serialize, Deserialize)]
enum Stored {
    Management,
    Prefixes(Vec<StoredRule>),
    Both { prefixes: Vec<StoredRule>, names: Vec<StoredRule> },
}

impl From<Policy> for Stored {
    fn from(policy: Policy) -> Self {
        let Policy::Rules(rules) = policy else { return Self::Management };
        let (names, prefixes): (Vec<Rule>, Vec<Rule>) =
            rules.into_iter().partition(|rule| rule.exact);
        let stored = |rules: Vec<Rule>| {
            let rules = rules.into_iter();
            rules.map(|Rule { resource, name, access, .. }| StoredRule { resource, name, access })
        };
        match names.is_empty() {
            true => Self::Prefixes(stored(prefixes).collect()),
            false => {
                Self::Both { prefixes: stored(prefixes).collect(), names: stored(names).collect() }
            }
        }
    }
}

impl From<Stored> for Policy {
    fn from(stored: Stored) -> Self {
        let (prefixes, names) = match stored {
            Stored::Management => return Self::Management,
            Stored::Prefixes(prefixes) => (prefixes, Vec::new()),
            Stored::Both { prefixes, names } => (prefixes, names),
        };
        let all = prefixes.into_iter().map(|rule| (rule, false));
        let all = all.chain(names.into_iter().map(|rule| (rule, true)));
        let rule =
            |(StoredRule { resource, name, access }, exact)| Rule { resource, name, exact, access };
        Self::Rules(all.map(rule).collect())
    }
}

/// What the deciding one of some rules gives.
fn decided<'r>(rules: impl Iterator<Item = &'r Rule>) -> Option<Access> {
    let decides = rules.max_by_key(|rule| (rule.exact, rule.name.len(), Reverse(rule.access)));
    decides.map(|rule| rule.access)
}

impl Policy {
    /// Whether it has rules for exact names, which only version 2 of commands and rows can say.
    pub(crate) fn has_exact_rules(&self) -> bool {
        matches!(self, Self::Rules(rules) if rules.iter().any(|rule| rule.exact))
    }

    /// Whether this much access is given. `default` is what no rule fits.
    pub fn allows(&self, resource: Resource, name: &str, wanted: Access, default: Access) -> bool {
        match self {
            Self::Management => true,
            Self::Rules(rules) => {
                let fits = rules.iter().filter(|rule| rule.resource == resource && rule.fits(name));
                decided(fits).unwrap_or(default) >= wanted
            }
        }
    }

    /// Whether this much access is given to every name that begins with `prefix`: no rule for a name
    /// or a beginning below it may give less, and a rule for exactly `prefix` says nothing of the rest.
    pub fn allows_under(
        &self,
        resource: Resource,
        prefix: &str,
        wanted: Access,
        default: Access,
    ) -> bool {
        let Self::Rules(rules) = self else { return true };
        let rules = || rules.iter().filter(|rule| rule.resource == resource);
        let less = |rule: &Rule| rule.access < wanted && rule.name.starts_with(prefix);
        let of_all = rules().filter(|rule| !rule.exact && rule.fits(prefix));
        !rules().any(less) && decided(of_all).unwrap_or(default) >= wanted
    }
}

/// A token. Its secret is known to its holder only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// Public name.
    pub id: String,
    /// What people read.
    pub description: String,
    /// SHA-256 of the secret.
    pub secret_hash: [u8; 32],
    /// What it may do.
    pub policy: Policy,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_prefix_decides() {
        let rule = |prefix: &str, access| Rule::prefix(Resource::Key, prefix, access);
        let policy = Policy::Rules(vec![
            rule("", Access::Read),
            rule("app/", Access::Write),
            rule("app/secret", Access::Deny),
        ]);
        let allows = |key, wanted| policy.allows(Resource::Key, key, wanted, Access::Deny);
        assert!(allows("other", Access::Read) && !allows("other", Access::Write));
        assert!(allows("app/x", Access::Write));
        assert!(!allows("app/secret/1", Access::Read));
        assert!(!policy.allows(Resource::Node, "n", Access::Read, Access::Deny));
        assert!(policy.allows(Resource::Node, "n", Access::Write, Access::Write));
        let under =
            |prefix| policy.allows_under(Resource::Key, prefix, Access::Write, Access::Deny);
        assert!(under("app/x") && !under("app/") && !under("app/secret") && !under(""));
        assert!(Policy::Management.allows_under(Resource::Key, "", Access::Write, Access::Deny));
    }

    #[test]
    fn the_exact_name_decides_before_every_beginning() {
        let policy = Policy::Rules(vec![
            Rule::exact(Resource::Key, "app/one", Access::Read),
            Rule::prefix(Resource::Key, "app/", Access::Write),
            Rule::prefix(Resource::Key, "app/one", Access::Deny),
            Rule::exact(Resource::Key, "lone/", Access::Write),
        ]);
        let allows = |key, wanted| policy.allows(Resource::Key, key, wanted, Access::Deny);
        assert!(allows("app/one", Access::Read) && !allows("app/one", Access::Write));
        assert!(!allows("app/one/more", Access::Read), "the name is not where names begin");
        assert!(allows("app/two", Access::Write));
        assert!(allows("lone/", Access::Write) && !allows("lone/x", Access::Read));
        assert!(!policy.allows(Resource::Service, "app/one", Access::Read, Access::Deny));
        let under =
            |prefix, wanted| policy.allows_under(Resource::Key, prefix, wanted, Access::Deny);
        assert!(under("app/t", Access::Write));
        assert!(!under("app/", Access::Write) && !under("app/one", Access::Read));
        assert!(!under("lone/", Access::Read), "what is below was not given");
        let all_but_one = Policy::Rules(vec![
            Rule::prefix(Resource::Key, "", Access::Write),
            Rule::exact(Resource::Key, "kept", Access::Read),
        ]);
        let under =
            |prefix| all_but_one.allows_under(Resource::Key, prefix, Access::Write, Access::Deny);
        assert!(!under("") && !under("kept") && under("kept/x") && under("other"));
    }

    #[test]
    fn of_equal_rules_the_one_that_gives_least_decides() {
        for exact in [true, false] {
            let rule = |access| Rule { exact, ..Rule::prefix(Resource::Node, "n", access) };
            for order in [[Access::Deny, Access::Write], [Access::Write, Access::Deny]] {
                let policy = Policy::Rules(order.map(rule).to_vec());
                assert!(!policy.allows(Resource::Node, "n", Access::Read, Access::Write));
            }
        }
    }
}

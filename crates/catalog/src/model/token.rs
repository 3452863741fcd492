//! Tokens: who may do what.

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

/// One rule. Among those that fit, the one with the longest prefix decides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// What it is about.
    pub resource: Resource,
    /// Names that begin with this.
    pub prefix: String,
    /// How far it goes.
    pub access: Access,
}

/// What a token may do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Policy {
    /// Everything.
    Management,
    /// What the rules say; what no rule fits is decided by the default of the catalog.
    Rules(Vec<Rule>),
}

impl Policy {
    /// Whether this much access is given. `default` is what no rule fits.
    pub fn allows(&self, resource: Resource, name: &str, wanted: Access, default: Access) -> bool {
        match self {
            Self::Management => true,
            Self::Rules(rules) => {
                let fits = rules
                    .iter()
                    .filter(|rule| rule.resource == resource && name.starts_with(&rule.prefix));
                let decides = fits.max_by_key(|rule| rule.prefix.len());
                decides.map_or(default, |rule| rule.access) >= wanted
            }
        }
    }

    /// Whether this much access is given to every name that begins with `prefix`: no rule below it
    /// may give less.
    pub fn allows_under(
        &self,
        resource: Resource,
        prefix: &str,
        wanted: Access,
        default: Access,
    ) -> bool {
        let less = |rule: &Rule| {
            rule.resource == resource && rule.access < wanted && rule.prefix.starts_with(prefix)
        };
        let none_less = match self {
            Self::Management => true,
            Self::Rules(rules) => !rules.iter().any(less),
        };
        none_less && self.allows(resource, prefix, wanted, default)
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
        let rule = |prefix: &str, access| Rule {
            resource: Resource::Key,
            prefix: prefix.to_owned(),
            access,
        };
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
}

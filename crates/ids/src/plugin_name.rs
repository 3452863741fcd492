use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Address of an object inside a plugin: `lookup[/subtype]`, split at the first `/`.
///
/// The lookup part is the file name of the plugin's socket, the subtype selects one of the
/// plugin's objects. Every text is a valid name (InfraKit specification §1.2).
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct PluginName {
    text: String,
    split: Option<usize>,
}

impl PluginName {
    /// Parses a name; never fails.
    pub fn new(text: impl Into<String>) -> Self {
        let text = text.into();
        let split = text.find('/');
        Self { text, split }
    }

    /// Joins the two parts; an empty subtype yields the bare lookup.
    pub fn with_subtype(lookup: &str, subtype: &str) -> Self {
        if subtype.is_empty() {
            Self::new(lookup)
        } else {
            Self::new(format!("{lookup}/{subtype}"))
        }
    }

    /// File name of the socket.
    pub fn lookup(&self) -> &str {
        self.split.map_or(self.text.as_str(), |at| &self.text[..at])
    }

    /// Object within the plugin, empty when the name has none. May itself hold `/`.
    pub fn subtype(&self) -> &str {
        self.split.map_or("", |at| &self.text[at + 1..])
    }

    /// The whole text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// True for the empty text.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }
}

impl From<String> for PluginName {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl From<&str> for PluginName {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<PluginName> for String {
    fn from(name: PluginName) -> Self {
        name.text
    }
}

impl FromStr for PluginName {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self::new(text))
    }
}

impl fmt::Display for PluginName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::PluginName;

    #[test]
    fn splits_at_the_first_slash_only() {
        for (text, lookup, subtype) in [
            ("file", "file", ""),
            ("simulator/compute", "simulator", "compute"),
            ("mystack/groups/a", "mystack", "groups/a"),
            ("us-west1/", "us-west1", ""),
            ("/x", "", "x"),
            ("", "", ""),
        ] {
            let name = PluginName::new(text);
            assert_eq!((name.lookup(), name.subtype()), (lookup, subtype), "{text:?}");
            assert_eq!(name.as_str(), text);
        }
    }

    #[test]
    fn joins_what_it_splits() {
        assert_eq!(PluginName::with_subtype("a", "").as_str(), "a");
        assert_eq!(PluginName::with_subtype("a", "b/c").as_str(), "a/b/c");
    }
}

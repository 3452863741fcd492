use std::collections::{BTreeMap, BTreeSet};

use regrow_codec::{Any, decode};
use regrow_ids::{LogicalId, PluginName};
use regrow_plugin::spi::Tags;
use serde::{Deserialize, Serialize};

use super::SelectorError;

/// Name under which the properties of all other choices stand.
const DEFAULT: &str = "default";

/// One of the plugins that a selector may use, with the names that InfraKit uses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Choice {
    /// The instance plugin, such as `aws/ec2-instance`.
    pub name: PluginName,
    /// Logical ids that are made by this choice only.
    pub instances: Vec<LogicalId>,
    /// What the strategy needs to know.
    pub affinity: Affinity,
}

/// What a strategy needs to know of a choice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Affinity {
    /// For `spread`: only instances with these tags are counted. Default: all.
    pub labels: Tags,
    /// For `weighted`: share of this choice. Default 1; 0 is never taken.
    pub weight: u32,
}

impl Default for Affinity {
    fn default() -> Self {
        Self { labels: Tags::new(), weight: 1 }
    }
}

/// The choices of a selector, in order. At least one; no name twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choices(Vec<Choice>);

impl Choices {
    /// Checks a list of choices.
    ///
    /// # Errors
    /// It is empty, a name is missing or occurs twice, or a logical id is pinned twice.
    pub fn new(choices: Vec<Choice>) -> Result<Self, SelectorError> {
        let fault = |text: String| Err(SelectorError::Choices(text));
        if choices.is_empty() {
            return fault("there are none; give a list of {\"Name\": plugin}".to_owned());
        }
        let (mut names, mut pinned) = (BTreeSet::new(), BTreeSet::new());
        for (at, choice) in choices.iter().enumerate() {
            if choice.name.is_empty() {
                return fault(format!("at /{at}/Name: the name of the plugin is missing"));
            }
            if choice.name.as_str() == DEFAULT {
                return fault(format!("at /{at}/Name: \"{DEFAULT}\" stands for all choices"));
            }
            if !names.insert(&choice.name) {
                return fault(format!("at /{at}/Name: {} occurs twice", choice.name));
            }
            if let Some(id) = choice.instances.iter().find(|id| !pinned.insert(*id)) {
                return fault(format!("at /{at}/Instances: {id} is pinned twice"));
            }
        }
        Ok(Self(choices))
    }

    /// Reads the options of a selector: a list of choices.
    ///
    /// # Errors
    /// It is not such a list, or as [`Choices::new`].
    pub fn read(options: &Any) -> Result<Self, SelectorError> {
        let read = decode::from_slice_strict(options.as_text().as_bytes());
        Self::new(read.map_err(|fault| SelectorError::Choices(fault.to_string()))?)
    }

    /// The choices in order.
    pub fn as_slice(&self) -> &[Choice] {
        &self.0
    }

    /// The choice that alone may make this logical id.
    pub(super) fn pinned(&self, id: Option<&LogicalId>) -> Option<&Choice> {
        id.and_then(|id| self.0.iter().find(|choice| choice.instances.contains(id)))
    }
}

/// The properties of an instance: those of each choice.
#[derive(Debug)]
pub(super) struct PropertyMap(BTreeMap<String, Any>);

impl PropertyMap {
    pub(super) fn read(properties: &Any, choices: &Choices) -> Result<Self, SelectorError> {
        let fault = |text: String| SelectorError::Properties(text);
        let map: BTreeMap<String, Any> =
            properties.decode().map_err(|wrong| fault(wrong.to_string()))?;
        let is_known = |name: &str| {
            name == DEFAULT || choices.0.iter().any(|choice| choice.name.as_str() == name)
        };
        if let Some(name) = map.keys().find(|name| !is_known(name)) {
            let known: Vec<_> = choices.0.iter().map(|choice| choice.name.as_str()).collect();
            let known = known.join(", ");
            return Err(fault(format!("{name:?} is not a choice ({known}) and not \"{DEFAULT}\"")));
        }
        Ok(Self(map))
    }

    pub(super) fn of(&self, choice: &PluginName) -> Result<Any, SelectorError> {
        let given = self.0.get(choice.as_str()).or_else(|| self.0.get(DEFAULT));
        given.cloned().ok_or_else(|| SelectorError::NoProperties { choice: choice.clone() })
    }
}

#[cfg(test)]
mod tests {
    use regrow_codec::Any;
    use serde_json::json;

    use super::{Choices, PropertyMap};

    #[test]
    fn reads_choices_and_names_what_is_wrong() {
        let choices = Choices::read(&Any::from(json!([
            {"Name": "a/x", "Instances": ["1"], "Affinity": {"Weight": 3}},
            {"Name": "b", "Affinity": {"Labels": {"k": "v"}}},
        ])))
        .expect("valid");
        assert_eq!(choices.as_slice()[0].affinity.weight, 3);
        assert_eq!(choices.as_slice()[1].affinity.weight, 1);
        assert_eq!(choices.pinned(Some(&"1".into())).map(|c| c.name.as_str()), Some("a/x"));
        for (options, part) in [
            (json!([]), "there are none"),
            (json!([{"Nam": "a"}]), "did you mean \"Name\"?"),
            (json!([{"Name": ""}]), "at /0/Name"),
            (json!([{"Name": "default"}]), "stands for all"),
            (json!([{"Name": "a"}, {"Name": "a"}]), "at /1/Name: a occurs twice"),
            (json!([{"Name": "a", "Instances": ["1", "1"]}]), "1 is pinned twice"),
        ] {
            let fault = Choices::read(&Any::from(&options)).expect_err("invalid").to_string();
            assert!(fault.contains(part), "{options}: {fault}");
        }
    }

    #[test]
    fn default_properties_stand_in() {
        let choices = Choices::read(&Any::from(json!([{"Name": "a"}, {"Name": "b"}]))).expect("ok");
        let map = PropertyMap::read(&Any::from(json!({"a": 1, "default": 2})), &choices);
        let map = map.expect("valid");
        assert_eq!(map.of(&"a".into()).expect("own").as_text(), "1");
        assert_eq!(map.of(&"b".into()).expect("default").as_text(), "2");
        let map = PropertyMap::read(&Any::from(json!({"a": 1})), &choices).expect("valid");
        let fault = map.of(&"b".into()).expect_err("none").to_string();
        assert!(fault.starts_with("There is no Properties for choice b"), "{fault}");
        let fault = PropertyMap::read(&Any::from(json!({"c": 1})), &choices).expect_err("c");
        assert!(fault.to_string().contains("\"c\" is not a choice (a, b)"), "{fault}");
    }
}

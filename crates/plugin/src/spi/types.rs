use std::collections::BTreeMap;

use regrow_codec::Any;
use regrow_ids::{GroupId, InstanceId, LogicalId, PluginName};
use serde::{Deserialize, Serialize};

use super::tags;

/// Tags of an instance or object, sorted by key.
pub type Tags = BTreeMap<String, String>;

/// Something to attach to an instance, such as a disk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Attachment {
    /// Name of the thing.
    #[serde(rename = "ID")]
    pub id: String,
    /// Its kind, such as `ebs`.
    #[serde(rename = "Type")]
    pub kind: String,
}

/// What to provision.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct InstanceSpec {
    /// Settings that only the instance plugin understands.
    pub properties: Any,
    /// Tags that the instance must carry from the moment it is seen.
    pub tags: Tags,
    /// Script that the instance runs first.
    pub init: String,
    /// Stable identity, for members that have one.
    #[serde(rename = "LogicalID")]
    pub logical_id: Option<LogicalId>,
    /// Things to attach; an absent and an empty list differ on the wire only.
    pub attachments: Option<Vec<Attachment>>,
}

/// An instance as its plugin sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Description {
    /// The plugin's name for it.
    #[serde(rename = "ID")]
    pub id: InstanceId,
    /// Stable identity, where the plugin knows it.
    #[serde(rename = "LogicalID")]
    pub logical_id: Option<LogicalId>,
    /// Its tags.
    pub tags: Tags,
    /// The plugin's own view, when it was asked for.
    #[serde(skip_serializing_if = "Any::is_null")]
    pub properties: Any,
}

impl Description {
    /// The logical id: the plugin's, else the tag's.
    pub fn logical_id(&self) -> Option<LogicalId> {
        match &self.logical_id {
            Some(id) if !id.is_empty() => Some(id.clone()),
            _ => self.tags.get(tags::LOGICAL_ID).map(|id| LogicalId::from(id.as_str())),
        }
    }

    /// True when the instance carries all the given tags with the given values.
    pub fn matches(&self, wanted: &Tags) -> bool {
        wanted.iter().all(|(key, value)| self.tags.get(key) == Some(value))
    }
}

/// How many members a group has: a size, or a list of identities.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Allocation {
    /// Number of alike members.
    pub size: u32,
    /// Identities of members that each exist once.
    #[serde(rename = "LogicalIDs")]
    pub logical_ids: Option<Vec<LogicalId>>,
}

/// Place of a member in its group, for flavors.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Index {
    /// The group.
    pub group: GroupId,
    /// Number of the member within the group, from 0. The original sends the group's size for
    /// every member.
    pub sequence: u32,
}

/// A group's document: name and settings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct GroupSpec {
    /// Name of the group.
    #[serde(rename = "ID")]
    pub id: GroupId,
    /// Settings, as the `groups` crate reads them.
    pub properties: Any,
}

/// Document of the [`super::Resource`] interface.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct ResourceSpec {
    /// Name of the resource set.
    #[serde(rename = "ID")]
    pub id: String,
    /// Settings.
    pub properties: Any,
}

/// Who an object is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ObjectMeta {
    /// Given by the controller once the object exists.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// Given by the user; may address a plugin: `plugin/instance`.
    pub name: String,
    /// Free labels.
    pub tags: Option<Tags>,
}

/// Values that a spec takes from another object's document.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Dependency {
    /// Kind of the other object.
    pub kind: String,
    /// Name of the other object.
    pub name: String,
    /// Variable → pointer into the other object.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub bind: BTreeMap<String, String>,
}

/// What a user asks a controller for (InfraKit specification §3.1).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Spec {
    /// Kind: `plugin` or `plugin/type`.
    pub kind: String,
    /// Interface version, usually empty.
    pub version: String,
    /// Name and labels.
    pub metadata: ObjectMeta,
    /// URL of a template for the properties.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub template: String,
    /// Settings that only the controller understands.
    pub properties: Any,
    /// Settings of the controller for this object.
    #[serde(skip_serializing_if = "Any::is_null")]
    pub options: Any,
    /// Objects that must exist first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub depends: Vec<Dependency>,
}

/// A spec and what became of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SpecObject {
    /// Kind, as in the spec.
    pub kind: String,
    /// Interface version of the controller.
    pub version: String,
    /// Name and labels.
    pub metadata: ObjectMeta,
    /// URL of a template for the properties.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub template: String,
    /// Settings, as in the spec.
    pub properties: Any,
    /// Options, as in the spec.
    #[serde(skip_serializing_if = "Any::is_null")]
    pub options: Any,
    /// Dependencies, as in the spec.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub depends: Vec<Dependency>,
    /// What the controller observes; `null` when it has nothing to say yet.
    #[serde(skip_serializing_if = "Any::is_null")]
    pub state: Any,
}

impl SpecObject {
    /// The object that a spec describes, with a state.
    pub fn new(spec: Spec, state: Any) -> Self {
        let Spec { kind, version, metadata, template, properties, options, depends } = spec;
        Self { kind, version, metadata, template, properties, options, depends, state }
    }
}

impl Spec {
    /// Which plugin to call, and which of its objects is meant (InfraKit specification §1.2):
    /// a kind `plugin/type` and a name `plugin/instance`, where the name's plugin wins.
    pub fn address(&self) -> (PluginName, String) {
        let kind = PluginName::new(self.kind.as_str());
        let (lookup, instance) = match self.metadata.name.split_once('/') {
            Some((plugin, instance)) => (plugin, instance),
            None => (kind.lookup(), self.metadata.name.as_str()),
        };
        (PluginName::with_subtype(lookup, kind.subtype()), instance.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::{ObjectMeta, Spec};

    #[test]
    fn addresses_follow_the_table_of_the_specification() {
        for (kind, name, plugin, instance) in [
            ("group", "workers", "group", "workers"),
            ("group", "us-east/workers", "us-east", "workers"),
            ("simulator/disk", "disk1", "simulator/disk", "disk1"),
            ("simulator/disk", "us-east/disk1", "us-east/disk", "disk1"),
            ("ingress", "us-west1/", "us-west1", ""),
        ] {
            let spec = Spec {
                kind: kind.into(),
                metadata: ObjectMeta { name: name.into(), ..Default::default() },
                ..Default::default()
            };
            let (found, object) = spec.address();
            assert_eq!((found.as_str(), object.as_str()), (plugin, instance), "{kind} {name}");
        }
    }
}

//! The stored document of all specs (InfraKit specification §5.4). Pure.

use std::collections::BTreeMap;

use regrow_codec::{Any, decode};
use regrow_ids::PluginName;
use regrow_plugin::spi::Spec;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Kind of specs that are groups.
pub const GROUP_KIND: &str = "group";

/// What identifies a stored spec: its kind, and its name without the name of the manager.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Key {
    /// Kind of the spec.
    pub kind: String,
    /// Name of the spec.
    pub name: String,
}

impl Key {
    /// Key of a group.
    pub fn group(name: &str) -> Self {
        Self { kind: GROUP_KIND.to_owned(), name: name.to_owned() }
    }

    /// True for groups, which are committed through the group interface.
    pub fn is_group(&self) -> bool {
        self.kind == GROUP_KIND
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {:?}", self.kind, self.name)
    }
}

/// A stored spec and the plugin that gets it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Record {
    /// The plugin that makes the spec true.
    pub handler: PluginName,
    /// The spec.
    pub spec: Spec,
}

impl Record {
    /// True when both say the same; a store may print it in another way than we did.
    pub fn is_same(&self, other: &Self) -> bool {
        let value = |record: &Self| Any::from_serialize(&record.spec).to_value();
        self.handler == other.handler && (self == other || value(self) == value(other))
    }
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Entry {
    key: Key,
    record: Record,
}

/// All stored specs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalog(BTreeMap<Key, Record>);

impl Catalog {
    /// Reads the stored document; nothing stored, or `null`, is an empty catalog. Of two entries
    /// with one key the last counts, as for the original.
    ///
    /// # Errors
    /// The document has another shape; the fault holds its place.
    pub fn read(document: Option<&Any>) -> Result<Self, decode::DecodeError> {
        let Some(document) = document else { return Ok(Self::default()) };
        let entries: Option<Vec<Entry>> = document.decode()?;
        let entries = entries.unwrap_or_default();
        Ok(Self(entries.into_iter().map(|entry| (entry.key, entry.record)).collect()))
    }

    /// The document to store, sorted by key.
    pub fn to_document(&self) -> Any {
        let entries: Vec<_> = self
            .0
            .iter()
            .map(|(key, record)| Entry { key: key.clone(), record: record.clone() })
            .collect();
        Any::from_serialize(&entries)
    }

    /// The record of a key.
    pub fn get(&self, key: &Key) -> Option<&Record> {
        self.0.get(key)
    }

    /// Puts a record, returns the one that it replaces.
    pub fn put(&mut self, key: Key, record: Record) -> Option<Record> {
        self.0.insert(key, record)
    }

    /// Removes a record.
    pub fn remove(&mut self, key: &Key) -> Option<Record> {
        self.0.remove(key)
    }

    /// All records by key.
    pub fn iter(&self) -> impl Iterator<Item = (&Key, &Record)> {
        self.0.iter()
    }

    /// All keys.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.0.keys()
    }
}

/// True for a group whose members are named, and which therefore has no size to set.
pub(crate) fn has_logical_ids(properties: &Any) -> bool {
    let properties = properties.to_value();
    field(&properties, "Allocation")
        .and_then(|allocation| field(allocation, "LogicalIDs"))
        .and_then(Value::as_array)
        .is_some_and(|ids| !ids.is_empty())
}

/// The properties with another size; `None` when they are not a map.
pub(crate) fn with_size(properties: &Any, size: u32) -> Option<Any> {
    let mut properties = properties.to_value();
    let allocation = entry(&mut properties, "Allocation")?;
    if !allocation.is_object() {
        *allocation = Value::Object(serde_json::Map::new());
    }
    *entry(allocation, "Size")? = size.into();
    Some(properties.into())
}

/// A field by Go's rule: exact, else without regard to case.
fn field<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    let fields = value.as_object()?;
    fields
        .get(name)
        .or_else(|| fields.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, v)| v))
}

fn entry<'a>(value: &'a mut Value, name: &str) -> Option<&'a mut Value> {
    let fields = value.as_object_mut()?;
    let key = if fields.contains_key(name) {
        name.to_owned()
    } else {
        let alike = fields.keys().find(|key| key.eq_ignore_ascii_case(name));
        alike.cloned().unwrap_or_else(|| name.to_owned())
    };
    Some(fields.entry(key).or_insert(Value::Null))
}

#[cfg(test)]
mod tests {
    use regrow_codec::Any;
    use serde_json::json;

    use super::{Catalog, has_logical_ids, with_size};

    #[test]
    fn sizes_are_found_and_set_by_gos_field_rule() {
        let properties = Any::from(json!({"allocation": {"size": 3}, "Other": [1]}));
        assert!(!has_logical_ids(&properties));
        let changed = with_size(&properties, 5).expect("a map");
        assert_eq!(changed.to_value(), json!({"allocation": {"size": 5}, "Other": [1]}));
        let made = with_size(&Any::from(json!({})), 1).expect("a map");
        assert_eq!(made.to_value(), json!({"Allocation": {"Size": 1}}));
        assert!(with_size(&Any::from(json!([])), 1).is_none());
        let pets = Any::from(json!({"Allocation": {"LogicalIDs": ["a"]}}));
        assert!(has_logical_ids(&pets));
    }

    #[test]
    fn nothing_and_null_are_empty_catalogs() {
        for document in [None, Some(Any::default()), Some(Any::from(json!([])))] {
            assert_eq!(Catalog::read(document.as_ref()), Ok(Catalog::default()));
        }
        let fault = Catalog::read(Some(&Any::from(json!([{"Key": 3}])))).expect_err("shape");
        assert_eq!(fault.pointer, "/0/Key");
    }
}

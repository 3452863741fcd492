//! The stored document of all specs (InfraKit specification §5.4). Pure.

use std::collections::{BTreeMap, BTreeSet};

use regrow_codec::{Any, decode};
use regrow_ids::PluginName;
use regrow_plugin::spi::{Spec, World};
use serde::{Deserialize, Serialize};

use crate::store::Claim;

/// Worlds and the plugins that show them.
pub(crate) type Worlds = BTreeMap<World, PluginName>;

/// Worlds of a group that are remembered. Each machine whose local instances a group had counts as one.
const MAX_WORLDS: usize = 64;

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
    /// Where instances of a group may be, and the plugin that shows them. Only kept by stores that keep
    /// owners; the original skips it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub worlds: BTreeMap<World, PluginName>,
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
    /// Not there in most documents, and the original skips it.
    #[serde(skip_serializing_if = "is_false")]
    ending: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_false(value: &bool) -> bool {
    !value
}

/// All stored specs.
///
/// A spec may be *ending*: its destruction was begun and its end is not known yet. It is still
/// listed, so that it can be destroyed or freed again, but nobody brings it back into force until it
/// is put anew.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalog {
    records: BTreeMap<Key, Record>,
    ending: BTreeSet<Key>,
}

/// What a catalog had under a key before a record was put there.
#[derive(Clone, Debug, Default)]
pub(crate) struct Earlier {
    record: Option<Record>,
    was_ending: bool,
}

impl Catalog {
    /// Reads the stored document; nothing stored, or `null`, is an empty catalog. Of two entries
    /// with one key the last counts, as for the original.
    ///
    /// # Errors
    /// The document has another shape; the fault holds its place.
    pub fn read(document: Option<&Any>) -> Result<Self, decode::DecodeError> {
        let Some(document) = document else { return Ok(Self::default()) };
        let entries: Option<Vec<Entry>> = document.decode()?;
        let mut catalog = Self::default();
        for Entry { key, record, ending } in entries.unwrap_or_default() {
            catalog.put(key.clone(), record);
            catalog.set_ending(&key, ending);
        }
        Ok(catalog)
    }

    /// The document to store, sorted by key.
    pub fn to_document(&self) -> Any {
        let entries: Vec<_> = self
            .records
            .iter()
            .map(|(key, record)| {
                let ending = self.is_ending(key);
                Entry { key: key.clone(), record: record.clone(), ending }
            })
            .collect();
        Any::from_serialize(&entries)
    }

    /// The record of a key.
    pub fn get(&self, key: &Key) -> Option<&Record> {
        self.records.get(key)
    }

    /// Puts a record, which is not ending then; returns the one that it replaces.
    pub fn put(&mut self, key: Key, record: Record) -> Option<Record> {
        self.ending.remove(&key);
        self.records.insert(key, record)
    }

    /// Removes a record.
    pub fn remove(&mut self, key: &Key) -> Option<Record> {
        self.ending.remove(key);
        self.records.remove(key)
    }

    /// True for a record that is to be no more.
    pub fn is_ending(&self, key: &Key) -> bool {
        self.ending.contains(key)
    }

    /// Says that a record is to be no more, or is to stay after all.
    pub fn set_ending(&mut self, key: &Key, ending: bool) {
        if ending && self.records.contains_key(key) {
            self.ending.insert(key.clone());
        } else {
            self.ending.remove(key);
        }
    }

    /// The groups that are owned, each in all its worlds.
    pub(crate) fn claims(&self) -> BTreeSet<Claim> {
        let groups = self.records.iter().filter(|(key, _)| key.is_group());
        let claim = |(key, record): (&Key, &Record)| -> Vec<Claim> {
            let group = || key.name.clone();
            let worlds = record.worlds.keys().cloned();
            worlds.map(|world| Claim { group: group(), world }).collect()
        };
        groups.flat_map(claim).collect()
    }

    /// Notes worlds of a record. Those of before stay: instances may still be there.
    pub(crate) fn add_worlds(&mut self, key: &Key, worlds: &Worlds) {
        if let Some(record) = self.records.get_mut(key) {
            record.worlds = with_worlds(std::mem::take(&mut record.worlds), worlds);
        }
    }

    /// Takes a world of a record away, in which nothing is left.
    pub(crate) fn remove_world(&mut self, key: &Key, world: &World) {
        if let Some(record) = self.records.get_mut(key) {
            record.worlds.remove(world);
        }
    }

    /// Puts a record; what it replaces can be restored, and the worlds of that stay.
    pub(crate) fn replace(&mut self, key: &Key, record: Record) -> Earlier {
        let was_ending = self.is_ending(key);
        let worlds = self.get(key).map(|earlier| earlier.worlds.clone()).unwrap_or_default();
        let record = Record { worlds: with_worlds(worlds, &record.worlds), ..record };
        Earlier { record: self.put(key.clone(), record), was_ending }
    }

    /// Takes a record back out, if it is still the one that we put there.
    pub(crate) fn put_back(&mut self, key: &Key, ours: &Record, earlier: Earlier) {
        if !self.get(key).is_some_and(|stored| stored.is_same(ours)) {
            return;
        }
        match earlier.record {
            Some(record) => {
                self.put(key.clone(), record);
                self.set_ending(key, earlier.was_ending);
            }
            None => {
                self.remove(key);
            }
        }
    }

    /// All records by key.
    pub fn iter(&self) -> impl Iterator<Item = (&Key, &Record)> {
        self.records.iter()
    }

    /// All keys.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.records.keys()
    }
}

/// Earlier worlds with those of now. When there are too many, earlier ones are forgotten.
fn with_worlds(mut worlds: Worlds, now: &Worlds) -> Worlds {
    let room = MAX_WORLDS.saturating_sub(now.len());
    worlds.retain(|world, _| !now.contains_key(world));
    while worlds.len() > room {
        worlds.pop_first();
    }
    worlds.extend(now.clone());
    worlds
}

#[cfg(test)]
mod tests {
    use regrow_codec::Any;
    use serde_json::json;

    use super::{Catalog, Key, Record};

    #[test]
    fn a_record_is_ending_until_it_is_put_anew() {
        let (key, record) = (Key::group("q"), Record::default());
        let mut catalog = Catalog::default();
        catalog.set_ending(&key, true);
        assert!(!catalog.is_ending(&key), "there is nothing to end");
        catalog.put(key.clone(), record.clone());
        let plain = catalog.to_document();
        assert!(!plain.as_text().contains("Ending"), "as the original prints it");
        catalog.set_ending(&key, true);
        let read = Catalog::read(Some(&catalog.to_document())).expect("catalog");
        assert!(read.is_ending(&key) && read == catalog);
        let earlier = catalog.replace(&key, record.clone());
        assert_eq!(catalog.to_document(), plain);
        catalog.put_back(&key, &record, earlier);
        assert!(catalog.is_ending(&key));
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

//! From values to fields, by the rules of the decoder that ContainerPilot uses (mapstructure, weakly
//! typed): names match in any case, unknown ones are faults, and all faults of a block are told
//! together.
//!
//! | wanted | also taken |
//! |---|---|
//! | text | number, as few digits as it needs; bool: `1` or `0` |
//! | whole number | float, cut; text in Go's form (`0x1f`, `017`); bool: 1 or 0 |
//! | bool | number: not 0; text: `1 t true 0 f false` and nothing |
//! | list | one value stands for a list of one; an empty object for an empty list |
//!
//! Null is as if the key were absent.

mod scalar;

use std::collections::BTreeSet;

use super::error::Fault;
use super::tree::{Node, Place, Value};

pub(super) use scalar::{plain, whole};

/// The faults of one block and the blocks inside of it.
#[derive(Debug, Default)]
pub(super) struct Faults {
    found: Vec<(String, Option<Place>)>,
}

impl Faults {
    pub(super) fn add(&mut self, text: String, place: Option<Place>) {
        self.found.push((text, place));
    }

    /// Fails if there are any: how many, and each on a line of its own behind `* `.
    pub(super) fn check(mut self) -> Result<(), Fault> {
        if self.found.is_empty() {
            return Ok(());
        }
        self.found.sort();
        let mut text = format!("{} error(s) decoding:\n", self.found.len());
        for (line, _) in &self.found {
            text.push_str("\n* ");
            text.push_str(line);
        }
        let places: BTreeSet<Place> = self.found.iter().filter_map(|(_, place)| *place).collect();
        Err(Fault { text, places: places.into_iter().collect() })
    }
}

/// An object whose keys are known.
#[derive(Debug)]
pub(super) struct Block<'a> {
    /// Its place in the block that is decoded: `[0].health`, empty for that block itself.
    path: String,
    /// The fields that are there and not null, by their names in our spelling.
    fields: Vec<(&'static str, &'a Node)>,
    /// Where it stands.
    pub(super) place: Option<Place>,
}

impl<'a> Block<'a> {
    /// The object `node` with the fields `known`. What is not an object, or has other fields, is a
    /// fault, and counts as empty or without them.
    pub(super) fn open(
        faults: &mut Faults,
        path: String,
        node: &'a Node,
        known: &[&'static str],
    ) -> Self {
        let mut block = Self { path, fields: Vec::new(), place: node.place };
        match &node.value {
            Value::Null => {}
            Value::Map(entries) => block.fill(faults, entries, known),
            other => {
                let text = format!("'{}' expected a map, got '{}'", block.path, kind(other));
                faults.add(text, node.place);
            }
        }
        block
    }

    fn fill(&mut self, faults: &mut Faults, entries: &'a [(String, Node)], known: &[&'static str]) {
        let (fields, unknown) = sort_keys(entries, known);
        self.fields = fields;
        if !unknown.is_empty() {
            let place = unknown.iter().find_map(|(_, node)| node.place);
            let names: BTreeSet<&str> = unknown.iter().map(|(key, _)| key.as_str()).collect();
            let names: Vec<&str> = names.into_iter().collect();
            faults.add(format!("'{}' has invalid keys: {}", self.path, names.join(", ")), place);
        }
    }

    /// The value of a field, if it is there and not null.
    pub(super) fn get(&self, name: &str) -> Option<&'a Node> {
        self.fields.iter().find(|(known, _)| *known == name).map(|(_, node)| *node)
    }

    /// Where a field stands; where it is absent, where the block does.
    pub(super) fn place_of(&self, name: &str) -> Option<Place> {
        self.get(name).map_or(self.place, |node| node.place)
    }

    fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// A text; empty where it is absent.
    pub(super) fn text(&self, faults: &mut Faults, name: &str) -> String {
        self.scalar(faults, name, scalar::text)
    }

    /// A whole number; 0 where it is absent.
    pub(super) fn int(&self, faults: &mut Faults, name: &str) -> i64 {
        self.scalar(faults, name, scalar::int)
    }

    /// A flag, if it is there.
    pub(super) fn flag(&self, faults: &mut Faults, name: &str) -> Option<bool> {
        self.get(name)?;
        Some(self.scalar(faults, name, scalar::flag))
    }

    /// A list of texts; empty where it is absent.
    pub(super) fn texts(&self, faults: &mut Faults, name: &str) -> Vec<String> {
        let Some(node) = self.get(name) else { return Vec::new() };
        let mut texts = Vec::new();
        for (index, item) in list(node).iter().enumerate() {
            let path = format!("{}[{index}]", self.path_of(name));
            texts.push(scalar::text(&item.value, &path).unwrap_or_else(|text| {
                faults.add(text, item.place);
                String::new()
            }));
        }
        texts
    }

    /// An object of texts, in the order of its names.
    pub(super) fn pairs(&self, faults: &mut Faults, name: &str) -> Vec<(String, String)> {
        let Some(node) = self.get(name) else { return Vec::new() };
        let path = self.path_of(name);
        let Value::Map(entries) = &node.value else {
            faults.add(format!("'{path}' expected a map, got '{}'", kind(&node.value)), node.place);
            return Vec::new();
        };
        let mut pairs = std::collections::BTreeMap::new();
        for (key, item) in entries {
            match scalar::text(&item.value, &format!("{path}[{key}]")) {
                Ok(text) => drop(pairs.insert(key.clone(), text)),
                Err(text) => faults.add(text, item.place),
            }
        }
        pairs.into_iter().collect()
    }

    /// A block inside of this one, if it is there.
    pub(super) fn block(
        &self,
        faults: &mut Faults,
        name: &str,
        known: &[&'static str],
    ) -> Option<Block<'a>> {
        let node = self.get(name)?;
        Some(Self::open(faults, self.path_of(name), node, known))
    }

    /// The blocks of a list of this one; null entries are left out.
    pub(super) fn blocks(
        &self,
        faults: &mut Faults,
        name: &str,
        known: &[&'static str],
    ) -> Vec<Block<'a>> {
        let Some(node) = self.get(name) else { return Vec::new() };
        blocks(faults, &self.path_of(name), list(node), known)
    }

    fn scalar<T: Default>(
        &self,
        faults: &mut Faults,
        name: &str,
        read: fn(&Value, &str) -> Result<T, String>,
    ) -> T {
        let Some(node) = self.get(name) else { return T::default() };
        read(&node.value, &self.path_of(name)).unwrap_or_else(|text| {
            faults.add(text, node.place);
            T::default()
        })
    }
}

/// The blocks of a list; null entries are left out and keep their number.
pub(super) fn blocks<'a>(
    faults: &mut Faults,
    path: &str,
    items: &'a [Node],
    known: &[&'static str],
) -> Vec<Block<'a>> {
    let items = items.iter().enumerate().filter(|(_, item)| item.value != Value::Null);
    items
        .map(|(index, item)| Block::open(faults, format!("{path}[{index}]"), item, known))
        .collect()
}

/// The items of a list; one value stands for a list of one, an empty object for an empty one.
pub(super) fn list(node: &Node) -> &[Node] {
    match &node.value {
        Value::List(items) => items,
        Value::Map(entries) if entries.is_empty() => &[],
        Value::Null => &[],
        _ => std::slice::from_ref(node),
    }
}

type Entry<'a> = (&'a String, &'a Node);

/// The known fields, and the entries that are none. The exact name wins over one in another case;
/// of equal names the last one wins.
pub(super) fn sort_keys<'a>(
    entries: &'a [(String, Node)],
    known: &[&'static str],
) -> (Vec<(&'static str, &'a Node)>, Vec<Entry<'a>>) {
    let mut fields = Vec::new();
    let mut used = BTreeSet::new();
    for name in known {
        let exact = entries.iter().rfind(|(key, _)| key == name);
        let found = exact.or_else(|| entries.iter().find(|(key, _)| same(key, name)));
        let Some((key, _)) = found else { continue };
        let last = entries.iter().rfind(|(other, _)| other == key);
        used.insert(key.as_str());
        fields.extend(
            last.filter(|(_, node)| node.value != Value::Null).map(|(_, node)| (*name, node)),
        );
    }
    let unknown = entries.iter().filter(|(key, _)| !used.contains(key.as_str()));
    (fields, unknown.map(|(key, node)| (key, node)).collect())
}

fn same(key: &str, name: &str) -> bool {
    key.len() == name.len() && key.eq_ignore_ascii_case(name)
}

/// Go's word for what a value is, in "expected a map".
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nil",
        Value::Bool(_) => "bool",
        Value::Int(_) | Value::Float(_) => "float64",
        Value::Text(_) => "string",
        Value::List(_) => "slice",
        Value::Map(_) => "map",
    }
}

#[cfg(test)]
mod tests;
